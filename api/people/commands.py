"""`stanchion user` and `stanchion key`: people and keys from this machine's command line.

Whoever runs it may read the database anyway, so it asks for no password but the new one.
"""

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from api.auth.access import login_policy
from models import migrate
from models.audit import Actor
from models.clock import iso_utc, now_ms
from models.database import Database
from models.errors import InvalidError
from models.people.rules import ApiKey, NewUser, Role, Scope, User, UserChange
from models.people.service import PeopleService
from models.secrets import ensure_secrets
from models.settings import Settings

T = TypeVar("T")

_CONNECTIONS: Final = 4
# The migration that made the table of keys.
_KEYS_SINCE: Final = "0003"


def user(settings: Settings, options: argparse.Namespace) -> int:
    """Make, list, change and disable users."""
    if options.action == "list":
        users = _run(settings, lambda people: people.users())
        _show([_user_facts(each) for each in users], options)
        return 0
    _show([_user_facts(_run(settings, _user_change(options)))], options)
    return 0


def key(settings: Settings, options: argparse.Namespace) -> int:
    """Make, list and revoke API keys."""
    actor = _actor()
    if options.action == "list":
        _show([_key_facts(each) for each in _run(settings, lambda people: people.keys())], options)
    elif options.action == "revoke":
        gone = _run(
            settings, lambda people: people.revoke_key(options.name, actor, now_ms=now_ms())
        )
        _show([_key_facts(gone)], options)
    else:
        scope = Scope(options.scope)
        made, secret = _run(
            settings, lambda people: people.add_key(options.name, scope, actor, now_ms=now_ms())
        )
        _show([_key_facts(made) | {"key": secret}], options)
        if not options.json:
            print("Keep the key: it is stored nowhere, and not shown again.", file=sys.stderr)
    return 0


def has_keys(settings: Settings) -> bool:
    """Say whether somebody made a key; in a database without the table nobody did.

    Raises UnavailableError.
    """
    current = migrate.current(settings.database_url)
    if current is None or current < _KEYS_SINCE:
        return False
    return bool(_run(settings, lambda people: people.keys()))


def make_first_admin(settings: Settings) -> bool:
    """Make the user `admin` where there is no user at all; say whether it made one."""
    return _run(settings, lambda people: people.make_first_admin(now_ms=now_ms()))


def _user_change(options: argparse.Namespace) -> Callable[[PeopleService], Awaitable[User]]:
    actor, name = _actor(), options.name.lower()
    if options.action == "add":
        new = NewUser(
            username=name,
            password=_read_password(options),
            role=Role(options.role),
            full_name=options.full_name,
            counter_id=options.counter,
        )
        return lambda people: people.add_user(new, actor, now_ms=now_ms())
    if options.action == "passwd":
        password = _read_password(options)
        return lambda people: people.reset_password(name, password, actor, now_ms=now_ms())
    change = UserChange(is_active=options.action == "enable")
    return lambda people: people.change_user(name, change, actor, now_ms=now_ms())


def _run(settings: Settings, work: Callable[[PeopleService], Awaitable[T]]) -> T:
    """Do one thing with people in a loop of its own."""

    async def run() -> T:
        database = Database(
            settings.database_url,
            connections_max=_CONNECTIONS,
            timeout_s=settings.database_timeout_s,
        )
        people = PeopleService(
            database,
            policy=login_policy(settings),
            first_password=lambda: ensure_secrets(settings).admin_password,
        )
        try:
            return await work(people)
        finally:
            people.close()
            database.close()

    return asyncio.run(run())


def _actor() -> Actor:
    return Actor(kind="command", name=getpass.getuser())


def _read_password(options: argparse.Namespace) -> str:
    """Read a password: from a pipe as it is, from a person twice."""
    if options.password_stdin:
        try:
            return sys.stdin.readline().rstrip("\n")
        except UnicodeDecodeError:
            raise InvalidError({"password": "Expected UTF-8"}) from None
    if not sys.stdin.isatty():
        raise InvalidError({"password": "Expected a terminal, or --password-stdin"})
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise InvalidError({"password": "Expected the same twice"})
    return password


def _user_facts(shown: User) -> dict[str, Any]:
    at_ms = shown.last_login_at_ms
    return {
        "id": shown.id,
        "username": shown.username,
        "role": shown.role.value,
        "full_name": shown.full_name,
        "counter_id": shown.counter_id,
        "active": shown.is_active,
        "last_login_at": None if at_ms is None else iso_utc(at_ms),
    }


def _key_facts(shown: ApiKey) -> dict[str, Any]:
    return {
        "id": shown.id,
        "name": shown.name,
        "scope": shown.scope.value,
        "created_at": iso_utc(shown.created_at_ms),
    }


def _show(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print rows as a table; for programs a list, or the one thing that a change made."""
    if options.json:
        print(json.dumps(rows if options.action == "list" else rows[0], indent=2))
        return
    if not rows:
        print("none")
        return
    cells = [[_cell(value) for value in row.values()] for row in rows]
    if options.action == "list":
        cells.insert(0, [name.upper() for name in rows[0]])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in {None, ""} else str(value)
