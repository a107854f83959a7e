"""A log is read once, whole and in order, however it is rotated; and is kept like that."""

import gzip
import os
import shutil
import time
from pathlib import Path

import pytest

from models.database import Database
from models.errors import UnavailableError
from models.mail.log_batches import LogBatch, LogHeld
from models.mail.log_following import LINES_MAX, LogFollower, Place
from models.mail.log_jobs import apply_log, forget
from models.mail.log_lines import Event, parse_line
from models.mail.log_service import LogService
from models.mail.log_telling import LogTeller
from models.mail.log_views import LogFilter
from models.mail.rules import MessageNotFoundError

NOW_MS = 1_800_000_000_000
ID = "1xUNcV-0005ay-0d"


class Log:
    """A log file, and who reads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mainlog"
        self.follower = LogFollower(str(folder / "%slog"))
        self.place: Place | None = None
        self.number = 0

    def write(self, count: int, *, end: str = "\n") -> None:
        with self.path.open("a") as file:
            for at in range(count):
                self.number += 1
                last = "\n" if at < count - 1 else end
                file.write(f"2026-11-26 10:00:00 line {self.number}{last}")

    def read(self) -> list[int]:
        """Return the numbers of the lines that follow, as of an hour later: all is quiet."""
        found: list[int] = []
        for _ in range(20):
            reading = self.follower.read(self.place, now_s=time.time() + 3_600)
            found += [int(line.text.split()[-1]) for line in reading.lines]
            if reading.place == self.place:
                return found
            self.place = reading.place
        raise AssertionError("it never ends")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_lines_are_read_once_and_only_when_they_are_whole(log: Log) -> None:
    assert log.read() == []
    log.write(3, end="")
    assert log.read() == [1, 2]
    with log.path.open("a") as file:
        file.write("\n")
    log.write(700)

    assert log.read() == [3, *range(4, 704)]
    assert log.read() == []


@pytest.mark.parametrize("copies", [False, True])
def test_rotation_loses_nothing_and_repeats_nothing(log: Log, *, copies: bool) -> None:
    log.write(4)
    assert log.read() == [1, 2, 3, 4]
    log.write(2)
    rotated = log.path.with_name("mainlog.1")
    if copies:
        shutil.copy2(log.path, rotated)
        os.truncate(log.path, 0)
    else:
        log.path.rename(rotated)
    log.write(1)
    with gzip.open(log.path.with_name("mainlog.2.gz"), "wb") as file:
        file.write(b"2026-11-25 10:00:00 line 0\n")

    assert log.read() == [5, 6, 7]
    log.write(1)
    assert log.read() == [8]


def test_rotation_twice_while_nobody_read_is_followed(log: Log) -> None:
    log.write(2)
    assert log.read() == [1, 2]
    for name, changed_at_s in (("mainlog.2", 100), ("mainlog.1", 200)):
        log.write(2)
        log.path.rename(log.path.with_name(name))
        os.utime(log.path.with_name(name), (changed_at_s, changed_at_s))
    log.write(1)

    assert log.read() == [3, 4, 5, 6, 7]


def test_log_that_was_rotated_out_of_reach_is_read_from_the_present_file(log: Log) -> None:
    log.write(2)
    log.read()
    log.path.unlink()
    log.write(2)

    assert log.follower.read(log.place, now_s=0).is_lost
    assert log.read() == [3, 4]


def test_line_without_an_end_is_cut_and_passed(log: Log) -> None:
    log.write(1)
    with log.path.open("ab") as file:
        file.write(b"2026-11-26 10:00:00 endless " + b"x" * 600_000 + b" 0\n")
    log.write(1)

    place, texts = None, []
    for _ in range(10):
        reading = log.follower.read(place, now_s=0)
        texts += [line.text for line in reading.lines]
        place = reading.place

    assert texts[0].endswith("line 1")
    assert texts[-1].endswith("line 2")
    assert max(map(len, texts)) <= 4_000


def batch(*texts: str, after: Place | None, place: Place | None, number: int = 1) -> LogBatch:
    lines = tuple(line for text in texts if (line := parse_line(f"2027-01-15 08:00:00 {text}")))
    return LogBatch(host="mx1", began_at_ms=1, number=number, after=after, place=place, lines=lines)


FIRST, SECOND = Place(file="f", offset=10), Place(file="f", offset=20)


async def test_batches_count_once_and_in_order(database: Database) -> None:
    service = LogService(database)
    one = batch(f"{ID} <= a@x.test S=9 for u@y.test", after=None, place=FIRST)
    two = batch(f"{ID} == u@y.test R=r defer (1): later", after=FIRST, place=SECOND, number=2)

    assert apply_log(database, two, now_ms=NOW_MS).place is None  # it came too early
    assert apply_log(database, one, now_ms=NOW_MS) == LogHeld(batch=(1, 1), place=FIRST)
    assert apply_log(database, one, now_ms=NOW_MS).place == FIRST
    assert apply_log(database, two, now_ms=NOW_MS).place == SECOND
    assert apply_log(database, two, now_ms=NOW_MS).place == SECOND

    found = [each.line for each in await service.of_message(ID)]
    assert [line.event for line in found] == [Event.ARRIVAL, Event.DEFER]
    assert found[1].sender == "a@x.test"  # of its arrival
    assert (await service.sources())[0].lines == 2
    with pytest.raises(MessageNotFoundError):
        await service.of_message("1xUNcV-0005ay-0e")


async def test_filters_find_lines(database: Database) -> None:
    service = LogService(database)
    texts = (
        f"{ID} <= A@X.test H=mx.one [192.0.2.1] S=90 for U@y.test",
        f"{ID} ** u@y.test R=r H=mx.two [192.0.2.2]: SMTP error: 550 5.1.1 no 100%_mailbox",
        "Start queue run: pid=1",
    )
    apply_log(database, batch(*texts, after=None, place=FIRST), now_ms=NOW_MS)

    async def found(**wanted: object) -> list[str]:
        page = await service.page(LogFilter(**wanted), descending=False)  # type: ignore[arg-type]
        assert page.total == len(page.lines)
        return [each.line.event.value for each in page.lines]

    assert await found() == ["arrival", "bounce", "other"]
    assert await found(sender="a@x") == ["arrival", "bounce"]
    assert await found(recipient="u@Y") == ["arrival", "bounce"]
    assert await found(keywords=("100%_MAIL",)) == ["bounce"]
    assert await found(keywords=("%",), events=("arrival",)) == []
    assert await found(code="550") == await found(remote="192.0.2.2") == ["bounce"]
    assert await found(size_min=90, size_max=90, events=("arrival",)) == ["arrival"]
    assert await found(message_id="\0") == []
    assert await found(from_ms=1, to_ms=2) == []


async def test_old_lines_are_forgotten_and_what_is_too_much(database: Database) -> None:
    texts = [f"line {number}" for number in range(10)]
    held = batch(*texts, after=None, place=FIRST)
    apply_log(database, held, now_ms=NOW_MS)
    at_ms = held.lines[0].at_ms

    assert forget(database, keep_ms=1_000, lines_max=4, now_ms=at_ms) == 6
    kept = [each.line.text for each in await LogService(database).newest(LogFilter(), count=99)]
    assert [text.split()[-1] for text in kept] == ["6", "7", "8", "9"]
    assert forget(database, keep_ms=1_000, lines_max=4, now_ms=at_ms + 1_001) == 4


async def test_teller_goes_on_where_the_database_is_whatever_gets_lost(
    log: Log, database: Database
) -> None:
    moment, lost = [0.0], [0]

    def send(told: LogBatch) -> None:
        lost[0] += 1
        if lost[0] % 3 == 0:
            raise UnavailableError("broker", "away")
        answer = apply_log(database, told, now_ms=NOW_MS)
        if lost[0] % 3 != 1:  # else the answer is lost
            teller.note_held(answer)

    def make() -> LogTeller:
        return LogTeller(
            log.follower, "mx1", send=send, now_ms=lambda: NOW_MS, monotonic_s=lambda: moment[0]
        )

    for _ in range(3):
        teller = make()
        log.write(5)
        for _ in range(12):
            moment[0] += 11
            teller.wake()
            teller.step()

    kept = await LogService(database).newest(LogFilter(), count=99)
    assert [int(each.line.text.split()[-1]) for each in kept] == list(range(1, 16))


async def test_host_without_a_log_file_says_so(database: Database) -> None:
    teller = LogTeller(
        None,
        "mx1",
        send=lambda told: teller.note_held(apply_log(database, told, now_ms=NOW_MS)),
        now_ms=lambda: NOW_MS,
    )

    for _ in range(3):
        teller.wake()
        teller.step()

    assert (await LogService(database).sources())[0].trouble == "Exim writes no log file"


def test_lines_that_keep_coming_are_told_together(log: Log) -> None:
    moment, told = [0.0], list[LogBatch]()

    def send(batch: LogBatch) -> None:
        told.append(batch)
        teller.note_held(LogHeld(batch=(batch.began_at_ms, batch.number), place=batch.place))

    teller = LogTeller(
        log.follower, "mx1", send=send, now_ms=lambda: NOW_MS, monotonic_s=lambda: moment[0]
    )
    for lines in (1, 1, 1, 0, 2 * LINES_MAX, 0, 0, 0, 0):
        log.write(lines)
        moment[0] += 0.125  # a quarter of the rest
        teller.step()

    counts = [len(each.lines) for each in told]
    # The question where to go on; what is there; what had gathered; the rest of it without a rest.
    assert counts == [0, 2, LINES_MAX, LINES_MAX, 1]
