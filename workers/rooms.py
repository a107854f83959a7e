"""What workers do for rooms: let visitors in, and take out of the lines who is silent."""

import structlog

from models import pulse
from models.clock import now_ms
from models.rooms import draw_jobs, jobs, sampling
from models.rooms.rules import DOMAIN
from workers.app import Task, app

# In one run; what is more waits in the stream for the next.
_NOTES_MAX = 10_000

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="rooms.admit", bind=True)
def admit(self: Task) -> None:
    """Let the next visitors of each room in; a repeat admits nobody twice."""
    moved = jobs.admit(self.redis)
    if moved.recovered_room_ids:
        _log.warning("rooms_recovered", rooms=list(moved.recovered_room_ids))
    self.publish(DOMAIN, moved.events)


@app.task(name="rooms.expire", bind=True)
def expire(self: Task) -> None:
    """Take out of each line who was not heard of for the room's time-out."""
    self.publish(DOMAIN, jobs.expire(self.redis).events)


@app.task(name="rooms.draw", bind=True)
def draw(self: Task) -> None:
    """Open the rooms whose draw is due; a repeat finds them open."""
    draw_jobs.open_drawn_rooms(self.database, self.redis, now_ms=now_ms())


@app.task(name="rooms.sample", bind=True)
def sample(self: Task) -> None:
    """Keep what was counted of each room since the last look; a repeat adds nothing."""
    sampling.sample(self.database, self.redis, now_ms=now_ms())


@app.task(name="rooms.note", bind=True)
def note(self: Task) -> None:
    """Store what visitors said of themselves when they joined; a repeat stores nothing twice."""
    sampling.note_visitors(self.database, self.redis, notes_max=_NOTES_MAX)


@app.task(name="rooms.forget", bind=True)
def forget(self: Task) -> None:
    """Delete old minutes of the history, and what visitors said long ago."""
    minutes, visitors = sampling.forget(
        self.database,
        samples_kept_ms=self.settings.room_samples_keep_s * 1000,
        visitors_kept_ms=self.settings.room_visitors_keep_s * 1000,
        now_ms=now_ms(),
    )
    if minutes or visitors:
        _log.info("rooms_forgotten", minutes=minutes, visitors=visitors)


@app.task(name="rooms.see", bind=True)
def see(self: Task) -> None:
    """Keep the pulse of this minute, and tell the console; a repeat changes nothing."""
    self.publish(pulse.DOMAIN, sampling.see(self.database, self.redis, now_ms=now_ms()))
