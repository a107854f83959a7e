"""What workers do for tickets: tell what was left, end days that are over, learn, speak.

What is spoken is asked for by the API, which sends the task by its name.
"""

from collections.abc import Sequence

import structlog

from models import pulse
from models.clock import now_ms
from models.tickets import jobs, voice_jobs
from models.tickets.espeak import Espeak, find_program
from models.tickets.speech import Language, Phrase
from workers.app import Task, app

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="tickets.sweep", bind=True)
def sweep(self: Task) -> None:
    """Append to the stream of displays what a process did and did not tell any more."""
    told = jobs.sweep(
        self.database, self.redis, kept_max=self.settings.events_kept_max, now_ms=now_ms()
    )
    if told:
        _log.info("ticket_news_swept", changes=told)


@app.task(name="tickets.close", bind=True)
def close(self: Task) -> None:
    """Cancel who still waits where the day is over."""
    cancelled = jobs.close_days(
        self.database,
        after_ms=self.settings.ticket_close_after_s * 1000,
        now_ms=now_ms(),
    )
    if cancelled:
        _log.info("ticket_days_closed", cancelled=cancelled)


@app.task(name="tickets.calibrate", bind=True)
def calibrate(self: Task) -> None:
    """Compare estimates with what came of them, and tell of waits that are now others."""
    branches = jobs.calibrate(self.database, now_ms=now_ms())
    if branches:
        _log.info("ticket_estimates_calibrated", branches=branches)


@app.task(name="tickets.forget", bind=True)
def forget(self: Task) -> None:
    """Delete tickets past their time."""
    forgotten = jobs.forget(
        self.database, kept_ms=self.settings.tickets_keep_s * 1000, now_ms=now_ms()
    )
    if forgotten:
        _log.info("tickets_forgotten", tickets=forgotten)


@app.task(name="tickets.see", bind=True)
def see(self: Task) -> None:
    """Keep the pulse of this minute, and tell the console; a repeat changes nothing."""
    self.publish(pulse.DOMAIN, jobs.see(self.database, now_ms=now_ms()))


@app.task(name="tickets.speak", bind=True)
def speak(self: Task, phrases: Sequence[tuple[str, str]], request_id: str) -> None:
    """Say words of a call, each phrase in its language, to a display that waits for them."""
    settings = self.settings
    program = find_program(settings.espeak)
    espeak = None
    if program is not None:
        espeak = Espeak(
            program,
            {Language.VI: settings.voice_vi, Language.EN: settings.voice_en},
            timeout_s=settings.voice_answer_s,
            bytes_max=voice_jobs.VOICE_BYTES_MAX,
        )
    voice_jobs.speak(
        espeak,
        self.redis,
        [Phrase(Language(language), text) for language, text in phrases],
        request_id,
        kept_max=settings.voices_kept_max,
        now_ms=now_ms(),
    )
