"""`stanchion tail` and `stanchion messages`: the queue from an operator's terminal, over HTTP.

They ask a running server, this installation's or another, by the package that programs use too.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx

from api.messages import act_commands, activity_commands, browse_commands
from models.settings import Settings, SettingsError, host_of, port_of
from stanchion_client import (
    Client,
    ClientError,
    Event,
    QueueStatus,
    UnauthorizedError,
    UnreachableError,
)
from stanchion_client.calls import Call
from stanchion_client.transport import answer_of, checked, headers_of

_FAULT: Final = 1
# A request that changes many ends by itself after 20 s, and counts before and after.
_ACT_TIMEOUT_S: Final = 120.0
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # none is bound here
_JSON_MAX_BYTES: Final = 16_777_216


def tail(settings: Settings, options: argparse.Namespace) -> int:
    """Print what happens to messages, as it happens."""
    with _client(settings, options) as client:
        is_told = False
        for event in client.events(options.since):  # counts come every few seconds, if nothing else
            if not is_told:
                print("connected; waits for what happens, Ctrl-C ends it", file=sys.stderr)
                is_told = True
            if event.name != "metrics" and options.event in {None, event.name}:
                print(json.dumps(asdict(event)) if options.json else _line_of(event), flush=True)
    return 0


def messages(settings: Settings, options: argparse.Namespace) -> int:
    """Look at the messages queue, put something in, and set right what is in it."""
    if options.action in browse_commands.ACTIONS:
        with _connected(settings, options) as http:
            return browse_commands.browse(http, options)
    if options.action in act_commands.ACTIONS:
        with asking(settings, options) as ask:
            return act_commands.act(ask, options)
    if options.action in activity_commands.ACTIONS:
        with asking(settings, options) as ask:
            return activity_commands.tell(ask, options)
    with _client(settings, options) as client:
        if options.action == "stats":
            status = client.status(queue=options.queue)
            _show(_status_facts(status) if options.json else _table_of(status))
        else:
            queued = client.enqueue(
                _payload(options.payload),
                queue=options.queue,
                type=options.type,
                priority=options.priority,
                delay_s=options.delay,
            )
            _show({"id": queued.id} if options.json else queued.id)
    return 0


@contextmanager
def _client(settings: Settings, options: argparse.Namespace) -> Iterator[Client]:
    url, key = _url(settings, options), _key(settings, options)
    with _saying_what_fails(), Client(url, api_key=key) as client:
        yield client


@contextmanager
def _connected(settings: Settings, options: argparse.Namespace) -> Iterator[httpx.Client]:
    """Yield a connection for what the package for programs does not know."""
    url, headers = _url(settings, options), headers_of(_key(settings, options))
    with _saying_what_fails(), httpx.Client(base_url=url, headers=headers) as client:
        yield client


@contextmanager
def asking(settings: Settings, options: argparse.Namespace) -> Iterator[act_commands.Ask]:
    """Yield what asks a server for what the package for programs does not know."""
    with _connected(settings, options) as client:

        def ask(method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
            call: Call[dict[str, Any]] = Call(method=method, path=path, read=dict)
            try:
                answer = client.request(method, path, json=body, timeout=_ACT_TIMEOUT_S)
            except httpx.TransportError as error:
                raise UnreachableError(f"{client.base_url}: {error}") from None
            return answer_of(call, answer)

        yield ask


def _url(settings: Settings, options: argparse.Namespace) -> str:
    if options.url is None:
        return _own_url(settings)
    try:
        return checked(options.url)
    except ValueError:
        raise SettingsError("URL", "must begin with http:// or https://") from None


def _key(settings: Settings, options: argparse.Namespace) -> str | None:
    if options.key_file is None:
        return settings.secret_key
    try:
        return Path(options.key_file).read_text().strip()
    except OSError as error:
        raise SettingsError("KEY_FILE", str(error)) from None


@contextmanager
def _saying_what_fails() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        lacks_key = isinstance(error, UnauthorizedError) and error.status == HTTPStatus.UNAUTHORIZED
        advice = "; name a key by --key-file" if lacks_key else ""
        print(f"stanchion: {error}{advice}", file=sys.stderr)
        raise SystemExit(_FAULT) from None


def _own_url(settings: Settings) -> str:
    """Return where this installation's API listens, as seen from this machine."""
    address = settings.bind[0]
    host = _EVERYWHERE.get(host_of(address), host_of(address))
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port_of(address)}"


def _payload(text: str) -> dict[str, Any]:
    given = sys.stdin.read(_JSON_MAX_BYTES) if text == "-" else text
    try:
        payload = json.loads(given)
    except ValueError as error:
        raise SettingsError("PAYLOAD", f"is not JSON: {error}") from None
    if not isinstance(payload, dict):
        raise SettingsError("PAYLOAD", "is not a JSON object")
    return payload


def _show(what: object) -> None:
    print(what if isinstance(what, str) else json.dumps(what))


def _line_of(event: Event) -> str:
    facts = [f"{name}={value}" for name, value in event.data.items() if value is not None]
    return " ".join([f"{event.name:<8}", *facts])


def _status_facts(status: QueueStatus) -> dict[str, Any]:
    facts = asdict(status)
    for name in ("oldest_queued", "newest_queued"):
        facts[name] = None if facts[name] is None else _moment(facts[name])
    return facts


def _table_of(status: QueueStatus) -> str:
    lines = [f"{name:<14}{count:>12,}" for name, count in asdict(status.counts).items()]
    if status.oldest_queued is not None:
        lines.append(f"{'oldest queued':<14} {_moment(status.oldest_queued)}")
    for name, each in status.by_type.items():
        said = f"{each.queued:,} queued, {each.processing:,} processing"
        lines.append(f"  {name or '(no type)'}: {said}")
    return "\n".join(lines)


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
