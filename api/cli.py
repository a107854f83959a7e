"""The command `stanchion`: it starts the processes, migrates the database and looks after both.

Each command imports what it needs when it runs: `--help` and `version` answer at once.
Exit codes: 0 done, 1 a fault, 2 a mistake in the command or the settings.
"""

import argparse
import importlib.metadata
import json
import logging
import os
import platform
import resource
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from api.backups.arguments import add_arguments as add_backup_arguments
from api.messages.arguments import add_arguments as add_message_arguments
from api.metrics_folder import claim_metrics_folder
from api.people.arguments import add_arguments as add_people_arguments
from api.preconditions import make_data_folder, require_key, require_schema
from api.rooms.admin_arguments import add_admin_arguments
from api.rooms.draw_arguments import add_draw_arguments
from api.schedules.arguments import add_arguments as add_schedule_arguments
from api.tickets.arguments import add_arguments as add_ticket_arguments
from api.webhooks.arguments import add_arguments as add_webhook_arguments
from models.errors import StanchionError
from models.settings import Settings, SettingsError, host_of, load_settings, port_of
from workers.task_queues import TASK_QUEUES

_RELAY_STOP_S: Final = 2
# More connections than a shell's usual limit of open files lets through.
_OPEN_FILES_MAX: Final = 65_536
_FAULT: Final = 1
_MISUSE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(os.environ)
        return int(_COMMANDS[options.command](settings, options))
    except SettingsError as error:
        print(f"stanchion: {error}", file=sys.stderr)
        return _MISUSE
    except StanchionError as error:
        print(f"stanchion: {error}", file=sys.stderr)
        return _FAULT
    except KeyboardInterrupt:
        return 130


def up(settings: Settings, _options: argparse.Namespace) -> int:
    """Run everything here, in the foreground."""
    import asyncio  # noqa: PLC0415

    from api.supervisor import prepare_data_folder, supervise  # noqa: PLC0415

    require_key(settings, "bind", settings.bind)
    prepare_data_folder(settings.data_dir)
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return asyncio.run(supervise(settings, os.environ, color=color))


def api(settings: Settings, _options: argparse.Namespace) -> int:
    """Run the HTTP API alone."""
    require_key(settings, "bind", settings.bind)
    _serve(settings, settings.bind, settings.web_concurrency, settings.stop_timeout_s)
    return 0


def relay(settings: Settings, _options: argparse.Namespace) -> int:
    """Run the API for what stays open: one process, which holds event streams and long polls."""
    require_key(settings, "relay_bind", (settings.relay_bind,))
    _serve(settings, (settings.relay_bind,), 1, _RELAY_STOP_S)
    return 0


def worker(settings: Settings, options: argparse.Namespace) -> int:
    """Run a Celery worker."""
    require_schema(settings)
    _enter_empty_folder(settings)
    return _celery(
        *("-A", "workers.main", "worker", "--pool=threads", "--without-gossip"),
        *("--without-mingle", f"--concurrency={settings.worker_threads}"),
        *(f"--queues={options.queues}", f"--hostname={options.name}@%h"),
        f"--loglevel={settings.log_level}",
    )


def beat(settings: Settings, _options: argparse.Namespace) -> int:
    """Run Celery beat, which says when; any number may run, and one leads."""
    require_schema(settings)
    _enter_empty_folder(settings)
    return _celery("-A", "beat.main", "beat", "--pidfile=", f"--loglevel={settings.log_level}")


def flower(settings: Settings, _options: argparse.Namespace) -> int:
    """Run Flower, which shows what the workers do."""
    import flower.options  # noqa: F401, PLC0415  # declares what is set below
    from tornado.options import options  # noqa: PLC0415

    from models.secrets import ensure_secrets  # noqa: PLC0415

    _enter_empty_folder(settings)
    # Set here, since a command line and an environment can be read by others.
    options.basic_auth = [f"admin:{ensure_secrets(settings).admin_password}"]
    _set_up_log(settings)
    # It warns of every question that no worker answers, so for as long as none is up.
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)
    return _celery(
        *("-A", "workers.main", "flower", "--max-tasks=5000", "--logging=none"),
        f"--address={host_of(settings.flower_bind)}",
        f"--port={port_of(settings.flower_bind)}",
    )


