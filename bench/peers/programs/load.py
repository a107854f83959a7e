"""What the Python programs of peers share: workers side by side, counted after a warm-up.

A program runs in an interpreter of its own, with the peer's client and nothing of ours:
`program.py ROW SECONDS ADDRESS`. It prints one line of JSON; `"dry"` says that it ran out of work.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import quantiles

CLIENTS = 64
BATCH = 100
PRODUCER_PAUSE_S = 0.01
WAITING = 4
_WARM_UP_S = 0.5


class DryError(Exception):
    """Nothing was left to receive."""


class Meter:
    """Counts what workers finished since it was last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.count = 0
        self.times_s: list[float] = []

    def note(self, time_s: float, count: int = 1) -> None:
        """Count something done in `time_s`, worth `count`."""
        self.count += count
        self.times_s.append(time_s)


def payload(number: int) -> dict[str, object]:
    """Return a message of 256 bytes as JSON."""
    empty = len(json.dumps({"data": "", "at": 0})) + 8
    return {"data": "x" * (256 - empty), "at": number + 10**8}


async def measure(
    workers: Callable[[Meter], Sequence[Awaitable[None]]], seconds: float
) -> dict[str, object]:
    """Let workers run, endless each, and say what they did in `seconds`."""
    meter = Meter()
    tasks = [asyncio.ensure_future(worker) for worker in workers(meter)]
    await asyncio.sleep(_WARM_UP_S)
    meter.reset()
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    spent = time.perf_counter() - began
    share = (time.process_time() - cpu) / spent
    failed = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if any(isinstance(error, DryError) for error in failed):
        return {"dry": True}
    for error in failed:
        if error is not None:
            raise error
    if meter.count == 0:
        raise RuntimeError("nothing was finished in the time that was measured")
    cuts = quantiles(meter.times_s, n=100) if len(meter.times_s) > 1 else [0.0] * 99
    return {
        "per_s": meter.count / spent,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "cpu_share": share,
    }


def main(rows: Mapping[str, Callable[[str, float], Awaitable[dict[str, object]]]]) -> None:
    """Run the row that the command line names."""
    row, seconds, address = sys.argv[1:4]

    async def run() -> dict[str, object]:
        return await rows[row](address, float(seconds))

    print(json.dumps(asyncio.run(run())))
