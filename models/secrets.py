"""The secrets that exist from the first start on; an operator may set them instead.

They lie in `secrets.json` in the data folder, readable by its owner alone.
"""

import fcntl
import json
import os
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from models.errors import StanchionError
from models.settings import Settings

# Neither vowels, so that no words arise, nor what looks alike on a screen.
_LETTERS: Final = "".join(sorted(set(string.ascii_lowercase + string.digits) - set("aeiou01l")))
_GROUPS: Final = 4
_GROUP_LENGTH: Final = 5


class SecretsError(StanchionError):
    """The file of secrets cannot be read, written or understood; it is left as it is."""

    code = "secrets"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What lets an administrator in."""

    admin_key: str  # the rooms' X-Admin-Key
    admin_password: str  # of the user `admin`


def secrets_path(data: Path) -> Path:
    """Return where the secrets of a data folder lie."""
    return data / "secrets.json"


def ensure_secrets(settings: Settings) -> Secrets:
    """Return the secrets in force, and make those that neither the operator nor the file has.

    What this returns is on disk, and every later call, from whichever process, returns the same;
    what the settings say wins. Raises SecretsError rather than replace a file that it cannot
    read.
    """
    given = {"admin_key": settings.admin_key, "admin_password": settings.admin_password}
    if settings.admin_key and settings.admin_password:
        return Secrets(admin_key=settings.admin_key, admin_password=settings.admin_password)
    path = secrets_path(settings.data_dir)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _turn(path.parent):
            stored = _read(path)
            made = {name: _new_secret() for name in _NAMES if name not in stored}
            if made:
                _write(path, stored | made)
    except OSError as error:
        raise SecretsError(path, f"cannot be used: {error.strerror}") from error
    in_force = stored | made | {name: value for name, value in given.items() if value}
    return Secrets(**{name: in_force[name] for name in _NAMES})


_NAMES: Final = tuple(field.name for field in fields(Secrets))


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Let one process at a time look and write."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _read(path: Path) -> dict[str, str]:
    try:
        stored = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise SecretsError(
            path, "expected JSON; restore it, or remove it for new secrets"
        ) from None
    if not isinstance(stored, dict) or not all(
        isinstance(value, str) and value for value in stored.values()
    ):
        raise SecretsError(path, "expected an object of strings that are not empty")
    return stored


def _write(path: Path, content: dict[str, str]) -> None:
    """Replace the file in one step that a crash cannot halve."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123  # a descriptor has no path
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(descriptor)
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _new_secret() -> str:
    """Return 20 characters in groups, 96 bits, that can be read aloud and typed."""
    return "-".join(
        "".join(secrets.choice(_LETTERS) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS)
    )
