"""The processes of this machine, as the kernel tells of them."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from tests.servers import wait_until


def children_of(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in brackets may hold anything; the state and the parent follow it.
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until_ended(pids: Iterable[int]) -> None:
    """Return when all of them have ended: a signal that was sent is not yet one that was felt.

    Raises ServerError after a while when one is left.
    """
    left = list(pids)
    wait_until(lambda: not any(map(is_alive, left)), "the processes have ended")
