"""Whether the queue stays as quick as it is when it gets long, old, or a dump is under way.

In this process, without HTTP, since what may change with size is the database's part; on data of
its own, as durable as installed. The peer is the claim that everybody writes, `ORDER BY ... LIMIT
... FOR UPDATE SKIP LOCKED`, in the same run. On SQLite, which removes a row when it is deleted and
has one writer, ours is that claim.

    python bench/messages_size.py [--database sqlite|postgresql|both] [--quick] [--record]
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench.machine import describe, disk_sync_us, load_average
from bench.report import Report
from bench.size_store import BATCH, Store
from models import clock
from models.messages import jobs
from tests.postgresql import DurablePostgresqlServer
from tests.servers import temporary_folder

SLOWER_MAX: Final = 2.0
LEFT_MB_MAX: Final = 100.0
LAST_MIN: Final = 0.9
WORKERS: Final = 4
# SQLite keeps everything in one file: what is kept goes while the messages do.
DELETED_EVERY: Final = 10_000


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    long: int  # messages that wait, against 1,000
    rounds: int  # of nine claims of BATCH each, on either
    held_cycles: int  # of BATCH messages each, beside an open transaction
    cycled: int  # messages that go through in all


FULL: Final = Sizes(long=1_000_000, rounds=7, held_cycles=2_000, cycled=1_000_000)
QUICK: Final = Sizes(long=20_000, rounds=1, held_cycles=100, cycled=20_000)


class Bench:
    """One database under measurement."""

    def __init__(self, new_url: Callable[[], str], sizes: Sizes, report: Report) -> None:
        self._new_url: Final = new_url
        self._sizes: Final = sizes
        self._report: Final = report

    async def run(self, kinds: Sequence[bool]) -> None:
        """Measure everything; `kinds` has False for ours and True for the plain claim."""
        rows = []
        for is_plain in kinds:
            name = "plain SKIP LOCKED claim" if is_plain else "ours"
            rows.append(await self._length(name, is_plain=is_plain))
        for is_plain in kinds:
            name = "plain SKIP LOCKED claim" if is_plain else "ours"
            rows.append(await self._beside_a_dump(name, is_plain=is_plain))
        self._report.table((f"claim of {BATCH}, ms", "at rest", "under it", "times"), rows)
        await self._age()

    def _verdict(self, sentence: str, *, holds: bool) -> None:
        self._report.say(f"{sentence} {'holds' if holds else 'MISSED'}")

    async def _length(self, name: str, *, is_plain: bool) -> Sequence[str]:
        short, long = (Store(self._new_url(), is_plain=is_plain) for _ in range(2))
        long.fill(self._sizes.long)
        times: dict[Store, list[float]] = {short: [], long: []}
        for _ in range(self._sizes.rounds):  # in turns, so that both meet the same weather
            short.fill(1_000)
            for store in (short, long):
                times[store] += (await store.claims(9)).claims_s
        medians = [median(times[store]) * 1000 for store in (short, long)]
        for store in (short, long):
            await store.close()
        if not is_plain:
            self._verdict(
                f"{self._sizes.long:,} waiting against 1,000: a claim of {BATCH} takes"
                f" {medians[1] / medians[0]:.2f} times as long, at most {SLOWER_MAX:.0f}",
                holds=medians[1] <= medians[0] * SLOWER_MAX,
            )
        return _row(f"{name}: {self._sizes.long:,} waiting against 1,000", *medians)

    async def _beside_a_dump(self, name: str, *, is_plain: bool) -> Sequence[str]:
        count = self._sizes.held_cycles
        rest, held = (Store(self._new_url(), is_plain=is_plain) for _ in range(2))
        with held.transaction_held():
            for _ in range(10):
                at_rest = await rest.cycles(count // 10)
                under = await held.cycles(count // 10)
        for store in (rest, held):
            await store.close()
        medians = at_rest.claim_ms, under.claim_ms
        if not is_plain:
            self._verdict(
                f"after {count * BATCH:,} messages beside an open transaction: a claim of {BATCH}"
                f" takes {medians[1] / medians[0]:.2f} times as long, at most {SLOWER_MAX:.0f}",
                holds=medians[1] <= medians[0] * SLOWER_MAX,
            )
        self._report.say(
            f"{name}: storing, taking and acknowledging the last tenth took"
            f" {under.took_s / at_rest.took_s:.2f} times as long"
        )
        return _row(f"{name}: beside a transaction held open", *medians)

    async def _age(self) -> None:
        store = Store(self._new_url())
        before_mb, _ = store.size_mb()
        window = self._sizes.cycled // 10
        rates: list[float] = []
        for _ in range(10):
            began_s = time.perf_counter()
            await self._window(store, window)
            rates.append(window / (time.perf_counter() - began_s))
        at_once_mb, kept_mb = store.size_mb()
        store.wait_for_vacuum()
        after_mb, kept_mb = store.size_mb()
        await store.close()
        left_mb = after_mb - before_mb - kept_mb
        at_once_mb -= before_mb + kept_mb
        self._verdict(
            f"{self._sizes.cycled:,} messages stored, taken and acknowledged leave {left_mb:.0f} MB"
            f" ({at_once_mb:.0f} until the vacuum came) beside {kept_mb:.0f} MB of those kept, at"
            f" most {LEFT_MB_MAX:.0f}",
            holds=left_mb <= LEFT_MB_MAX,
        )
        self._verdict(
            f"the last {window:,} at {rates[-1] / rates[0]:.2f} of the rate of the first"
            f" ({rates[0]:,.0f}/s, then {', '.join(f'{rate:,.0f}' for rate in rates[1:])}), at"
            f" least {LAST_MIN}",
            holds=rates[-1] >= rates[0] * LAST_MIN,
        )

    async def _window(self, store: Store, count: int) -> None:
        part = DELETED_EVERY if store.database.is_sqlite else count
        for _ in range(max(count // part, 1)):
            rounds = min(part, count) // WORKERS // BATCH
            await asyncio.gather(*(store.cycles(rounds) for _ in range(WORKERS)))
            if store.database.is_sqlite:
                await asyncio.to_thread(
                    jobs.grow_old,
                    store.database,
                    archive_after_ms=0,
                    delete_after_ms=0,
                    now_ms=clock.now_ms(),
                )


def _row(name: str, rest_ms: float, under_ms: float) -> Sequence[str]:
    return name, f"{rest_ms:.2f}", f"{under_ms:.2f}", f"{under_ms / rest_ms:.2f}"


def main() -> None:
    options = _options()
    databases = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    report = Report("messages_size")
    sizes = QUICK if options.quick else FULL
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        report.say(describe("sqlalchemy", "psycopg"))
        report.say(f"disk sync {disk_sync_us(folder):.0f} µs, load average {load_average():.1f}")
        for database in databases:
            report.heading(database)
            (folder / database).mkdir(mode=0o711)
            new_url = _new_urls(database, folder / database, stack)
            is_sqlite = database == "sqlite"
            asyncio.run(Bench(new_url, sizes, report).run((False,) if is_sqlite else (False, True)))
        report.say(f"load average {load_average():.1f} at the end; the bench itself is some of it")
    if options.record:
        report.record()


def _new_urls(database: str, folder: Path, stack: ExitStack) -> Callable[[], str]:
    """Return what makes empty databases."""
    numbers = itertools.count()
    if database == "sqlite":
        return lambda: f"sqlite:///{folder}/{next(numbers)}.db"
    server = stack.enter_context(DurablePostgresqlServer(folder))
    return lambda: server.create_database(f"size{next(numbers)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choices = ("sqlite", "postgresql", "both")
    parser.add_argument("--database", choices=choices, default="both")
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    parser.add_argument("--record", action="store_true", help="write the result to bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
