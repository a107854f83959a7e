"""Alarms: raised once, over once, told to live clients and put into a queue for everybody else."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from models.database import Database
from models.mail import alarm_jobs
from models.mail.alarms import Alarm, AlarmKind, Reading, change
from models.mail.jobs import apply_batch
from models.mail.rules import Status
from tests.mail.mail_system import MailSystem
from tests.mail.test_jobs import NOW_MS, batch, mail
from tests.mail.test_live import listening, of_type, until
from tests.servers import wait_until
from workers import mail as tasks
from workers.app import send

LIMITS = {AlarmKind.MESSAGES: 10, AlarmKind.AGE: 60}


def reading(value: int, kind: AlarmKind = AlarmKind.MESSAGES, host: str = "mx1") -> Reading:
    return Reading(host=host, kind=kind, value=value)


def test_an_alarm_has_two_edges() -> None:
    raised: list[Alarm] = []
    told: list[bool] = []
    for moment, value in enumerate((10, 11, 10, 9, 12, 8, 10, 11)):
        changed = change(raised, [reading(value)], LIMITS, now_ms=moment)
        told += [each.is_over for each in changed]
        raised = [each for each in changed if not each.is_over] or (
            [] if any(each.is_over for each in changed) else raised
        )

    # Raised at 11; 10 and 9 are no calm yet, 8 is; 10 raises nothing, 11 does.
    assert told == [False, True, False]


def test_what_is_not_watched_and_who_is_gone_are_over() -> None:
    raised = change([], [reading(11), reading(99, host="mx2")], LIMITS, now_ms=1)
    assert [str(each) for each in raised] == [
        "mx1 has 11 messages, more than 10",
        "mx2 has 99 messages, more than 10",
    ]

    off = change(raised, [reading(11), reading(99, host="mx2")], {}, now_ms=2)
    left = change(raised, [reading(11)], LIMITS, now_ms=2)

    assert [each.is_over for each in off] == [True, True]
    assert [(each.host, each.over_ms) for each in left] == [("mx2", 2)]


class Watch:
    """Looks at the index as the task does, and keeps who was told of what."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.told: list[Alarm] = []
        self.is_down = False

    def tell(self, alarms: Sequence[Alarm]) -> None:
        if self.is_down:
            raise ConnectionError
        self.told += alarms

    def look(self, now_ms: int, **limits: int) -> list[tuple[str, int]]:
        self.told.clear()
        thresholds = {AlarmKind(name): value for name, value in limits.items()}
        alarm_jobs.watch(self.database, thresholds, self.tell, now_ms=now_ms)
        return [("over" if each.is_over else each.kind.value, each.value) for each in self.told]


def test_each_edge_is_told_once_whatever_fails(database: Database) -> None:
    told = [mail(1), mail(2), mail(3, status=Status.FROZEN)]
    apply_batch(database, batch(1, *told), now_ms=NOW_MS)
    watch = Watch(database)
    received_ms = told[1].received_at_ms

    assert watch.look(NOW_MS, messages=3) == []
    assert watch.look(NOW_MS, messages=2) == [("messages", 3)]
    assert watch.look(NOW_MS + 1, messages=2) == []

    watch.is_down = True
    with pytest.raises(ConnectionError):
        watch.look(NOW_MS + 2, messages=99)
    watch.is_down = False
    assert watch.look(NOW_MS + 3, messages=99) == [("over", 3)]
    assert watch.look(NOW_MS + 4, messages=99) == []

    assert watch.look(received_ms + 61_999, age=61) == []
    assert watch.look(received_ms + 62_000, age=61) == [("age", 62)]
    apply_batch(database, batch(2, gone=tuple(each.message_id for each in told[:2])), now_ms=NOW_MS)
    assert watch.look(received_ms + 99_000, age=61, frozen=1) == [("over", 0)]  # frozen ones wait
    assert watch.look(NOW_MS + 9_000, silence=8) == [("silence", 9)]


# Over HTTP -----------------------------------------------------------------------------------


@pytest.fixture
def look(mail: MailSystem, send_through: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Has the worker look, as beat does."""
    send_through(mail.system.redis_url)
    yield lambda: send(tasks.alarm.name, queue="mail", expires_s=60)
    mail.http.request("DELETE", "/api/queue/queues/alarms?force=true")


@pytest.mark.on_sqlite
def test_a_silent_host_is_told_live_and_in_a_queue(
    mail: MailSystem, look: Callable[[], None]
) -> None:
    mail.http.put("/api/queue/queues/alarms", json={}).raise_for_status()
    watcher = mail.system.running["mail-watch"]

    def states() -> list[str]:
        found = mail.http.get("/api/queue/main/messages?queue=alarms").json()
        return [each["payload"]["state"] for each in found["messages"]]

    with listening(mail) as client:
        watcher.freeze()
        try:
            mail.let_be_silent()
            look()
            frame = until(client, of_type("system_alert"))
            answer = mail.http.get("/api/v1/queue/alarms").json()["data"]
        finally:
            watcher.thaw()
        wait_until(mail.is_alive, "the host shows life again")
        look()
        over = until(client, of_type("system_alert"))

    assert (frame["data"]["kind"], frame["data"]["host"]) == ("silence", "mx1")
    assert (frame["data"]["state"], over["data"]["state"]) == ("raised", "over")
    assert [each["kind"] for each in answer["alarms"]] == ["silence"]
    assert answer["thresholds"]["silence"] == 60
    assert mail.http.get("/api/v1/queue/alarms").json()["data"]["alarms"] == []
    wait_until(lambda: len(states()) == 2, "both are in the queue")
    worker = mail.system.running["worker"]
    [raised] = worker.log_lines("mail_alarm_raised")
    [calm] = wait_until(lambda: worker.log_lines("mail_alarm_over"), "the end is in the log")
    assert (raised["level"], raised["host"], raised["kind"]) == ("warning", "mx1", "silence")
    assert raised["value"] > raised["threshold"] == 60
    assert (calm["level"], calm["kind"], calm["value"] < 60) == ("info", "silence", True)
