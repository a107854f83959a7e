"""What workers do for mail: keep the index by what the watchers of the hosts tell."""

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from models import pulse
from models.clock import now_ms
from models.errors import UnavailableError
from models.mail import alarm_jobs, dialogue_service, facts, jobs, log_jobs
from models.mail.alarms import Alarm, AlarmKind
from models.mail.dialogues import Piece
from models.mail.log_batches import LogBatch
from models.mail.operations import Order
from models.mail.rules import Batch, Outcome, task_queue_of
from models.mail.views import ANSWER_KEPT_S, answer_key
from models.messages import posting
from models.messages.rules import ATTEMPTS_DEFAULT, LEASE_DEFAULT_MS, NewMessage, Once
from workers.app import Task, app, send

ACT: Final = "mail_host.act"
# Whoever makes a queue of this name gets every alarm as a message.
ALARM_QUEUE: Final = "alarms"
ALARM_TYPE: Final = "mail.alarm"
ALARM_ONCE_MS: Final = 86_400_000
_encode: Final = msgspec.json.Encoder().encode
_decode_outcomes: Final = msgspec.json.Decoder(list[Outcome]).decode
_decode: Final = msgspec.json.Decoder(Batch).decode
_decode_pieces: Final = msgspec.json.Decoder(list[Piece]).decode
_decode_log: Final = msgspec.json.Decoder(LogBatch).decode
# An answer that comes later than that is asked for again.
_ANSWER_S: Final = 30.0

_log = structlog.stdlib.get_logger(__name__)


@app.task(name="mail.index", bind=True)
def index(self: Task, told: str) -> None:
    """Put a batch of a host into the index, and tell the host what is in it now."""
    batch = _decode(told)
    applied = jobs.apply_batch(self.database, batch, now_ms=now_ms())
    if applied.holds == applied.to_batch:
        self.publish(facts.DOMAIN, facts.changed(batch, now_ms=now_ms()))
    send(
        "mail_host.told",
        (applied.to_batch, applied.holds),
        queue=task_queue_of(batch.host),
        expires_s=_ANSWER_S,
    )


@app.task(name="mail.part", bind=True)
def part(self: Task, host: str, generation: int) -> None:
    """Hear the good-bye of a host: whoever asks it for anything is told so at once."""
    if jobs.part(self.database, host, generation, now_ms=now_ms()):
        _log.info("mail_host_parted", host=host)


@app.task(name="mail.settle", bind=True)
def settle(self: Task, operation_id: str, number: int, told: str) -> None:
    """Note what a host did with a chunk, send the next one, and wake who waits for it."""
    orders = jobs.settle(
        self.database, operation_id, number, _decode_outcomes(told), now_ms=now_ms()
    )
    self.wake(jobs.DOMAIN)
    for order in orders:
        send_order(order)


@app.task(name="mail.heard", bind=True)
def heard(self: Task, told: str) -> None:
    """Pass on what is said in attempts, and keep it for who looks later."""
    pieces = _decode_pieces(told)
    dialogue_service.keep(self.redis, pieces, keep_s=self.settings.mail_dialogue_keep_s)
    self.publish(facts.DOMAIN, [facts.heard(each) for each in pieces])


@app.task(name="mail.letter", bind=True)
def letter(self: Task, request_id: str, told: str) -> None:
    """Lay what a host read where who asked for it waits; unfetched, it is soon gone."""
    key = answer_key(request_id)
    with self.redis.pipeline(transaction=True) as pipe:
        pipe.rpush(key, told)
        pipe.expire(key, ANSWER_KEPT_S)
        pipe.execute()


@app.task(name="mail.resend", bind=True)
def resend(self: Task) -> None:
    """Send again what no host settled in time; call off what is expired."""
    for order in jobs.take_due(self.database, now_ms=now_ms()):
        _log.warning(
            "mail_sent_again",
            operation_id=order.chunk.operation_id,
            number=order.chunk.number,
            host=order.chunk.host,
        )
        send_order(order)
    self.wake(jobs.DOMAIN)


def send_order(order: Order) -> None:
    """Hand an order to its host; with the broker away it is sent again by beat."""
    try:
        send(
            ACT,
            (_encode(order).decode(),),
            queue=task_queue_of(order.chunk.host),
            expires_s=order.left_s(now_ms=now_ms()),
        )
    except UnavailableError as error:
        _log.warning("mail_order_not_sent", host=order.chunk.host, reason=error.reason)


