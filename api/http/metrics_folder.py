"""A folder for each server of several processes, in which they count together.

The folder is the server's own, whatever else runs on the same data folder. It is locked for as long
as a process of the server lives, and what a server left behind goes with the next start.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

_LOCK: Final = "lock"


def claim_metrics_folder(root: Path) -> Path:
    """Make an empty folder beneath `root`, and remove those that no process holds any more.

    The lock is this process's and that of all it forks, and ends with the last of them. Raises
    OSError when `root` cannot be written.
    """
    root.mkdir(mode=0o700, exist_ok=True)
    # One after the other: a folder that is not locked yet would look like a left one.
    with (root / _LOCK).open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for left in root.iterdir():
            if left.is_dir() and not _is_held(left):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
        # Never closed: the kernel lets go of it when the last process ends, however it ended.
        fcntl.flock(os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
    return folder


def _is_held(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
