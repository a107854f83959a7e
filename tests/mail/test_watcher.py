"""The index holds what Exim lists, after any history of commands, however the watcher learns it."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.database import Database
from models.mail import inotify
from models.mail.exim import Exim
from models.mail.exim_answers import Listed
from models.mail.filters import MailFilter
from models.mail.host_check import look
from models.mail.rules import Action, Status
from models.mail.service import MailService
from models.mail.watcher import Watcher
from tests.mail.conftest import House
from tests.mail.exim_server import EximServer, Sink, require_exim
from tests.servers import wait_until

RECIPIENTS = (
    *("ok@far.test", "tmp@far.test", "perm@far.test"),
    *("u@defer.test", "u@fail.test", "u@down.test"),
)


def settled_and_listed(house: House) -> tuple[list[Listed]] | None:
    """Settle the index and list the queues; None if the spool changed between the two.

    A command of Exim may end before the delivery of a bounce that it caused.
    """
    before = house.exim.spool_state()
    house.settle()
    program = Exim(house.exim.command)
    listed = [each for queue in house.watcher.queues() for each in program.listing(queue)]
    return (listed,) if house.exim.spool_state() == before else None


async def assert_equal_to_exim(house: House) -> None:
    """Compare the index with what `exim -bp` lists, of every queue, once the spool is quiet."""
    [listed] = wait_until(lambda: settled_and_listed(house), "the spool is quiet")

    page = await MailService(house.database).page(MailFilter(), per_page=10_000)

    told = {
        each.mail.message_id: (
            each.mail.sender,
            each.mail.status is Status.FROZEN,
            set(each.mail.recipients) - set(each.mail.delivered),
            set(each.mail.delivered),
        )
        for each in page.mails
    }
    assert told == {
        each.message_id: (
            each.sender,
            each.is_frozen,
            set(each.recipients) - set(each.delivered),
            set(each.delivered),
        )
        for each in listed
    }
    assert page.totals.messages == page.total == len(listed)
    assert page.totals.by_status.get("frozen", 0) == sum(each.is_frozen for each in listed)


class History:
    """Does to an Exim whatever may be done by hand on its host."""

    def __init__(self, exim: EximServer, seed: int) -> None:
        self._exim = exim
        self._chance = random.Random(seed)
        self._deeds: list[Callable[[list[str]], object]] = [
            *(self._submit, self._submit, self._submit),
            lambda ids: exim.run("-Mf", *ids),
            lambda ids: exim.run("-Mt", *ids),
            lambda ids: exim.run("-Mrm", *ids[:1]),
            lambda ids: exim.run("-M", *ids),
            lambda ids: exim.run("-Mar", *ids[:1], "<added@defer.test>"),
            lambda ids: exim.run("-Mes", *ids[:1], "<changed@x.test>"),
            lambda ids: exim.run("-Mmd", *ids[:1], "<ok@far.test>"),
            lambda ids: exim.run("-Mmad", *ids[:1]),
            lambda ids: exim.run("-MG", "slow", *ids[:1]),
            lambda _ids: exim.run("-qff"),
        ]

    def step(self) -> None:
        """Do one thing to up to three messages."""
        there = sorted(self._exim.message_ids())
        chosen = self._chance.sample(there, min(len(there), self._chance.randint(1, 3)))
        deed = self._chance.choice(self._deeds)
        if chosen or deed == self._submit:
            deed(chosen)

    def _submit(self, _ids: list[str]) -> None:
        recipients = self._chance.sample(RECIPIENTS, self._chance.randint(1, 4))
        self._exim.submit(*recipients, sender=self._chance.choice(["a@x.test", "<>"]))


async def test_index_equals_exim_after_each_of_many_commands(house: House) -> None:
    history = History(house.exim, seed=6)

    for _ in range(25):
        history.step()
        await assert_equal_to_exim(house)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
async def test_index_equals_exim_after_long_histories(house: House, seed: int) -> None:
    history = History(house.exim, seed)

    for _ in range(120):
        history.step()
        await assert_equal_to_exim(house)


@pytest.fixture(scope="module")
def split_server(sink: Sink, new_folder: Callable[[str], Path]) -> EximServer:
    require_exim()
    return EximServer(new_folder("e"), sink_port=sink.port, is_split=True)


@pytest.fixture
def split_house(split_server: EximServer, database: Database) -> Iterator[House]:
    split_server.empty()
    made = House(split_server, database)
    yield made
    made.close()


def test_spool_of_a_new_exim_is_no_fault(split_server: EximServer) -> None:
    shutil.rmtree(Path(split_server.spool) / "input")  # as before the first message
    try:
        seen = {each.subject: each for each in look(Exim(split_server.command))}
    finally:
        split_server.submit("u@defer.test")

    assert not seen["spool"].is_needed
    assert "had no message yet" in seen["spool"].fact
    assert "usermod" not in seen["spool"].advice


async def test_split_spool_is_followed_as_its_folders_come(split_house: House) -> None:
    history = History(split_house.exim, seed=3)

    for _ in range(12):
        history.step()
        await assert_equal_to_exim(split_house)


async def test_looks_alone_find_what_notes_did_not_tell(
    house: House,
) -> None:
    first = house.exim.submit("u@defer.test")
    house.settle()
    list(house.watcher._inotify.read())
    second = house.exim.submit("u@defer.test")
    house.exim.run("-Mf", first)
    list(house.watcher._inotify.read())  # lost
    lost = inotify.Note(-1, inotify.Q_OVERFLOW, "")

    assert house.watcher._note(lost, None)
    house.watcher.rescan()

    assert house.watcher.message_ids == {first, second}
    await assert_equal_to_exim(house)


async def test_watcher_that_starts_anew_takes_out_what_left_meanwhile(house: House) -> None:
    gone, stays = house.exim.submit("u@defer.test"), house.exim.submit("u@defer.test")
    house.settle()
    house.watcher.close()
    house.exim.run("-Mrm", gone)

    house.watcher = Watcher(house.exim.spool, house.host, generation=2)

    await assert_equal_to_exim(house)
    assert house.watcher.message_ids == {stays}


async def test_comparison_with_exim_finds_what_is_missing_and_what_is_surplus(house: House) -> None:
    message_id = house.exim.submit("u@defer.test")
    other = "1AAAAA-000001-00"
    house.watcher.note()

    check = house.watcher.compare([other])

    assert (check.missing, check.surplus) == ((other,), (message_id,))
    assert house.watcher.compare([message_id]).surplus == ()
    await assert_equal_to_exim(house)


async def test_unreadable_message_spoils_no_other(house: House) -> None:
    broken, whole = house.exim.submit("u@defer.test"), house.exim.submit("u@defer.test")
    house.exim.file_of(broken, "H").write_bytes(b"nonsense\n")

    house.settle()

    page = await MailService(house.database).page(MailFilter())
    assert [each.mail.message_id for each in page.mails] == [whole]


async def test_long_ids_and_short_ones_live_side_by_side(house: House) -> None:
    short = house.exim.submit("u@defer.test")
    long = "1xUNfI-000000007uB-0PJq"
    for kind in "DH":
        raw = house.exim.file_of(short, kind).read_bytes()
        path = house.exim.file_of(short, kind).with_name(f"{long}-{kind}")
        written = path.with_name(f"hdr.{long}") if kind == "H" else path
        written.write_bytes(raw.replace(short.encode(), long.encode(), 1))
        shutil.move(written, path)  # as Exim does it: a header file is never half there

    house.settle()

    page = await MailService(house.database).page(MailFilter())
    assert {each.mail.message_id for each in page.mails} == {short, long}
    assert len({each.mail.size_bytes for each in page.mails}) == 1


async def test_action_of_ours_is_seen_like_one_by_hand(house: House) -> None:
    message_id = house.exim.submit("u@defer.test")
    Exim(house.exim.command).act(Action.FREEZE, [message_id])

    house.settle()

    found = await MailService(house.database).get(message_id)
    assert found.mail.status is Status.FROZEN
    assert found.mail.frozen_at_ms is not None
