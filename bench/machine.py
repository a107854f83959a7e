"""The machine a measurement ran on, and what processes cost on it."""

import os
import platform
import sqlite3
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_SYNCS: Final = 300
_SYNC_BYTES: Final = 4096


def tree_cpu_s(pid: int) -> float:
    """Return the CPU time of a process, its descendants and those of them that ended."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        number = int(path.parent.name)
        children.setdefault(int(fields[1]), []).append(number)
        ticks[number] = sum(map(int, fields[11:15]))  # its own and its ended children's
    total, left = 0, [pid]
    while left:
        number = left.pop()
        total += ticks.get(number, 0)
        left += children.get(number, [])
    return total / _TICKS_PER_S


def disk_sync_us(folder: Path) -> float:
    """Return how long the disk under a folder takes to keep 4 KiB appended to a file: a median."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            file.write(b"x" * _SYNC_BYTES)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return median(times) * 1e6


def describe(*packages: str) -> str:
    """Say in one line what the figures depend on: machine, versions, date."""
    parts = [
        f"{os.cpu_count()} cores ({_cpu_name()})",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
        *(f"{package} {version(package)}" for package in packages),
        f"{datetime.now(UTC):%Y-%m-%d}",
    ]
    return ", ".join(parts)


def load_average() -> float:
    """Return how many processes wanted the CPU in the last minute."""
    return os.getloadavg()[0]


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
