"""`stanchion messages activity` and `anomalies`: what happened, and what is wrong."""

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

ACTIONS: Final = frozenset({"activity", "anomalies"})
_WRONG: Final = 1

# Asks the server: method, path, body; returns the answer, and raises ClientError.
Ask = Callable[[str, str, Mapping[str, Any] | None], dict[str, Any]]


def tell(ask: Ask, options: argparse.Namespace) -> int:
    """Print what was asked for; 1 when something is wrong with the queues."""
    if options.action == "activity":
        life = _life(ask, options.id)
        print(json.dumps(life) if options.json else _life_text(life))
        return 0
    found = ask("GET", "/api/queue/anomalies", None)
    print(json.dumps(found) if options.json else _anomalies_text(found))
    return _WRONG if found["anomalies"] else 0


def _life(ask: Ask, message_id: str) -> dict[str, Any]:
    """Return all pages of a message's life as one."""
    path = f"/api/queue/message/{quote(message_id, safe='')}/activity"
    life = ask("GET", path, None)
    page = life
    while page["next"] is not None:
        page = ask("GET", f"{path}?cursor={page['next']}", None)
        life["activity"] += page["activity"]
    life["next"] = None
    return life


def _life_text(life: Mapping[str, Any]) -> str:
    lines = [_line(each) for each in life["activity"]]
    lines += [f"{gap['since']}  gap: events were lost here" for gap in life["gaps"]]
    lines.append(f"now {life['state'] or 'gone'}")
    if life["is_complete"] is False:
        lines[-1] += "; not all of it is in the history"
    return "\n".join(lines)


def _line(each: Mapping[str, Any]) -> str:
    said = [f"{each['at'] or '?':<24}  {each['event']:<12}"]
    if each["consumer_id"] is not None:
        said.append(each["consumer_id"])
    if each["held_seconds"] is not None:
        said.append(f"after {each['held_seconds']} s")
    if each["error"] is not None:
        said.append(json.dumps(each["error"], ensure_ascii=False))
    return " ".join(said).rstrip()


def _anomalies_text(found: Mapping[str, Any]) -> str:
    if not found["anomalies"]:
        return "nothing stands out"
    lines = []
    for each in found["anomalies"]:
        of = [name for name in (each["queue"], each["type"]) if name is not None]
        of += each["consumer_ids"] + each["message_ids"]
        lines.append(f"{each['kind']} {' '.join(of)}: {each['message']}")
        lines.append(f"  since {each['since']}; {each['advice']}")
    return "\n".join(lines)
