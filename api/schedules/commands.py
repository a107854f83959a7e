"""`stanchion schedules`: what puts messages in, from an operator's terminal, over HTTP."""

import argparse
import json
from typing import Any, Final
from urllib.parse import quote

from api.messages.act_commands import Ask
from api.messages.commands import asking
from models.settings import Settings

_PATH: Final = "/api/queue/schedules"
_PAGE: Final = 100


def schedules(settings: Settings, options: argparse.Namespace) -> int:
    """List, show, run, pause and resume schedules."""
    with asking(settings, options) as ask:
        if options.action == "list":
            found = _list(ask)
            _print(found, options, [_line_of(each) for each in found] or ["none"])
            return 0
        path = f"{_PATH}/{quote(options.name, safe='')}"
        if options.action == "show":
            shown = {**ask("GET", path, None), **ask("GET", f"{path}/next", None)}
            _print(shown, options, _lines_of(shown))
        elif options.action == "run":
            queued = ask("POST", f"{path}/run", None)
            _print(queued, options, [queued["id"]])
        else:
            changed = ask("PATCH", path, {"paused": options.action == "pause"})
            _print(changed, options, [_line_of(changed)])
    return 0


def _list(ask: Ask) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = ask("GET", f"{_PATH}?limit={_PAGE}&after={quote(after)}", None)
        found += page["schedules"]
        after = page["next"]
    return found


def _print(facts: Any, options: argparse.Namespace, lines: list[str]) -> None:
    if options.json:
        print(json.dumps(facts))
        return
    for line in lines:
        print(line)


def _timing_of(facts: dict[str, Any]) -> str:
    if facts["cron"] is None:
        return f"every {facts['every_seconds']} s"
    return f"{facts['cron']} ({facts['timezone']})"


def _line_of(facts: dict[str, Any]) -> str:
    state = "paused" if facts["paused"] else f"next {facts['next_run_at'] or 'never'}"
    if facts["failures"]:
        state += f", failed {facts['failures']} times: {facts['last_error']}"
    return f"{facts['name']:<20}  {_timing_of(facts):<30}  {state}"


def _lines_of(facts: dict[str, Any]) -> list[str]:
    message = facts["message"]
    to = message["queue"] + (f"/{message['type']}" if message["type"] else "")
    lines = [
        _line_of(facts),
        f"{'message to':<14} {to}",
        f"{'catch up':<14} {facts['catch_up']}",
        f"{'runs':<14} {facts['runs']}, last {facts['last_run_at'] or 'never'}",
    ]
    if facts["last_error"]:
        lines.append(f"{'last error':<14} {facts['last_error_at']} {facts['last_error']}")
    return [*lines, *(f"{'next':<14} {each['local']}" for each in facts["next"])]
