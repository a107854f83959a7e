"""Copies of the database: SQLite by itself, PostgreSQL by its own programs."""

import contextlib
import os
import shutil
import sqlite3
import subprocess  # noqa: TID251  # PostgreSQL's own programs make its copies
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from models.backups.manifests import BackupError, NotEmptyError

# What libpq reads from the environment, where no other user sees it as on a command line.
_VARIABLES: Final = {
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "host": "PGHOST",
    "options": "PGOPTIONS",
    "port": "PGPORT",
    "service": "PGSERVICE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}
_SQLITE_BUSY_S: Final = 60.0
# What a restore sets aside is no part of later back-ups.
_ASIDE: Final = "public_"
_SIDE_FILES: Final = ("", "-wal", "-shm")
_WORDS_MAX: Final = 300


def backend_of(url: str) -> str:
    """Return `sqlite` or `postgresql`."""
    return make_url(url).get_backend_name()


def copy(url: str, path: Path, *, environ: Mapping[str, str]) -> None:
    """Write a copy of the database as it is at one moment; writers go on meanwhile.

    Raises BackupError when there is none, it does not answer, or the copy is not sound.
    """
    if backend_of(url) == "sqlite":
        _copy_sqlite(_file_of(url), path)
    else:
        _run(
            url,
            environ,
            *("pg_dump", "--format=custom", "--no-owner"),
            *(f"--exclude-schema={_ASIDE}*", f"--file={path}"),
        )


def require_empty(url: str) -> None:
    """Raise NotEmptyError when there is a database already."""
    if backend_of(url) == "sqlite":
        if _file_of(url).exists():
            raise NotEmptyError(str(_file_of(url)))
        return
    with _connected(url) as connection:
        count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        if connection.scalar(text(count)):
            raise NotEmptyError(f"the database {make_url(url).database}")


def require_rest(url: str) -> None:
    """Raise BackupError while others have the database open."""
    if backend_of(url) == "sqlite":
        _require_alone(_file_of(url))
        return
    with _connected(url) as connection:
        others = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        if count := connection.scalar(text(others)):
            reason = f"{count} connections are open: stop every process first"
            raise BackupError("the database", reason)


def restore(url: str, path: Path, *, aside: str, environ: Mapping[str, str]) -> str | None:
    """Put a copy in the place of the database; return where what was there lies now, if anything.

    `aside` becomes part of its name, `environ` is what PostgreSQL's programs start with. When
    anything fails, what was there is there again. Raises BackupError.
    """
    if backend_of(url) == "sqlite":
        return _restore_sqlite(_file_of(url), path, aside)
    return _restore_postgresql(url, path, aside, environ)


def _file_of(url: str) -> Path:
    return Path(make_url(url).database or "")


def _copy_sqlite(file: Path, path: Path) -> None:
    if not file.exists():
        raise BackupError(str(file), "there is no such database")
    try:
        with (
            contextlib.closing(
                sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
            ) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.execute(f"PRAGMA busy_timeout={int(_SQLITE_BUSY_S * 1000)}")
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
            (found,) = target.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as error:
        raise BackupError(str(file), f"cannot be copied: {error}") from error
    if found != "ok":
        raise BackupError(str(file), f"is damaged: {found}")


def _require_alone(file: Path) -> None:
    """Take the whole file for a moment: each open connection keeps its share of it."""
    if not file.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=0)) as connection:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        raise BackupError(str(file), f"is in use, stop every process first: {error}") from error


def _restore_sqlite(file: Path, path: Path, aside: str) -> str | None:
    part = file.with_name(f"{file.name}.part")
    try:
        shutil.copyfile(path, part)
        part.chmod(0o600)
        with part.open("rb") as copied:
            os.fsync(copied.fileno())
        kept = _set_aside(file, aside)
        part.replace(file)
    except OSError as error:
        raise BackupError(str(file), f"cannot be written: {error.strerror}") from error
    return kept


def _set_aside(file: Path, aside: str) -> str | None:
    """Rename a database with what belongs to it; an unfinished one would spoil the next."""
    kept = file.with_name(f"{file.stem}-{aside}{file.suffix}")
    was_there = file.exists()
    for ending in _SIDE_FILES:
        with contextlib.suppress(FileNotFoundError):
            file.with_name(file.name + ending).replace(kept.with_name(kept.name + ending))
    return str(kept) if was_there else None


def _restore_postgresql(url: str, path: Path, aside: str, environ: Mapping[str, str]) -> str | None:
    """Restore beside what is there: a schema that fails is dropped, and the old one comes back."""
    kept = f"{_ASIDE}{aside}"
    with _connected(url) as connection:
        count = connection.scalar(
            text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        )
        connection.execute(text(f'ALTER SCHEMA public RENAME TO "{kept}"'))
        connection.execute(text("CREATE SCHEMA public"))
    try:
        _run(
            url,
            environ,
            *("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner"),
            *("--no-privileges", f"--dbname={make_url(url).database}", str(path)),
        )
    except BackupError:
        with _connected(url) as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text(f'ALTER SCHEMA "{kept}" RENAME TO public'))
        raise
    if count:
        return f"schema {kept}"
    with _connected(url) as connection:
        connection.execute(text(f'DROP SCHEMA "{kept}" CASCADE'))
    return None


def _run(url: str, environ: Mapping[str, str], program: str, *arguments: str) -> None:
    command = shutil.which(program)
    if command is None:
        reason = "is not installed (Debian: postgresql-client, of the server's version)"
        raise BackupError(program, reason)
    done = subprocess.run(  # noqa: S603
        [command, *arguments],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        env={**environ, **_environment(make_url(url)), "PGCLIENTENCODING": "UTF8"},
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        words = " ".join(done.stderr.split())[:_WORDS_MAX]
        raise BackupError(program, words or f"ended with {done.returncode}")


def _environment(url: URL) -> dict[str, str]:
    """Return how libpq reaches the database of an address."""
    given = {
        "PGHOST": url.host,
        "PGPORT": url.port,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    found = {name: str(value) for name, value in given.items() if value is not None}
    for name, value in url.query.items():
        if name not in _VARIABLES or not isinstance(value, str):
            reason = f"{name} cannot be passed on to PostgreSQL's programs"
            raise BackupError("STANCHION_DATABASE_URL", reason)
        found[_VARIABLES[name]] = value
    return found


@contextlib.contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        words = " ".join(str(error.orig).split())[:_WORDS_MAX]
        raise BackupError("the database", words) from error
    finally:
        engine.dispose()
