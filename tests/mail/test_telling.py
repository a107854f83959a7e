"""The teller of a spool: the first change at once, more of them gathered, many without a rest."""

from collections.abc import Iterator

import pytest

from models.mail.rules import Applied, Batch
from models.mail.telling import LIFE_S, REST_EACH_S, REST_S_MAX, Teller
from models.mail.watcher import BATCH_MESSAGES_MAX, Watcher
from tests.mail.exim_server import EximServer


class Telling:
    """A teller of a real spool, whose index hears when the test says so."""

    def __init__(self, exim: EximServer) -> None:
        self.told: list[Batch] = []
        self.now_s = 1_000.0
        self.watcher = Watcher(exim.spool, "mx1", generation=1)
        self.teller = Teller(
            self.watcher,
            generation=1,
            send=self.told.append,
            new_generation=lambda: 2,
            monotonic_s=lambda: self.now_s,
        )
        self.step()  # all that is there, which is nothing
        self.now_s += LIFE_S / 2

    def step(self) -> list[str]:
        """Make a step, let the index hear what was told in it, and return that."""
        before = len(self.told)
        self.teller.step()
        for each in self.told[before:]:
            held = each.generation, each.number
            self.teller.note_applied(Applied(to_batch=held, holds=held))
        return [mail.message_id for each in self.told[before:] for mail in each.there]


@pytest.fixture
def telling(exim: EximServer) -> Iterator[Telling]:
    made = Telling(exim)
    made.step()  # the answer is heard
    yield made
    made.teller.close()
    made.watcher.close()


def test_change_after_a_quiet_moment_is_told_at_once(telling: Telling, exim: EximServer) -> None:
    message_id = exim.submit("u@defer.test")

    assert telling.step() == [message_id]


def test_change_soon_after_another_hardly_waits(telling: Telling, exim: EximServer) -> None:
    first = exim.submit("u@defer.test")
    telling.step()
    exim.run("-Mf", first)

    telling.now_s += 2 * REST_EACH_S
    assert telling.step() == [first]


def test_changes_after_many_others_are_told_together(telling: Telling, exim: EximServer) -> None:
    first = exim.submit("u@defer.test")
    exim.copies(first, 20)
    telling.step()
    later = [exim.submit("u@defer.test") for _ in range(3)]
    exim.run("-Mf", first)

    telling.now_s += REST_S_MAX / 2
    assert telling.step() == []
    telling.now_s += REST_S_MAX / 2
    assert sorted(telling.step()) == sorted([first, *later])


def test_very_many_changes_are_told_without_a_rest(telling: Telling, exim: EximServer) -> None:
    first = exim.submit("u@defer.test")
    telling.step()
    exim.copies(first, 2 * BATCH_MESSAGES_MAX)

    assert telling.step()
    assert telling.step()
    telling.now_s += REST_S_MAX
    telling.step()

    assert len(telling.watcher.message_ids) == 2 * BATCH_MESSAGES_MAX + 1
    assert not telling.watcher.has_changes
