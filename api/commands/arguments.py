"""What `stanchion worker` and `stanchion mail-watch` take; rules are imported as they are read."""

import argparse
import os
import platform

from workers.task_queues import TASK_QUEUES


def add_arguments(worker: argparse.ArgumentParser, mail_watch: argparse.ArgumentParser) -> None:
    """Add the options of the two."""
    worker.add_argument("--queues", default=",".join(TASK_QUEUES), help="default: %(default)s")
    # Two of one name would be taken for one another; a process id is given out once.
    worker.add_argument(
        "--name",
        default=f"worker-{os.getpid()}",
        help="tells workers of a host apart, default: worker- and the process id",
    )
    mail_watch.add_argument(
        "--host",
        type=_mail_host_name,
        default=platform.node(),
        help="what this host is called, default: its name",
    )
    mail_watch.add_argument(
        "--check",
        action="store_true",
        help="only see whether Exim, its rights and the broker will do; 1 if not",
    )
    mail_watch.add_argument("--json", action="store_true", help="answer the check in JSON")


def _mail_host_name(text: str) -> str:
    from models.mail.rules import is_host  # noqa: PLC0415

    if not is_host(text):
        raise argparse.ArgumentTypeError(
            f"expected up to 64 letters, digits, dots and hyphens, got {text!r}"
        )
    return text
