"""What a back-up is, and what is refused about one."""

from typing import Final

import msgspec

from models.errors import ConflictError, StanchionError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "database"
ROOMS: Final = "rooms"
SECRETS: Final = "secrets.json"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One member of the file, with what tells whether it is whole."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing in the file: what follows, from when and from what."""

    format: int
    release: str
    schema: str  # revision of the database
    backend: str  # `sqlite` or `postgresql`
    made_at_ms: int
    parts: tuple[Part, ...]


class BackupError(StanchionError):
    """A back-up cannot be written, read or used."""

    code = "backup"

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(subject, reason)
        self.subject = subject
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


class NotEmptyError(ConflictError):
    """There is something where a back-up would be restored to."""

    code = "not_empty"

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} is not empty: expected an empty one, or --replace to set it aside"


def check(manifest: Manifest, *, backend: str, schema: str) -> None:
    """Raise BackupError unless this release can restore it to that database.

    `schema` is the revision of this release; earlier ones are migrated afterwards.
    """
    if manifest.format != FORMAT:
        reason = f"expected format {FORMAT}, got {manifest.format}: it needs another release"
        raise BackupError("the back-up", reason)
    if manifest.backend != backend:
        reason = f"it is of {manifest.backend}, and STANCHION_DATABASE_URL names {backend}"
        raise BackupError("the back-up", reason)
    if manifest.schema > schema:
        reason = f"it has schema {manifest.schema}, this release {schema}: it needs a later one"
        raise BackupError("the back-up", reason)
