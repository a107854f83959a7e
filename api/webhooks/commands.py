"""`stanchion webhooks`: webhooks from this machine's command line, by way of the database."""

import argparse
import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from api.webhooks.bodies import trial_view, view
from models.addresses import parse_networks
from models.audit import Actor
from models.clock import now_ms
from models.database import Database
from models.settings import Settings
from models.webhooks.rules import WEBHOOKS_MAX
from models.webhooks.service import WebhookService

T = TypeVar("T")

_CONNECTIONS: Final = 4
_FAULT: Final = 1


def webhooks(settings: Settings, options: argparse.Namespace) -> int:
    """List, test, pause and resume webhooks."""
    if options.action == "list":
        found = _run(settings, lambda service: service.page(after="", count=WEBHOOKS_MAX))
        facts = [msgspec.to_builtins(view(each, now_ms=now_ms())) for each in found]
        _print(facts, options, [_line_of(each) for each in facts] or ["none"])
        return 0
    if options.action == "test":
        return _test(settings, options)
    paused = options.action == "pause"
    found_one = _run(
        settings,
        lambda service: service.patch(options.name, {}, _actor(), paused=paused, now_ms=now_ms()),
    )
    fact = msgspec.to_builtins(view(found_one, now_ms=now_ms()))
    _print(fact, options, [_line_of(fact)])
    return 0


def _test(settings: Settings, options: argparse.Namespace) -> int:
    trial = _run(
        settings,
        lambda service: service.test(options.name, _actor(), now_ms=now_ms(), clock=now_ms),
    )
    shown = trial_view(trial)
    said = [f"{shown.error or f'answered {shown.status}'}, {shown.took_ms} ms"]
    if shown.answer:
        said.append(shown.answer)
    _print(msgspec.to_builtins(shown), options, said)
    return 0 if shown.delivered else _FAULT


def _run(settings: Settings, work: Callable[[WebhookService], Awaitable[T]]) -> T:
    """Do one thing with webhooks in a loop of its own."""

    async def run() -> T:
        database = Database(
            settings.database_url,
            connections_max=_CONNECTIONS,
            timeout_s=settings.database_timeout_s,
        )
        service = WebhookService(database, networks=parse_networks(settings.webhook_networks))
        try:
            return await work(service)
        finally:
            database.close()

    return asyncio.run(run())


def _actor() -> Actor:
    return Actor(kind="command", name=getpass.getuser())


def _print(facts: Any, options: argparse.Namespace, lines: list[str]) -> None:
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(facts)).decode())
        return
    for line in lines:
        print(line)


def _line_of(facts: dict[str, Any]) -> str:
    state = "sends"
    if facts["paused"]:
        state = f"paused: {facts['paused_reason'] or 'by somebody'}"
    elif facts["rests_until"]:
        state = f"rests until {facts['rests_until']}"
    taken = facts["queue"] + (f"/{facts['type']}" if facts["type"] else "")
    return f"{facts['name']:<20}  {taken:<20}  {facts['url']}  {state}"
