"""Make a back-up of everything that cannot be had again, and put one back."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from models.backups import archive, databases, room_lines
from models.backups.manifests import DATABASE, FORMAT, ROOMS, SECRETS, BackupError, Manifest, check
from models.secrets import secrets_path


@dataclass(frozen=True, slots=True)
class Stores:
    """Where everything lies that cannot be had again."""

    database_url: str
    data: Path  # the folder with the secrets
    redis: redis.Redis
    environ: Mapping[str, str]  # what programs of the database start with


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put back, and where what was there lies now."""

    manifest: Manifest
    room_keys: int
    set_aside: tuple[str, ...]


def back_up(
    stores: Stores,
    target: Path,
    *,
    release: str,
    schema: str,
    now_ms: int,
) -> Manifest:
    """Write database, rooms and secrets to one file while everything runs; return its manifest.

    The database is of one moment, and so is each room, a little later: whoever joined between
    both is in the line. Raises BackupError, with no file left behind.
    """
    with _folder(target.absolute().parent, ".backup-") as folder:
        databases.copy(stores.database_url, folder / DATABASE, environ=stores.environ)
        room_lines.copy(stores.redis, folder / ROOMS)
        paths = {DATABASE: folder / DATABASE, ROOMS: folder / ROOMS}
        if secrets_path(stores.data).exists():
            paths[SECRETS] = secrets_path(stores.data)
        manifest = Manifest(
            format=FORMAT,
            release=release,
            schema=schema,
            backend=databases.backend_of(stores.database_url),
            made_at_ms=now_ms,
            parts=tuple(archive.describe(name, path) for name, path in paths.items()),
        )
        archive.write(target, manifest, list(paths.values()))
    return manifest


def restore(
    stores: Stores,
    source: Path,
    *,
    schema: str,
    may_replace: bool,
    now_ms: int,
) -> Restored:
    """Put a back-up in place; what was there is set aside, and only if `may_replace`.

    Nothing may run meanwhile. The database is as old as the back-up: migrate it afterwards.
    Raises NotEmptyError or BackupError, which says so if something was changed already.
    """
    aside = f"before-{now_ms}"
    with _folder(stores.data, ".restore-") as folder:
        manifest = archive.unpack(source, folder)
        check(manifest, backend=databases.backend_of(stores.database_url), schema=schema)
        databases.require_rest(stores.database_url)
        if not may_replace:
            databases.require_empty(stores.database_url)
            room_lines.require_empty(stores.redis)
        kept = databases.restore(
            stores.database_url, folder / DATABASE, aside=aside, environ=stores.environ
        )
        try:
            count = room_lines.restore(stores.redis, folder / ROOMS)
        except BackupError as error:
            where = f", what was there is in {kept}" if kept else ""
            raise BackupError(
                error.subject, f"{error.reason} (the database is restored{where})"
            ) from error
        kept_secrets = _restore_secrets(secrets_path(stores.data), folder / SECRETS, aside)
    return Restored(
        manifest=manifest,
        room_keys=count,
        set_aside=tuple(each for each in (kept, kept_secrets) if each is not None),
    )


@contextmanager
def _folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder for the time of the block, on the disk where its content goes."""
    try:
        made = tempfile.TemporaryDirectory(dir=parent, prefix=prefix)
    except OSError as error:
        raise BackupError(str(parent), f"cannot be written to: {error.strerror}") from error
    with made as path:
        yield Path(path)


def _restore_secrets(target: Path, path: Path, aside: str) -> str | None:
    if not path.exists() or (target.exists() and target.read_bytes() == path.read_bytes()):
        return None
    kept = target.with_name(f"{target.stem}-{aside}{target.suffix}")
    was_there = target.exists()
    if was_there:
        target.replace(kept)
    path.chmod(0o600)
    path.replace(target)
    return str(kept) if was_there else None
