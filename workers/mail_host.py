"""What runs on a mail host, beside its Exim: the watcher, and tasks that speak to Exim.

It needs the broker and nothing else of the house: no database, no Redis of events.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog
from celery import signals

from models.clock import now_ms
from models.errors import UnavailableError
from models.mail.dialogue_telling import DialogueTeller
from models.mail.dialogues import Piece
from models.mail.doing import Doer
from models.mail.exim import Exim, EximError
from models.mail.header_files import SpoolFormatError
from models.mail.letters import BODY_BYTES_MAX, read_letter
from models.mail.log_batches import LogBatch, LogHeld
from models.mail.log_following import LogFollower
from models.mail.log_telling import LogTeller
from models.mail.operations import Order
from models.mail.program import find_command
from models.mail.rules import GOOD, Applied, Batch, Outcome, is_message_id, task_queue_of
from models.mail.telling import Teller
from models.mail.watcher import Watcher
from workers.app import Task, app, send
from workers.mail_self_check import SelfCheck

_ENCODER: Final = msgspec.json.Encoder()
_decode_held: Final = msgspec.json.Decoder(LogHeld).decode
_decode_order: Final = msgspec.json.Decoder(Order).decode
_BATCH_EXPIRES_S: Final = 60.0
_ANSWER_EXPIRES_S: Final = 30.0
# A good-bye that is late would be for somebody who is back.
_PART_EXPIRES_S: Final = 10.0
_PART_S: Final = 4.0
_RETRY_S: Final = 10.0

_log = structlog.stdlib.get_logger(__name__)


class MailHost:
    """The Exim of this machine while a worker runs: watched in a thread of its own."""

    def __init__(self) -> None:
        self._stopping: Final = threading.Event()
        self._thread: threading.Thread | None = None
        self._teller: Teller | None = None
        self._log_teller: LogTeller | None = None
        self._dialogues: DialogueTeller | None = None
        self.name = ""
        self.exim: Exim | None = None
        self.doer: Doer | None = None

    def set_up(self, name: str, command: list[str]) -> None:
        """Say which host this is and how its Exim is run."""
        self.name = name
        self.exim = Exim(command)
        self._dialogues = DialogueTeller(name, send=_send_dialogues)
        self.doer = Doer(
            self.exim, clock=now_ms, listener=self._dialogues, settled=_tell_if_possible
        )

    def start(self) -> None:
        """Begin to watch, if this process serves a mail host."""
        if self.exim is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mail-watcher", daemon=True)
            self._thread.start()
            threading.Thread(target=self._run_log, name="mail-log", daemon=True).start()
            assert self._dialogues is not None
            tell = self._dialogues.run
            threading.Thread(target=tell, name="mail-dialogues", daemon=True).start()

    def stop(self) -> None:
        """End the watching."""
        self._stopping.set()
        if self.doer is not None:
            self.doer.close()
        if self._dialogues is not None:
            self._dialogues.stop()
        if self._teller is not None:
            self._teller.wake()
        if self._log_teller is not None:
            self._log_teller.wake()

    def part(self) -> None:
        """Wait until the good-bye is sent, a moment at most."""
        if self._thread is not None:
            self._thread.join(_PART_S)

    def note_applied(self, answer: Applied) -> None:
        """Pass on what the index answered."""
        if self._teller is not None:
            self._teller.note_applied(answer)

    def note_held(self, answer: LogHeld) -> None:
        """Pass on up to where the log is kept."""
        if self._log_teller is not None:
            self._log_teller.note_held(answer)

    def _run_log(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow_log()
            except (EximError, OSError) as error:
                _log.error("mail_log_not_followed", host=self.name, reason=str(error))
                self._stopping.wait(_RETRY_S)

    def _follow_log(self) -> None:
        assert self.exim is not None
        exim, places = self.exim, self.exim.places()
        teller = self._log_teller = LogTeller(
            LogFollower(places.main_log) if places.main_log else None,
            self.name,
            send=_send_log,
            now_ms=now_ms,
            hints=lambda: exim.retry_hints(places.spool),
        )
        while not self._stopping.is_set():
            teller.step()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except (EximError, OSError) as error:
                # Rights may be given and a spool may come without a restart of ours.
                _log.error("mail_not_watched", host=self.name, reason=str(error))
                self._stopping.wait(_RETRY_S)

    def _watch(self) -> None:
        assert self.exim is not None
        places = self.exim.places()
        generation = now_ms()
        watcher = Watcher(places.spool, self.name, generation=generation)
        teller = self._teller = Teller(
            watcher, generation=generation, send=_send, new_generation=now_ms
        )
        _log.info("mail_watched", host=self.name, spool=places.spool, exim=places.version)
        check = SelfCheck(self.exim, watcher)
        try:
            while not self._stopping.is_set():
                teller.step()
                check.step()
                if teller.is_superseded:
                    _log.error("mail_watched_elsewhere", host=self.name)
                    self._stopping.wait(_RETRY_S)
                    return
            _part(self.name, teller.generation)
        finally:
            self._teller = None
            teller.close()
            watcher.close()


def _send(batch: Batch) -> None:
    told = _ENCODER.encode(batch).decode()
    send("mail.index", (told,), queue="mail", expires_s=_BATCH_EXPIRES_S)


def _send_log(batch: LogBatch) -> None:
    told = _ENCODER.encode(batch).decode()
    send("mail.log", (told,), queue="mail", expires_s=_BATCH_EXPIRES_S)


def _send_dialogues(pieces: Sequence[Piece]) -> None:
    told = _ENCODER.encode(pieces).decode()
    send("mail.heard", (told,), queue="mail", expires_s=_ANSWER_EXPIRES_S)


def _part(host: str, generation: int) -> None:
    with suppress(UnavailableError):
        send("mail.part", (host, generation), queue="mail", expires_s=_PART_EXPIRES_S)


mail_host: Final = MailHost()


@app.task(name="mail_host.told", bind=True)
def told(_self: Task, to_batch: Sequence[int], holds: Sequence[int]) -> None:
    """Hear what the index holds since it saw a batch."""
    (generation, number), (held_generation, held_number) = to_batch, holds
    mail_host.note_applied(
        Applied(to_batch=(generation, number), holds=(held_generation, held_number))
    )


@app.task(name="mail_host.held", bind=True)
def held(_self: Task, answer: str) -> None:
    """Hear up to where the log is kept."""
    mail_host.note_held(_decode_held(answer))


@app.task(name="mail_host.read", bind=True)
def read(_self: Task, host: str, message_id: str, request_id: str, body_bytes_max: int) -> None:
    """Send what a message says to who asked for it; nothing when it is not there, or unreadable."""
    letter = None
    if mail_host.exim is not None and host == mail_host.name and is_message_id(message_id):
        spool = mail_host.exim.places().spool
        size_max = min(max(body_bytes_max, 0), BODY_BYTES_MAX)
        try:
            letter = read_letter(spool, message_id, body_bytes_max=size_max)
        except (SpoolFormatError, OSError) as error:
            _log.warning("mail_not_read", message_id=message_id, reason=str(error))
    told = _ENCODER.encode(letter).decode()
    send("mail.letter", (request_id, told), queue="mail", expires_s=_ANSWER_EXPIRES_S)


@app.task(name="mail_host.act", bind=True)
def act(_self: Task, told: str) -> None:
    """Carry out an order, and tell what came of each message.

    If that does not get through the order comes again, and is answered from memory.
    """
    order = _decode_order(told)
    if mail_host.doer is None or order.chunk.host != mail_host.name:
        _log.error("mail_order_astray", host=order.chunk.host)
        return
    found = mail_host.doer.do(order)
    if found is not None:  # else it is being carried out, and whoever does that tells
        _tell(order, found)


def _tell_if_possible(order: Order, found: Sequence[Outcome]) -> None:
    """Tell what came of an order; with the broker away it comes again, and is answered then."""
    try:
        _tell(order, found)
    except UnavailableError as error:
        _log.warning("mail_outcome_not_told", reason=str(error))


def _tell(order: Order, found: Sequence[Outcome]) -> None:
    chunk = order.chunk
    outcomes = _ENCODER.encode(found).decode()
    send("mail.settle", (chunk.operation_id, chunk.number, outcomes), queue="mail")
    _log.info(
        "mail_acted",
        action=order.action.value,
        messages=len(found),
        good=sum(each.result in GOOD for each in found),
        operation_id=chunk.operation_id,
    )


@signals.worker_ready.connect
def _start(**_facts: object) -> None:
    mail_host.start()


@signals.worker_shutting_down.connect
def _stop(**_facts: object) -> None:
    mail_host.stop()


@signals.worker_shutdown.connect
def _say_good_bye(**_facts: object) -> None:
    mail_host.part()


def arguments(host: str, *, log_level: str, threads: int) -> list[str]:
    """Return what Celery's worker is started with on a mail host."""
    return [
        *("worker", "--pool=threads", "--without-gossip", "--without-mingle"),
        f"--concurrency={threads}",
        f"--queues={task_queue_of(host)}",
        f"--hostname=mail@{host}",
        f"--loglevel={log_level}",
    ]


def set_up(host: str, configured: str) -> bool:
    """Make this process serve a mail host; say whether there is an Exim to serve."""
    command = find_command(configured)
    if command is None:
        return False
    mail_host.set_up(host, command)
    return True
