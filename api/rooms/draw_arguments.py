"""What `stanchion rooms` takes about codes and draws; apart from what it does, which is heavy."""

import argparse
import re
from typing import Final

from api.messages.arguments import server_options

_SPAN: Final = re.compile(r"(\d{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def add_draw_arguments(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Describe the actions that make codes, and those that show and check draws."""
    code = _add(actions, "code", "make codes that give a priority or invite into a room")
    code.add_argument("--priority", type=int, metavar="0-3", help="default: an invitation alone")
    code.add_argument(
        "--expires", type=_seconds, default="7d", metavar="SPAN", help="such as 90m, 12h, 7d"
    )
    said = "for how many places each is good, 0 for any number; default: %(default)s"
    code.add_argument("--uses", type=int, default=1, metavar="COUNT", help=said)
    code.add_argument("--count", type=int, default=1, help="how many codes; default: %(default)s")
    code.add_argument("--json", action="store_true", help="answer in JSON")
    server_options(_add(actions, "draw", "show what is published of a room's draw"))
    verify = _add(actions, "verify", "check a draw: exit code 1 if it is not what was committed to")
    server_options(verify)
    said = "what was published before the opening; without it the server is believed"
    verify.add_argument("--commitment", metavar="HEX", help=said)
    verify.add_argument("--token", help="a visitor's: say which place it drew")


def _add(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, said: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=said, description=said)
    action.add_argument("id", help="of the room")
    return action


def _seconds(text: str) -> int:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected a span such as 90m, 12h or 7d, got {text}")
    return int(found[1]) * _SECONDS[found[2]]
