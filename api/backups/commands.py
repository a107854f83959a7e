"""`stanchion backup` and `stanchion restore`: everything that cannot be had again, in one file."""

import argparse
import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import redis

from api.preconditions import make_data_folder
from api.supervisor import prepare_data_folder
from api.supervisor.embedded import redis_program
from api.supervisor.instance import claim
from api.supervisor.passing import running
from models import migrate
from models.backups import service
from models.backups.manifests import BackupError, Manifest
from models.backups.service import Stores
from models.clock import now_ms
from models.redis import RedisAwayError, connect
from models.settings import Settings, given_settings

_KIB: Final = 1_024


def backup(
    settings: Settings, environ: Mapping[str, str], options: argparse.Namespace, *, release: str
) -> int:
    """Write everything that cannot be had again to one file, while everything runs."""
    make_data_folder(settings)
    target = Path(options.file)
    schema = migrate.current(settings.database_url)
    if schema is None:
        raise BackupError("the database", "is empty: there is nothing to back up")
    with _redis_at_hand(settings, environ) as client:
        manifest = service.back_up(
            Stores(settings.database_url, settings.data_dir, client, environ),
            target,
            release=release,
            schema=schema,
            now_ms=now_ms(),
        )
    size_kib = target.stat().st_size // _KIB
    print(f"{target}: {_summary(manifest)}, {size_kib:,} KiB")
    return 0


def restore(settings: Settings, environ: Mapping[str, str], options: argparse.Namespace) -> int:
    """Put a back-up in place of what is there; nothing may run meanwhile."""
    prepare_data_folder(settings.data_dir)
    lock = claim(settings.data_dir)
    try:
        with _redis_at_hand(settings, environ, lock=lock) as client:
            done = service.restore(
                Stores(settings.database_url, settings.data_dir, client, environ),
                Path(options.file),
                schema=migrate.head(),
                may_replace=options.replace,
                now_ms=now_ms(),
            )
    finally:
        os.close(lock)
    migrate.upgrade(settings.database_url)
    print(f"restored {_summary(done.manifest)}, now schema {migrate.head()}")
    for each in done.set_aside:
        print(f"what was there is in {each}")
    return 0


def _summary(manifest: Manifest) -> str:
    at = datetime.fromtimestamp(manifest.made_at_ms / 1000, UTC).isoformat(timespec="seconds")
    return f"{manifest.backend}, schema {manifest.schema}, of {at}"


@contextlib.contextmanager
def _redis_at_hand(
    settings: Settings, environ: Mapping[str, str], *, lock: int | None = None
) -> Iterator[redis.Redis]:
    """Yield a client of the Redis in force; the embedded one is started for it if it rests.

    Raises BackupError when an external one does not answer, AlreadyRunningError when the embedded
    one does not although its instance runs.
    """
    is_own = "redis_url" not in given_settings(environ)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(connect(settings.redis_url))
        if not _answers(client):
            if not is_own:
                raise BackupError("Redis", f"does not answer at {settings.redis_url}")
            if lock is None:
                stack.callback(os.close, claim(settings.data_dir))
            stack.enter_context(running(redis_program(settings)))
        yield client


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisAwayError:
        return False