def mail_watch(settings: Settings, options: argparse.Namespace) -> int:
    """Watch the Exim of this machine and act on it; needs the broker, and no database."""
    from models.mail.rules import task_queue_of  # noqa: PLC0415
    from workers import mail_host  # noqa: PLC0415
    from workers.app import app, configure  # noqa: PLC0415

    configure(settings, confined_to=task_queue_of(options.host))
    if options.check:
        from api.mail.host_commands import check_host  # noqa: PLC0415

        return check_host(settings, options.host, as_json=options.json)
    if not mail_host.set_up(options.host, settings.exim):
        raise SettingsError("STANCHION_EXIM", "there is no Exim on this machine")
    _enter_empty_folder(settings)
    warnings.filterwarnings("ignore", "You're running the worker with superuser", UserWarning)
    started = mail_host.arguments(
        options.host, log_level=settings.log_level, threads=settings.mail_threads
    )
    app.worker_main(["--quiet", *started])
    return 0


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
    from api import demo_commands  # noqa: PLC0415

    return demo_commands.demo(settings, options)


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


_COMMANDS: Final = {
    command.__name__.replace("_", "-"): command
    for command in (
        *(up, api, relay, worker, beat, flower, mail_watch, migrate),
        *(user, key, messages, schedules, webhooks, rooms, tickets, tail),
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


def _mail_host_name(text: str) -> str:
    from models.mail.rules import is_host  # noqa: PLC0415

    if not is_host(text):
        raise argparse.ArgumentTypeError(
            f"expected up to 64 letters, digits, dots and hyphens, got {text!r}"
        )
    return text


def _serve(settings: Settings, bind: tuple[str, ...], workers: int, stop_timeout_s: int) -> None:
    require_schema(settings)
    _enter_empty_folder(settings)
    _share_metrics(settings, workers)
    _raise_open_files()
    _set_up_log(settings)
    from api.server import serve  # noqa: PLC0415

    serve(settings, bind=bind, workers=workers, stop_timeout_s=stop_timeout_s)


def _set_up_log(settings: Settings) -> None:
    from models.log import set_up_log  # noqa: PLC0415

    form = settings.log_format or ("text" if sys.stderr.isatty() else "json")
    set_up_log(form, settings.log_level)


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _share_metrics(settings: Settings, workers: int) -> None:
    """Let the processes of this server count together, in files that start empty."""
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if workers > 1:
        folder = claim_metrics_folder(settings.data_dir / "metrics")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _enter_empty_folder(settings: Settings) -> None:
    """Leave the current folder; what is derived from it is passed on in full."""
    empty = make_data_folder(settings)
    os.environ["STANCHION_DATA"] = settings.data
    os.chdir(empty)


def _celery(*arguments: str) -> int:
    """Run Celery's own program in this process; it exits by itself."""
    from celery.__main__ import main as celery  # noqa: PLC0415

    # Its advice on root, in a dozen lines; `stanchion doctor` says it in one.
    warnings.filterwarnings("ignore", "You're running the worker with superuser", UserWarning)
    sys.argv = ["celery", "--quiet", *arguments]
    celery()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stanchion",
        description="One server for every queue that people run.",
        epilog="Settings are environment variables; docs/settings.md lists them.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers: dict[str, argparse.ArgumentParser] = {}
    for name, command in _COMMANDS.items():
        said = (command.__doc__ or "").strip()
        one = commands.add_parser(name, help=said.rstrip("."), description=said)
        parsers[name] = one
        if name in _ANSWERS_PROGRAMS:
            one.add_argument("--json", action="store_true", help="answer in JSON")
        if name == "worker":
            one.add_argument("--queues", default=",".join(TASK_QUEUES), help="default: %(default)s")
            # Two of one name would be taken for one another; a process id is given out once.
            one.add_argument(
                "--name",
                default=f"worker-{os.getpid()}",
                help="tells workers of a host apart, default: worker- and the process id",
            )
        if name == "mail-watch":
            one.add_argument(
                "--host",
                type=_mail_host_name,
                default=platform.node(),
                help="what this host is called, default: its name",
            )
            one.add_argument(
                "--check",
                action="store_true",
                help="only see whether Exim, its rights and the broker will do; 1 if not",
            )
            one.add_argument("--json", action="store_true", help="answer the check in JSON")
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
