"""One instance for each data folder, and a folder for each instance."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from models.errors import ConflictError
from models.settings import SettingsError

# What a killed supervisor leaves behind ends within the time that a clean stop may take.
_LEFTOVERS_END_S: Final = 12.0
_LOOK_AGAIN_S: Final = 0.05
# Any of these says that a folder was ours before.
_OURS: Final = ("up.lock", "secrets.json", "run", "stanchion.db")


class AlreadyRunningError(ConflictError):
    """Another instance works in the data folder."""

    code = "already_running"

    def __init__(self, data: Path, pid: str) -> None:
        super().__init__(data, pid)
        self.data = data
        self.pid = pid

    def __str__(self) -> str:
        return f"already running in {self.data} as process {self.pid or 'unknown'}"


def prepare_data_folder(data: Path) -> None:
    """Make the data folder, and make it its owner's alone.

    Raises SettingsError when that is impossible, or when the folder holds somebody else's things,
    whose mode we must not change.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if data.stat().st_mode & 0o077:
            names = {entry.name for entry in data.iterdir()}
            if names and names.isdisjoint(_OURS):
                raise SettingsError("STANCHION_DATA", f"{data} must be empty or of mode 0700")
            data.chmod(0o700)
        (data / "run").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        reason = f"{data} cannot be used: {error.strerror}"
        raise SettingsError("STANCHION_DATA", reason) from error


def claim(data: Path) -> int:
    """Lock the data folder and return the lock's descriptor, which the programs must inherit.

    So it is free only when the last of them has ended, however the supervisor did. Waits for
    leftovers of one that was killed. Raises AlreadyRunningError when another instance runs.
    """
    lock = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LEFTOVERS_END_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(lock, 20, 0).decode()
            if _lives(pid) or time.monotonic() > deadline:
                os.close(lock)
                raise AlreadyRunningError(data, pid) from None
            time.sleep(_LOOK_AGAIN_S)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock


def _lives(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
