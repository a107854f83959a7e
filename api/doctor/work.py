"""Checks of who takes what is to be done: task queues without a worker, hosts without a watcher."""

from collections.abc import Iterator, Mapping
from typing import Final

from api.doctor.findings import Finding, fault, ok, warn
from models import migrate
from models.clock import now_ms
from models.database import Database
from models.mail.program import find_command
from models.mail.roll_call import read_hosts
from models.settings import Settings
from workers.app import app, configure
from workers.task_queues import TASK_QUEUES

_ANSWER_S: Final = 2.0


def check_queues(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """Ask each worker what it takes from, and name the task queues that nobody named."""
    configure(settings)
    answers = app.control.inspect(timeout=_ANSWER_S).active_queues() or {}
    taken = {queue["name"] for queues in answers.values() for queue in queues}
    deserted = [name for name in TASK_QUEUES if name not in taken]
    if deserted:
        told = f"nobody takes from {', '.join(deserted)}: what is sent there waits"
        advice = f"stanchion worker --queues={','.join(deserted)}, or without --queues"
        yield fault("queues", told, advice)
    else:
        yield ok("queues", f"{len(TASK_QUEUES)} are taken from, by {len(answers)} workers")


def check_mail(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """Name the mail hosts that are silent: orders to them wait, and their list is old.

    An Exim that was installed after `stanchion up` is watched from its next start on.
    """
    if migrate.current(settings.database_url) != migrate.head():
        return  # as another check says
    database = Database(
        settings.database_url, connections_max=1, timeout_s=settings.database_timeout_s
    )
    try:
        hosts = read_hosts(database)
    finally:
        database.close()
    now = now_ms()
    if not hosts and find_command(settings.exim):
        advice = "start `stanchion up` again, or run `stanchion mail-watch` (docs/mail-host.md)"
        yield warn("mail", "an Exim is here, and nothing watches it", advice)
    for host in hosts:
        if host.is_alive(now_ms=now):
            yield ok("mail", f"{host.name} shows life, with {host.messages} messages")
            continue
        told = f"{host.name} was last heard of {max(0, now - host.seen_at_ms) // 1_000} s ago"
        advice = "`stanchion mail-watch --check` there, or forget it (docs/mail-host.md)"
        yield fault("mail", told, advice)
