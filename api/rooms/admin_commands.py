"""`stanchion rooms`: rooms from this machine's command line, by way of the stores themselves."""

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from api.http.reading import BodyType, read_json
from api.live.broadcaster import Broadcaster
from api.rooms import admin_bodies as bodies
from api.rooms.report_bodies import stats_view
from models.audit import Actor
from models.clock import now_ms
from models.database import Database
from models.errors import InvalidError
from models.redis import connect_async
from models.rooms.administration import Administration
from models.rooms.mirror import Mirror
from models.rooms.registry import Registry
from models.rooms.reports import Reports
from models.settings import Settings

T = TypeVar("T")

_CONNECTIONS: Final = 4
_PAGE: Final = 500
_FAULT: Final = 1
_TELL_TIMEOUT_S: Final = 2.0
# Their values are text, also where they look like a number.
_TEXTS: Final = frozenset({"name", "target_url"})


def administer(settings: Settings, options: argparse.Namespace) -> int:
    """List, make, change, show and delete rooms."""
    if options.action == "list":
        rooms = _run(settings, _all)
        facts = [msgspec.to_builtins(bodies.view(room)) for room in rooms]
        show(facts, options, [_line_of(each) for each in facts] or ["none"])
        return 0
    if options.action == "stats":
        room, stats = _report(settings, options.id)
        shown = msgspec.to_builtins(stats_view(room, stats))
        show(shown, options, [f"{name:<28} {value}" for name, value in shown.items()])
        return 0
    if options.action == "delete":
        return _delete(settings, options)
    room = _create(settings, options) if options.action == "create" else _set(settings, options)
    facts = msgspec.to_builtins(bodies.view(room))
    show(facts, options, [_line_of(facts)])
    return 0


def _create(settings: Settings, options: argparse.Namespace) -> Any:
    given = {
        "id": options.id,
        "name": options.name or options.id,
        "target_url": options.target_url,
        **_values_of(options.settings),
    }
    body = _read(given, bodies.RoomBody)
    with bodies.wire_names():
        return _run(settings, lambda rooms: rooms.create(body.room(), actor(), now_ms=now_ms()))


def _set(settings: Settings, options: argparse.Namespace) -> Any:
    body = _read(_values_of(options.settings), bodies.RoomChangeBody)
    with bodies.wire_names():
        return _run(
            settings,
            lambda rooms: rooms.change(options.id, body.changes(), actor(), now_ms=now_ms()),
        )


def _delete(settings: Settings, options: argparse.Namespace) -> int:
    if not options.yes:
        print(f"Type {options.id} to delete it, with everybody in it: ", end="", file=sys.stderr)
        sys.stderr.flush()
        if sys.stdin.readline().strip() != options.id:
            print("not deleted", file=sys.stderr)
            return _FAULT
    at_ms = now_ms()
    _run(settings, lambda rooms: rooms.delete(options.id, actor(), now_ms=at_ms))
    gone = msgspec.to_builtins(bodies.deleted(options.id, now_ms=at_ms))
    show(gone, options, [f"{options.id} is deleted"])
    return 0


async def _all(rooms: Administration) -> list[Any]:
    found: list[Any] = []
    while True:
        page = await rooms.page(after=found[-1].id if found else "", count=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found


def _run(settings: Settings, work: Callable[[Administration], Awaitable[T]]) -> T:
    """Do one thing with rooms in a loop of its own, and tell who watches."""

    async def run(database: Database, client: Any) -> T:
        registry = Registry(database)
        broadcaster = Broadcaster(client, kept_max=settings.events_kept_max)
        rooms = Administration(
            database,
            registry,
            Mirror(client, lambda: registry.rooms),
            broadcaster,
            rooms_max=settings.rooms_max,
        )
        done = await work(rooms)
        await _flush(broadcaster)
        return done

    return with_stores(settings, run)


def _report(settings: Settings, room_id: str) -> Any:
    async def run(database: Database, client: Any) -> Any:
        return await Reports(database, client).stats(room_id, now_ms=now_ms())

    return with_stores(settings, run)


def with_stores(settings: Settings, work: Callable[[Database, Any], Awaitable[T]]) -> T:
    """Do one thing with the stores, in a loop of its own."""
    return asyncio.run(_open(settings, work))


async def _open(settings: Settings, work: Callable[[Database, Any], Awaitable[T]]) -> T:
    database = Database(
        settings.database_url, connections_max=_CONNECTIONS, timeout_s=settings.database_timeout_s
    )
    client = connect_async(settings.redis_url)
    try:
        return await work(database, client)
    finally:
        await client.aclose()
        database.close()


async def _flush(broadcaster: Broadcaster) -> None:
    """Pass on what was told; with Redis away the API finds the change in the database."""
    try:
        await asyncio.wait_for(broadcaster.flush(), _TELL_TIMEOUT_S)
    except TimeoutError:
        print("stanchion: Redis is away, so nobody who watches was told", file=sys.stderr)


def _values_of(settings: Sequence[str]) -> dict[str, Any]:
    """Return settings by name; values that are JSON are read as such, all others are text."""
    values: dict[str, Any] = {}
    for each in settings:
        name, separator, value = each.partition("=")
        if not separator or not name:
            raise InvalidError({each: "Expected NAME=VALUE"})
        values[name] = value if name in _TEXTS else _value_of(value)
    return values


def _value_of(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _read(values: Mapping[str, Any], shape: type[BodyType]) -> BodyType:
    return read_json(msgspec.json.encode(values), msgspec.json.Decoder(shape))


def actor() -> Actor:
    """Return who types, for the audit log."""
    return Actor(kind="command", name=getpass.getuser())


def show(facts: Any, options: argparse.Namespace, lines: Sequence[str]) -> None:
    """Print facts: as JSON where that was asked for, else line by line."""
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(facts)).decode())
        return
    for line in lines:
        print(line)


def _line_of(facts: dict[str, Any]) -> str:
    limits = f"at most {facts['max_active_users']} inside, {facts['admission_rate']}/s"
    return f"{facts['id']:<24}  {facts['status']:<11}  {limits:<30}  {facts['target_url']}"
