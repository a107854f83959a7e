"""The command `stanchion`: it starts the processes, migrates the database and looks after both.

Each command imports what it needs when it runs: `--help` and `version` answer at once.
Exit codes: 0 done, 1 a fault, 2 a mistake in the command or the settings.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from api.backups.arguments import add_arguments as add_backup_arguments
from api.commands import processes
from api.commands.arguments import add_arguments as add_process_arguments
from api.messages.arguments import add_arguments as add_message_arguments
from api.people.arguments import add_arguments as add_people_arguments
from api.preconditions import make_data_folder
from api.rooms.admin_arguments import add_admin_arguments
from api.rooms.draw_arguments import add_draw_arguments
from api.schedules.arguments import add_arguments as add_schedule_arguments
from api.tickets.arguments import add_arguments as add_ticket_arguments
from api.webhooks.arguments import add_arguments as add_webhook_arguments
from models.errors import StanchionError
from models.settings import Settings, SettingsError, load_settings

_FAULT: Final = 1
_MISUSE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(os.environ)
        if options.command in _PROCESSES:
            return _PROCESSES[options.command](settings, os.environ, options)
        return int(_COMMANDS[options.command](settings, options))
    except SettingsError as error:
        print(f"stanchion: {error}", file=sys.stderr)
        return _MISUSE
    except StanchionError as error:
        print(f"stanchion: {error}", file=sys.stderr)
        return _FAULT
    except KeyboardInterrupt:
        return 130


def migrate(settings: Settings, options: argparse.Namespace) -> int:
    """Bring the database to the schema of this release."""
    from api.people.commands import make_first_admin  # noqa: PLC0415
    from models import migrate as migrations  # noqa: PLC0415

    make_data_folder(settings)
    was = migrations.current(settings.database_url)
    migrations.upgrade(settings.database_url)
    now = migrations.head()
    make_first_admin(settings)
    if options.json:
        print(json.dumps({"was": was, "now": now}))
    else:
        print(f"schema {now}" if was == now else f"schema {was or 'empty'} -> {now}")
    return 0


def user(settings: Settings, options: argparse.Namespace) -> int:
    """Make, list, change and disable users."""
    from api.people import commands  # noqa: PLC0415

    return commands.user(settings, options)


def key(settings: Settings, options: argparse.Namespace) -> int:
    """Make, list and revoke API keys."""
    from api.people import commands  # noqa: PLC0415

    return commands.key(settings, options)


def messages(settings: Settings, options: argparse.Namespace) -> int:
    """Look at the messages queue, and put something in."""
    from api.messages import commands  # noqa: PLC0415

    return commands.messages(settings, options)


def schedules(settings: Settings, options: argparse.Namespace) -> int:
    """List, show, run, pause and resume schedules."""
    from api.schedules import commands  # noqa: PLC0415

    return commands.schedules(settings, options)


def webhooks(settings: Settings, options: argparse.Namespace) -> int:
    """List, test, pause and resume webhooks."""
    from api.webhooks import commands  # noqa: PLC0415

    return commands.webhooks(settings, options)


def rooms(settings: Settings, options: argparse.Namespace) -> int:
    """List, make, change, show and delete waiting rooms; make codes, check draws."""
    from api.rooms import admin_commands, draw_commands  # noqa: PLC0415

    if options.action in draw_commands.ACTIONS:
        return draw_commands.draw_lots(settings, options)
    return admin_commands.administer(settings, options)


def tickets(settings: Settings, options: argparse.Namespace) -> int:
    """Show what a priority policy would do to waits, before it is switched."""
    from api.tickets import commands  # noqa: PLC0415

    return commands.tickets(settings, options)


def tail(settings: Settings, options: argparse.Namespace) -> int:
    """Print what happens to messages, as it happens."""
    from api.messages import commands  # noqa: PLC0415

    return commands.tail(settings, options)


def demo(settings: Settings, options: argparse.Namespace) -> int:
    """Fill the house with counters, a room and messages to look at; a repeat adds no second."""
    from api.commands import demo as commands  # noqa: PLC0415

    return commands.demo(settings, options)


def backup(settings: Settings, options: argparse.Namespace) -> int:
    """Write everything that cannot be had again to one file, while everything runs."""
    from api.backups import commands  # noqa: PLC0415

    return commands.backup(settings, os.environ, options, release=release())


def restore(settings: Settings, options: argparse.Namespace) -> int:
    """Put a back-up in the place of what is there; nothing may run meanwhile."""
    from api.backups import commands  # noqa: PLC0415

    return commands.restore(settings, os.environ, options)


def doctor(settings: Settings, options: argparse.Namespace) -> int:
    """Check everything that can be checked from here; 1 when something is at fault."""
    from api.doctor import Level, examine  # noqa: PLC0415

    findings = examine(settings, os.environ)
    for finding in findings:
        if not options.json:
            print(finding)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    return _FAULT if any(finding.level is Level.FAULT for finding in findings) else 0


def version(_settings: Settings, options: argparse.Namespace) -> int:
    """Say which release this is."""
    if not options.json:
        print(f"stanchion {release()}")
        return 0
    from models import migrate as migrations  # noqa: PLC0415

    facts = {
        "version": release(),
        "schema": migrations.head(),
        "python": platform.python_version(),
    }
    print(json.dumps(facts))
    return 0


_PROCESSES: Final = {
    "up": processes.up,
    "api": processes.api,
    "relay": processes.relay,
    "worker": processes.worker,
    "beat": processes.beat,
    "flower": processes.flower,
    "mail-watch": processes.mail_watch,
}
_COMMANDS: Final = {
    command.__name__: command
    for command in (
        *(migrate, user, key, messages, schedules, webhooks, rooms, tickets, tail),
        *(demo, backup, restore, doctor, version),
    )
}
_ANSWERS_PROGRAMS: Final = ("migrate", "doctor", "version")


def release() -> str:
    """Return the release, as the installed package says."""
    try:
        return importlib.metadata.version("stanchion")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # run from a checkout that was not installed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stanchion",
        description="One server for every queue that people run.",
        epilog="Settings are environment variables; docs/settings.md lists them.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers: dict[str, argparse.ArgumentParser] = {}
    for name, command in {**_PROCESSES, **_COMMANDS}.items():
        said = (command.__doc__ or "").strip()
        one = commands.add_parser(name, help=said.rstrip("."), description=said)
        parsers[name] = one
        if name in _ANSWERS_PROGRAMS:
            one.add_argument("--json", action="store_true", help="answer in JSON")
    add_process_arguments(parsers["worker"], parsers["mail-watch"])
    add_people_arguments(parsers["user"], parsers["key"])
    add_message_arguments(parsers["tail"], parsers["messages"])
    add_schedule_arguments(parsers["schedules"])
    add_webhook_arguments(parsers["webhooks"])
    add_backup_arguments(parsers["backup"], parsers["restore"])
    room_actions = parsers["rooms"].add_subparsers(dest="action", required=True, metavar="ACTION")
    add_admin_arguments(room_actions)
    add_draw_arguments(room_actions)
    add_ticket_arguments(parsers["tickets"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
