"""`stanchion messages list`, `show`, `export`, `import`: looking, and files, from a terminal."""

import argparse
import json
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import httpx

from api.messages.parts import Part, parts_of
from models.settings import SettingsError
from stanchion_client import ClientError, RefusedError, UnreachableError
from stanchion_client.transport import refusal_of

ACTIONS: Final = frozenset({"list", "show", "export", "import"})
_FAULT: Final = 1
_TIMEOUT_S: Final = 60.0
_TRIES: Final = 3
_FILTERS: Final = (
    *("queue", "type", "group_key", "search"),
    *("created_after", "created_before", "min_attempts"),
)
_PLACE: Final = ("sort", "order", "limit", "cursor")


def browse(client: httpx.Client, options: argparse.Namespace) -> int:
    """Do what a command line asks for; raises ClientError."""
    if options.action == "list":
        _list(client, options)
    elif options.action == "show":
        _show(client, options)
    elif options.action == "export":
        _export(client, options)
    else:
        return _import(client, options)
    return 0


def _list(client: httpx.Client, options: argparse.Namespace) -> None:
    query = _query(options, (*_FILTERS, *_PLACE))
    answer = _ask(client, "GET", f"/api/queue/{options.list}/messages", params=query)
    if options.json:
        print(answer.text)
        return
    told = answer.json()
    for each in told["messages"]:
        print(_line_of(each))
    if not told["messages"] and told["cursor"] is None:
        print("none")
    if told["cursor"] is not None:
        print(f"… more with --cursor {told['cursor']}")


def _show(client: httpx.Client, options: argparse.Namespace) -> None:
    answer = _ask(client, "GET", f"/api/queue/message/{options.id}")
    if options.json:
        print(answer.text)
        return
    for name, value in answer.json().items():
        said = json.dumps(value, ensure_ascii=False) if name == "payload" else _said(value)
        print(f"{name:<20} {said}")


def _export(client: httpx.Client, options: argparse.Namespace) -> None:
    query = _query(options, (*_FILTERS, "format"))
    path = f"/api/queue/{options.list}/messages/export"
    with _told(client), client.stream("GET", path, params=query, timeout=_TIMEOUT_S) as answer:
        if not answer.is_success:
            answer.read()
            raise refusal_of(answer)
        with _output(options.output) as file:
            for piece in answer.iter_bytes():
                file.write(piece)


def _import(client: httpx.Client, options: argparse.Namespace) -> int:
    done = options.skip
    if options.batch < 1 or options.skip < 0:
        raise SettingsError("BATCH", "must be at least 1, and SKIP at least 0")
    try:
        with _input(options.path) as file:
            for part in parts_of(file, count_max=options.batch, skip=options.skip):
                _send(client, part)
                done += part.count
    except (ClientError, SettingsError) as error:
        print(f"stanchion: {error}", file=sys.stderr)
        unsure = " or more" if isinstance(error, UnreachableError) else ""
        if done > options.skip or unsure:
            print(f"stanchion: {done:,}{unsure} are in; go on with --skip {done}", file=sys.stderr)
        return _FAULT
    count = done - options.skip
    print(json.dumps({"count": count}) if options.json else f"{count:,} imported")
    return 0


def _send(client: httpx.Client, part: Part) -> None:
    # An answer that got lost is asked for again: what was stored is not stored twice.
    headers = {"Content-Type": part.content_type, "Idempotency-Key": secrets.token_hex(16)}
    for tries_left in reversed(range(_TRIES)):
        try:
            _ask(client, "POST", "/api/queue/import", content=part.content, headers=headers)
        except UnreachableError:
            if not tries_left:
                raise
        except RefusedError as error:
            if not error.details:
                raise
            faults = error.details.items()
            said = "; ".join(f"{part.place_of(name)}: {reason}" for name, reason in faults)
            raise SettingsError("PATH", said) from None
        else:
            return


def _ask(client: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    with _told(client):
        answer = client.request(method, path, timeout=_TIMEOUT_S, **request)
    if not answer.is_success:
        raise refusal_of(answer)
    return answer


@contextmanager
def _told(client: httpx.Client) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise UnreachableError(f"{client.base_url}: {error}") from None


@contextmanager
def _output(path: str | None) -> Iterator[BinaryIO]:
    """Yield where to write; a file appears under its name once it is whole."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    partial = Path(f"{path}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise SettingsError("OUTPUT", str(error)) from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _input(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise SettingsError("PATH", str(error)) from None


def _query(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _line_of(each: Mapping[str, Any]) -> str:
    facts = (
        *(each["id"], each["created_at"], each["queue"], each["type"] or "(no type)"),
        *(each["status"], f"{each['attempt_count']}/{each['max_attempts']}"),
    )
    return "  ".join([*facts, " ".join((each["last_error"] or "").split())[:60]]).rstrip()


def _said(value: object) -> str:
    return "" if value is None else str(value)
