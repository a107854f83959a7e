"""The machine a measurement ran on, and what processes cost on it."""

import os
import platform
import resource
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
    ticks = _ticks_by_process()
    return sum(ticks.get(number, (0, 0))[1] for number in _tree(pid, ticks)) / _TICKS_PER_S


def tree_anonymous_kib(pid: int) -> int:
    """Return the memory that a process and its descendants have for themselves."""
    return _tree_kib(pid, "RssAnon:")


def tree_resident_kib(pid: int) -> int:
    """Return the memory that a process and its descendants hold, what they share counted again."""
    return _tree_kib(pid, "VmRSS:")


def _tree_kib(pid: int, name: str) -> int:
    total = 0
    for number in _tree(pid, _ticks_by_process()):
        try:
            lines = Path(f"/proc/{number}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(name))
    return total


def _ticks_by_process() -> dict[int, tuple[int, int]]:
    """Return each process's parent, and its ticks of CPU with those of its ended children."""
    found: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        found[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    return found


def _tree(pid: int, processes: dict[int, tuple[int, int]]) -> list[int]:
    tree = [pid]
    for number in tree:  # grows meanwhile
        tree += [child for child, (parent, _) in processes.items() if parent == number]
    return tree


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


def raise_open_files(wanted: int) -> None:
    """Let this process and those it starts have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


def load_average() -> float:
    """Return how many processes wanted the CPU in the last minute."""
    return os.getloadavg()[0]


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