@app.task(name="mail.recount", bind=True)
def recount(self: Task) -> None:
    """Compare the counters of the index with the index."""
    for host, messages in jobs.recount(self.database).items():
        _log.error("mail_miscounted", host=host, messages=messages)


@app.task(name="mail.forget_operations", bind=True)
def forget_operations(self: Task) -> None:
    """Delete what came of operations long ago."""
    gone = jobs.forget_operations(
        self.database, keep_ms=self.settings.mail_operations_keep_s * 1000, now_ms=now_ms()
    )
    if gone:
        _log.info("mail_operations_forgotten", operations=gone)


@app.task(name="mail.sample", bind=True)
def sample(self: Task) -> None:
    """Note what each host has, for the trend."""
    jobs.sample(self.database, keep_ms=self.settings.mail_samples_keep_s * 1000, now_ms=now_ms())


@app.task(name="mail.log", bind=True)
def log(self: Task, told: str) -> None:
    """Keep what a host's log says, and tell the host up to where it is kept."""
    batch = _decode_log(told)
    held = log_jobs.apply_log(self.database, batch, now_ms=now_ms())
    self.publish(facts.DOMAIN, facts.logged(batch))
    send(
        "mail_host.held",
        (_encode(held).decode(),),
        queue=task_queue_of(batch.host),
        expires_s=_ANSWER_S,
    )


@app.task(name="mail.alarm", bind=True)
def alarm(self: Task) -> None:
    """See whether a host needs somebody; tell live clients, and who made a queue for it."""
    settings = self.settings
    thresholds = {
        AlarmKind.MESSAGES: settings.mail_alarm_messages,
        AlarmKind.FROZEN: settings.mail_alarm_frozen,
        AlarmKind.AGE: settings.mail_alarm_age_s,
        AlarmKind.SILENCE: settings.mail_alarm_silence_s,
    }

    def tell(alarms: Sequence[Alarm]) -> None:
        moment_ms = now_ms()
        posted = posting.post(
            self.database,
            [_message_of(each, moment_ms) for each in alarms],
            attempts_default=min(ATTEMPTS_DEFAULT, settings.attempts_max),
            lease_default_ms=min(LEASE_DEFAULT_MS, settings.lease_max_s * 1000),
            now_ms=moment_ms,
        )
        if posted.arrivals:
            self.wake(posting.DOMAIN, posted.arrivals)
        self.publish(posting.DOMAIN, posted.events)
        self.publish(facts.DOMAIN, [facts.alarmed(each, now_ms=moment_ms) for each in alarms])

    for each in alarm_jobs.watch(self.database, thresholds, tell, now_ms=now_ms()):
        facts_of = {"host": each.host, "kind": each.kind.value, "value": each.value}
        if each.is_over:
            _log.info("mail_alarm_over", **facts_of, threshold=each.threshold)
        else:
            _log.warning("mail_alarm_raised", **facts_of, threshold=each.threshold)


def _message_of(alarm: Alarm, now_ms: int) -> NewMessage:
    """Return the message that tells of an alarm, whose name keeps it from being there twice."""
    end = "over" if alarm.is_over else "raised"
    name = f"{alarm.kind.value}:{alarm.host}:{alarm.since_ms}:{end}"
    payload = _encode(facts.alarm_data(alarm, now_ms=now_ms)).decode()
    return NewMessage(payload, type=ALARM_TYPE, queue=ALARM_QUEUE, once=Once(name, ALARM_ONCE_MS))


@app.task(name="mail.forget_log", bind=True)
def forget_log(self: Task) -> None:
    """Delete lines of the logs that are older or more than is kept."""
    gone = log_jobs.forget(
        self.database,
        keep_ms=self.settings.mail_log_keep_s * 1000,
        lines_max=self.settings.mail_log_lines_max,
        now_ms=now_ms(),
    )
    if gone:
        _log.info("mail_log_forgotten", lines=gone)


@app.task(name="mail.see", bind=True)
def see(self: Task) -> None:
    """Keep the pulse of this minute, and tell the console; a repeat changes nothing."""
    self.publish(pulse.DOMAIN, jobs.see(self.database, now_ms=now_ms()))
