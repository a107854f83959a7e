"""What `stanchion schedules` takes; apart from what it does, which is heavy."""

import argparse

from api.messages.arguments import server_options

_ACTIONS = {
    "show": "show a schedule with its next moments",
    "run": "put its message in now, and print the message's id",
    "pause": "let no moment come",
    "resume": "go on from now",
}


def add_arguments(schedules: argparse.ArgumentParser) -> None:
    """Describe what the command takes."""
    actions = schedules.add_subparsers(dest="action", required=True, metavar="ACTION")
    said = "list the schedules and how they fare"
    server_options(actions.add_parser("list", help=said, description=said))
    for name, said in _ACTIONS.items():
        action = actions.add_parser(name, help=said, description=said)
        action.add_argument("name", help="of the schedule")
        server_options(action)
