"""Checks of the database, Redis, the broker, and of who works with them."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import text

from api.doctor.findings import Finding, fault, ok, warn
from api.doctor.machine import FREE_BYTES_MIN
from api.health import broker_answers
from models import migrate, outbox
from models.clock import now_ms
from models.database import Database
from models.redis import broker_url, connect
from models.settings import Settings
from models.vitals import Health, beat_health, read_vitals, workers_health
from workers.app import configure
from workers.system import probe_ms, start_probe

_REDIS_VERSION_MIN: Final = (6, 2)
_PROBE_TIMEOUT_S: Final = 5.0
_CLOCK_APART_MS_MAX: Final = 2_000
_OVERCOMMIT: Final = Path("/proc/sys/vm/overcommit_memory")


def check_database(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether the database answers, has this release's schema and keeps what it confirms."""
    current, needed = migrate.current(settings.database_url), migrate.head()
    if current is None or current < needed:
        found = "is empty" if current is None else f"has schema {current}"
        yield fault("database", f"{found}, this release needs {needed}", "run `stanchion migrate`")
    elif current > needed:
        told = f"has schema {current} of a later release than this ({needed})"
        yield warn("database", told, "bring this machine to that release")
    else:
        yield ok("database", f"answers, schema {current}")
    if settings.database_url.startswith("postgresql"):
        for setting in ("fsync", "full_page_writes"):
            if _ask(settings, f"SHOW {setting}") == "off":
                told = f"has {setting} off: a crash loses what was confirmed"
                yield fault("database", told, f"set {setting} to on in postgresql.conf")
    else:
        yield from _sqlite(settings)


def _sqlite(settings: Settings) -> Iterator[Finding]:
    """See whether the file system lets SQLite keep what it confirms, and has room for more."""
    if _ask(settings, "PRAGMA journal_mode") != "wal":
        advice = "keep the file on a local disk: no file system of a network will do"
        yield fault("database", "cannot keep a write-ahead log", advice)
    folder = Path(settings.database_url.removeprefix("sqlite:///")).parent
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        yield warn("database", f"has {free // 1_048_576} MiB left on its disk", "make room")
    else:
        yield ok("database", f"has {free // 1_048_576} MiB left on its disk")


def check_redis(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether Redis answers, is new enough, and keeps what it was given."""
    with connect(settings.redis_url) as client:
        facts = client.info()
        version = str(facts.get("valkey_version") or facts["redis_version"])
        # What a fork says for the sake of compatibility is what counts.
        compatible = tuple(int(part) for part in str(facts["redis_version"]).split(".")[:2])
        if compatible < _REDIS_VERSION_MIN:
            yield fault("redis", f"has version {version}", "6.2 or later is needed")
        else:
            yield ok("redis", f"answers, version {version}")
        if not facts.get("aof_enabled"):
            yield warn("redis", "has no append-only file", "set appendonly yes")
        elif facts.get("aof_last_write_status") != "ok":
            yield fault("redis", "cannot write its append-only file", "see its log and the disk")
        policy = facts.get("maxmemory_policy")
        if policy != "noeviction":
            yield fault("redis", f"drops data when full ({policy})", "set noeviction")
    yield from _overcommit()


def check_broker(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether the broker of tasks answers."""
    if settings.broker_url == settings.redis_url:
        yield ok("broker", "is the same Redis")
    elif broker_answers(broker_url(settings.broker_url)):
        yield ok("broker", "answers")
    else:
        yield fault("broker", "does not answer", "tasks wait until it does")


def check_workers(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether workers and beat show life."""
    with connect(settings.redis_url) as client:
        vitals = read_vitals(client)
    now = now_ms()
    names = ", ".join(sorted(vitals.worker_seen_at_ms)) or "none"
    if workers_health(vitals, now_ms=now) is Health.HEALTHY:
        yield ok("workers", f"alive: {names}")
    else:
        yield fault("workers", f"none gets work done; seen lately: {names}", "stanchion worker")
    if vitals.beat_ticked_at_ms is None:
        yield fault("beat", "was not seen in ten minutes", "stanchion beat")
        return
    ago_s = max(0, now - vitals.beat_ticked_at_ms) / 1_000
    healthy = beat_health(vitals, now_ms=now) is Health.HEALTHY
    told = f"ticked {ago_s:.1f} s ago"
    yield ok("beat", told) if healthy else fault("beat", told, "stanchion beat")


def check_outbox(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """Send a piece of work the whole way: database, broker, worker, database."""
    configure(settings)
    database = Database(settings.database_url, connections_max=4, timeout_s=_PROBE_TIMEOUT_S)
    try:
        probe = start_probe(database, resend_after_s=settings.outbox_resend_after_s)
        took_ms = probe_ms(database, probe, timeout_s=_PROBE_TIMEOUT_S)
        yield ok("outbox", f"a probe went through a worker in {took_ms} ms")
        with database.begin() as connection:
            failed = outbox.count_failed(connection)
        if failed:
            yield fault("outbox", f"{failed} pieces of work were given up", "see outbox.last_error")
    finally:
        database.close()


def check_clock(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """Compare this machine's clock with those of the servers: leases and rooms count on them."""
    others: dict[str, Callable[[], int]] = {"Redis": lambda: _redis_ms(settings)}
    if settings.database_url.startswith("postgresql"):
        others["PostgreSQL"] = lambda: int(
            _ask(settings, "SELECT extract(epoch FROM clock_timestamp()) * 1000").partition(".")[0]
        )
    for name, read in others.items():
        before = now_ms()
        theirs = read()
        # What the answer took is nobody's error.
        apart_ms = max(before - theirs, theirs - now_ms(), 0)
        told = f"{apart_ms} ms apart from {name}'s"
        if apart_ms > _CLOCK_APART_MS_MAX:
            yield fault("clock", told, "run a time service on both machines")
        else:
            yield ok("clock", told)


def _ask(settings: Settings, statement: str) -> str:
    """Return the one value that a statement without parameters answers."""
    database = Database(
        settings.database_url, connections_max=1, timeout_s=settings.database_timeout_s
    )
    try:
        with database.begin() as connection:
            return str(connection.execute(text(statement)).scalar_one())
    finally:
        database.close()


def _redis_ms(settings: Settings) -> int:
    with connect(settings.redis_url) as client:
        seconds, microseconds = client.time()
        return int(seconds) * 1_000 + int(microseconds) // 1_000


def _overcommit() -> Iterator[Finding]:
    """See whether the kernel lets Redis fork when memory is more than half full."""
    if _OVERCOMMIT.exists() and _OVERCOMMIT.read_text().strip() != "1":
        advice = "sysctl vm.overcommit_memory=1 on the machine that Redis runs on"
        yield warn("redis", "may fail to rewrite its file when memory is scarce", advice)
