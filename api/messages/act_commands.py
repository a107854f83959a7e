"""`stanchion messages redrive`, `move`, `delete`, `purge`: many messages, from a terminal.

Without `--yes` they show what they would do. With it they look first, and do what they saw.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from models.settings import SettingsError

Ask = Callable[[str, str, Mapping[str, Any] | None], dict[str, Any]]

_PATHS: Final = {
    "redrive": "/api/queue/dead/redrive",
    "move": "/api/queue/move",
    "delete": "/api/queue/messages/delete",
}
_DONE: Final = {"redrive": "redriven", "move": "moved", "delete": "deleted"}
ACTIONS: Final = frozenset({*_PATHS, "purge"})


def act(ask: Ask, options: argparse.Namespace) -> int:
    """Show or do what a command line asks for; `ask` puts a request to the server."""
    if options.action == "purge":
        _purge(ask, options)
        return 0
    path, body = _PATHS[options.action], _body(options)
    seen = ask("POST", path, {**body, "preview": True})
    if not options.yes:
        _print(options, seen, _shown(options, seen))
        return 0
    done = _do(ask, path, body, seen)
    lines = [f"{done['count']:,} {_DONE[options.action]}"]
    lines += [_skipped(each) for each in done["skipped"]]
    if done["left"]:
        lines.append(f"{done['left']:,} left: another has them in hand, or there is no room")
    _print(options, done, "\n".join(lines))
    return 0


def _do(ask: Ask, path: str, body: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """Do what was seen, in as many requests as it takes; the last may find that nothing goes on."""
    if "confirm" not in seen:
        told = ask("POST", path, body)
        return {"count": told["count"], "left": 0, "skipped": told.get("skipped", [])}
    total, confirm = 0, seen["confirm"]
    while True:
        told = ask("POST", path, {**body, "confirm": confirm})
        total += told["count"]
        if not told["left"] or not told["count"]:
            return {"count": total, "left": told["left"], "skipped": []}
        confirm = told["confirm"]


def _purge(ask: Ask, options: argparse.Namespace) -> None:
    path = f"/api/queue/queues/{options.queue}"
    if options.yes:
        told = ask("POST", f"{path}/purge", None)
        _print(options, told, f"{told['removed']:,} deleted")
        return
    counts = ask("GET", path, None)["counts"]
    waiting = counts["queued"] + counts.get("delayed", 0)
    _print(options, {"preview": True, "count": waiting}, _would(waiting, "deleted"))


def _body(options: argparse.Namespace) -> dict[str, Any]:
    body: dict[str, Any] = {}
    chosen = {
        "queue": options.queue,
        "type": options.type,
        "status": getattr(options, "state", None),
        "search": options.search,
        "created_after": options.after,
        "created_before": options.before,
        "min_attempts": options.attempts,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if options.ids:
        if chosen or options.all:
            raise SettingsError("ID", "names messages, and a filter chooses others")
        body["ids"] = options.ids
    elif chosen or options.all:
        body["filter"] = chosen
    else:
        raise SettingsError("ID", "is missing: name messages, or choose by a filter or --all")
    wanted = {
        "queue": getattr(options, "to_queue", None),
        "to": getattr(options, "to", None),
        "reason": getattr(options, "reason", None),
        "force": getattr(options, "force", None) or None,
        "rate_per_second": getattr(options, "rate", None),
        "reset_attempts": False if getattr(options, "keep_attempts", False) else None,
        "rows_per_transaction": options.rows,
    }
    return body | {name: value for name, value in wanted.items() if value is not None}


def _shown(options: argparse.Namespace, seen: Mapping[str, Any]) -> str:
    lines = [_would(seen["count"], _DONE[options.action])]
    lines += [
        f"  {each['id']}  {each['queue']}  {each['type'] or '(no type)'}  {each['status']}"
        f"  {each['attempt_count']}/{each['max_attempts']}  {_line(each['last_error'])}".rstrip()
        for each in seen["sample"]
    ]
    if seen["count"] > len(seen["sample"]):
        lines.append(f"  … and {seen['count'] - len(seen['sample']):,} more")
    return "\n".join(lines)


def _would(count: int, done: str) -> str:
    said = "nothing" if not count else f"{count:,} message{'s' if count > 1 else ''}"
    return f"{said} would be {done}" + ("; --yes does it" if count else "")


def _skipped(each: Mapping[str, Any]) -> str:
    return f"  {each['id']} skipped: {each['status'] or 'there is none'}"


def _line(error: str | None) -> str:
    return " ".join((error or "").split())[:60]


def _print(options: argparse.Namespace, told: Mapping[str, Any], said: str) -> None:
    print(json.dumps(told) if options.json else said)
