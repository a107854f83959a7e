"""A spool as long as one wants: copies of a message, each with an id and a sender of its own.

Exim takes them for its own. It hands in some 150 messages a second itself, so a hundred thousand
would take a quarter of an hour.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.mail.exim_server import EximServer

_SENDER: Final = "s0000000@x0000.test"
_RECIPIENT: Final = "r0000000@defer.test"
_DOMAINS: Final = 1_000
# The last of the first six characters tells the folder of a split spool.
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def fill(exim: EximServer, count: int) -> list[str]:
    """Put `count` messages into an empty spool; return their ids."""
    first = exim.submit(_RECIPIENT, sender=_SENDER, subject="Invoice", body="text\n" * 200)
    texts = {kind: exim.file_of(first, kind).read_bytes() for kind in "DH"}
    owner = exim.file_of(first, "H").stat()
    exim.empty()
    ids = []
    for number in range(count):
        letter = _LETTERS[number % len(_LETTERS)]
        message_id = f"2AAAA{letter}-{number:06d}-00"
        folder = Path(exim.spool) / "input" / letter
        if not folder.exists():
            folder.mkdir(mode=0o750, parents=True)
            os.chown(folder, owner.st_uid, owner.st_gid)
        sender = f"s{number:07d}@x{number % _DOMAINS:04d}.test".encode()
        for kind, text in texts.items():
            made = text.replace(first.encode(), message_id.encode(), 1)
            made = made.replace(_SENDER.encode(), sender)
            made = made.replace(_RECIPIENT.encode(), f"r{number:07d}@defer.test".encode())
            path = folder / f"{message_id}-{kind}"
            path.write_bytes(made)
            os.chown(path, owner.st_uid, owner.st_gid)
            path.chmod(0o640)
        ids.append(message_id)
    return ids


def by_hand(exim: EximServer, option: str, ids: Sequence[str], *, at_once: int, each: int) -> None:
    """Run Exim's command on `each` ids a process, `at_once` processes at a time."""
    parcels = [ids[first : first + each] for first in range(0, len(ids), each)]
    running: list[subprocess.Popen[bytes]] = []
    for parcel in parcels:
        if len(running) >= at_once:
            running.pop(0).wait()
        running.append(
            subprocess.Popen([*exim.command, option, *parcel], stdout=subprocess.DEVNULL)
        )
    for process in running:
        process.wait()
