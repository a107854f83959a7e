"""What `stanchion messages list`, `show`, `export`, `import` take; what they do is elsewhere."""

import argparse
from collections.abc import Callable
from typing import Final

_LISTS: Final = ("main", "processing", "dead", "acknowledged", "archived", "delayed")
_SORTS: Final = (
    *("created_at", "priority", "due_at"),
    *("locked_until", "died_at", "acknowledged_at"),
)


def add_arguments(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    add_server_options: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Describe what the commands take that look at messages or put a file in."""

    def command(name: str, said: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=said, description=said)
        add_server_options(made)
        return made

    listed = command("list", "show the messages of a list, the newest first")
    _which(listed)
    listed.add_argument("--sort", choices=_SORTS, help="default: created_at")
    listed.add_argument("--order", choices=("asc", "desc"), help="default: desc")
    listed.add_argument("--limit", type=int, default=20, metavar="N", help="so many; default: 20")
    listed.add_argument("--cursor", metavar="CURSOR", help="go on where the last answer ended")
    shown = command("show", "show one message, wherever it is")
    shown.add_argument("id", metavar="ID")
    exported = command("export", "write all messages of a list into a file")
    _which(exported)
    exported.add_argument("--format", choices=("ndjson", "csv"), default="ndjson")
    exported.add_argument("--output", metavar="PATH", help="default: standard output")
    imported = command("import", "put the messages of a file in: JSON lines, a JSON array, CSV")
    imported.add_argument("path", metavar="PATH", help="the file, or - for standard input")
    imported.add_argument(
        "--batch", type=int, default=500, metavar="N", help="messages in a request; default: 500"
    )
    imported.add_argument(
        "--skip", type=int, default=0, metavar="N", help="leave out the first messages"
    )


def _which(command: argparse.ArgumentParser) -> None:
    command.add_argument("list", choices=_LISTS, metavar="LIST", help=", ".join(_LISTS))
    command.add_argument("--queue", metavar="NAME", help="those of a queue")
    command.add_argument("--type", metavar="NAME", help="those of a type; empty: those without one")
    command.add_argument("--group-key", metavar="KEY", help="those of a group")
    command.add_argument("--search", metavar="TEXT", help="those that hold this text")
    command.add_argument("--created-after", metavar="TIME", help="such as 2026-01-31T12:00:00Z")
    command.add_argument("--created-before", metavar="TIME")
    command.add_argument("--min-attempts", type=int, metavar="N", help="those leased so often")
