"""What `stanchion messages redrive`, `move`, `delete`, `purge` take; what they do is elsewhere."""

import argparse
from collections.abc import Callable
from typing import Final

_SHOWS: Final = "shows what it would do; does it with --yes"


def add_arguments(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    add_server_options: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Describe what the commands take that change many messages."""

    def command(name: str, said: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=said, description=f"{said}; {_SHOWS}")
        add_server_options(made)
        made.add_argument("--yes", action="store_true", help="do it")
        return made

    redrive = command("redrive", "let dead messages wait again")
    _which(redrive)
    redrive.add_argument("--to-queue", metavar="NAME", help="in this queue; default: their own")
    redrive.add_argument("--rate", type=float, metavar="N", help="so many a second")
    redrive.add_argument("--keep-attempts", action="store_true", help="give one more attempt only")
    _pace(redrive)
    move = command("move", "move messages to another queue or state")
    _which(move)
    _state(move)
    move.add_argument("--to-queue", metavar="NAME", help="to this queue")
    move.add_argument("--to", choices=("queued", "dead"), help="to those that wait, or to the dead")
    move.add_argument("--reason", metavar="TEXT", help="why they are dead")
    _pace(move)
    delete = command("delete", "delete messages")
    _which(delete)
    _state(delete)
    delete.add_argument("--force", action="store_true", help="also those that a consumer holds")
    _pace(delete)
    purge = command("purge", "delete all that waits in a queue")
    purge.add_argument("queue", metavar="QUEUE")


def _which(command: argparse.ArgumentParser) -> None:
    command.add_argument("ids", nargs="*", metavar="ID", help="these; or a filter:")
    command.add_argument("--all", action="store_true", help="an empty filter: all there are")
    command.add_argument("--queue", metavar="NAME", help="those of a queue")
    command.add_argument("--type", metavar="NAME", help="those of a type")
    command.add_argument("--search", metavar="TEXT", help="those with it in payload or error")
    command.add_argument("--after", metavar="MOMENT", help="made then or later: ISO 8601 with Z")
    command.add_argument("--before", metavar="MOMENT", help="made before that")
    command.add_argument("--attempts", type=int, metavar="N", help="with N attempts or more")


def _state(command: argparse.ArgumentParser) -> None:
    states = ("queued", "delayed", "processing", "dead", "acknowledged", "archived")
    command.add_argument(
        "--state", choices=states, help="those in a state; default: queued, delayed and dead"
    )


def _pace(command: argparse.ArgumentParser) -> None:
    command.add_argument("--rows", type=int, metavar="N", help="most messages in one transaction")
