"""What a policy would do to waits, before it is switched."""

import asyncio
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import cli
from models import clock
from models.database import Database
from models.tickets.rules import Policy, Priority, Status
from models.tickets.simulation import (
    Figures,
    Session,
    Visitor,
    compare,
    sessions_from,
    waits_ms,
)
from tests.tickets.conftest import House

MINUTE_MS = 60_000
DAYS = Figures(arrivals_per_hour=12, service_min=4.5, priority_share=0.2, hours=8, days=20)


def visitors(*given: tuple[float, Priority]) -> tuple[Visitor, ...]:
    """Return people who came at these minutes and hold a counter for ten each."""
    return tuple(
        Visitor(
            id=number,
            queued_at_ms=round(minute * MINUTE_MS),
            priority=priority,
            held_ms=10 * MINUTE_MS,
        )
        for number, (minute, priority) in enumerate(given)
    )


NORMAL, ELDERLY = Priority.NORMAL, Priority.ELDERLY
# Two come before the counter opens, and one much later.
PEOPLE = visitors((0, NORMAL), (1, NORMAL), (2, NORMAL), (3, ELDERLY), (4, ELDERLY), (100, NORMAL))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy.FIFO, [5, 14, 23, 32, 41, 0]),
        (Policy.STRICT, [25, 34, 43, 2, 11, 0]),
        (Policy.AGEING, [25, 34, 43, 2, 11, 0]),
        (Policy.INTERLEAVE, [5, 24, 43, 12, 31, 0]),
    ],
)
def test_people_are_called_by_the_rules_of_the_hall(policy: Policy, expected: list[int]) -> None:
    session = Session(visitors=PEOPLE, starts_ms=(5 * MINUTE_MS,))

    waits = waits_ms(session, policy)

    assert [waits[each.id] // MINUTE_MS for each in PEOPLE] == expected


def test_counters_that_share_a_line_work_side_by_side() -> None:
    session = Session(visitors=PEOPLE, starts_ms=(0, 7 * MINUTE_MS))

    waits = waits_ms(session, Policy.FIFO)

    assert [waits[each.id] // MINUTE_MS for each in PEOPLE] == [0, 6, 8, 14, 16, 0]


@given(
    st.lists(st.tuples(st.floats(0, 300), st.sampled_from(Priority)), min_size=1, max_size=40),
    st.integers(1, 3),
)
def test_no_policy_makes_or_takes_waiting_when_all_services_are_alike(
    people: list[tuple[float, Priority]], counters: int
) -> None:
    session = Session(visitors=visitors(*people), starts_ms=(0,) * counters)

    totals = {sum(waits_ms(session, policy).values()) for policy in Policy}

    assert len(totals) == 1


def test_strict_is_the_best_for_the_preferred_and_the_worst_for_the_others() -> None:
    found = compare(sessions_from(DAYS, random=Random(1)))

    for priority, best_to_worst in (
        (Priority.PRIORITY, (Policy.STRICT, Policy.INTERLEAVE, Policy.FIFO)),
        (Priority.NORMAL, (Policy.FIFO, Policy.INTERLEAVE, Policy.STRICT)),
    ):
        means = [found[policy][priority].mean_min for policy in best_to_worst]
        assert means == sorted(means)
        assert len(set(means)) == 3


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = cli.main(["tickets", "simulate", *arguments])
    out, error = capsys.readouterr()
    return code, out + error


def test_the_command_repeats_itself_with_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    figures = ("--arrivals-per-hour", "10", "--service-minutes", "5", "--days", "3")

    first, again, other = (run(capsys, *figures, "--seed", seed)[1] for seed in ("1", "1", "2"))

    assert first == again != other
    assert [line.split()[0] for line in first.splitlines()[1::2]] == list(Policy)


@pytest.fixture
def own_database(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database that the command finds by the settings."""
    url = f"sqlite:///{tmp_path}/stanchion.db"
    (tmp_path / "stanchion.db").write_bytes(migrated_file.read_bytes())
    monkeypatch.setenv("STANCHION_DATABASE_URL", url)
    monkeypatch.setenv("STANCHION_DATA", str(tmp_path))
    return url


def fill(url: str) -> list[int]:
    """Serve a normal and then an elderly person at each of two counters; return their ids."""

    async def serve() -> list[int]:
        database = Database(url, connections_max=2, timeout_s=10)
        house = House(database)
        house.now_ms = clock.now_ms() - 60 * MINUTE_MS
        counter_ids = []
        for name in ("Quầy 1", "Quầy 2"):
            counter_ids.append((await house.counter(name)).id)
            issued = [await house.take(counter_ids[-1], each) for each in (NORMAL, ELDERLY)]
            await house.take(counter_ids[-1])  # who leaves, uncalled
            for each in issued:
                house.move_clock(2)
                await house.set(each.ticket.id, Status.CALLED)
                await house.set(each.ticket.id, Status.SERVING)
                house.move_clock(4)
                await house.set(each.ticket.id, Status.COMPLETED)
        await house.turnstile.close()
        database.close()
        return counter_ids

    return asyncio.run(serve())


def test_a_hall_is_tried_with_its_own_people(
    own_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    counter_id, _ = fill(own_database)

    code, said = run(capsys, "--json", "--counter", str(counter_id))
    _, of_all = run(capsys, "--json")

    rows = {(each["policy"], each["priority"]): each for each in json.loads(said)}
    assert code == 0
    assert rows["as it was", "elderly"]["mean_min"] == 8
    # The counter is free at once after the first of them.
    assert rows["fifo", "normal"] == rows["fifo", "normal"] | {"people": 1, "mean_min": 2}
    assert rows["fifo", "elderly"]["mean_min"] == 6
    assert rows["strict", "elderly"]["mean_min"] == 2
    assert rows["strict", "normal"]["longest_min"] == 6
    assert {each["people"] for each in json.loads(of_all)} == {2}
    code, said = run(capsys, "--counter", "77")
    assert code == 1
    assert all(part in said for part in ("counter", "77", f"{counter_id} (Quầy 1)", "(Quầy 2)"))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 1, "no branch"),
        (("--branch", "99"), 1, "99"),
        (("--arrivals-per-hour", "3"), 1, "service-minutes: Expected both"),
    ],
)
def test_the_command_says_what_is_wrong(
    own_database: str,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    assert own_database

    assert run(capsys, *arguments)[0] == code
    assert said.lower() in run(capsys, *arguments)[1].lower()


@pytest.mark.parametrize("wrong", [("--days", "0"), ("--days", "91"), ("--hours", "x")])
def test_the_command_refuses_what_cannot_be(
    capsys: pytest.CaptureFixture[str], wrong: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(capsys, *wrong)
    assert wrong[0] in capsys.readouterr().err
