"""A real Exim with spool and logs of its own, and a sink for what it sends; nothing else.

It never listens and never runs a daemon: messages are handed in by its command, and deliveries go
to the sink, on loopback.
"""

import contextlib
import getpass
import grp
import os
import pwd
import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

from models.mail.program import find_command
from tests.servers import free_port

_CONFIG = Path(__file__).parent / "exim.conf"
_SLOW_S = 8.0


def require_exim() -> None:
    """Skip the test where no Exim is installed; in CI that is a failure."""
    if find_command("") is not None:
        return
    reason = "Exim is not installed (Debian: exim4-daemon-light)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class EximServer:
    """An Exim for tests; `command` runs it, with its own configuration."""

    def __init__(
        self, folder: Path, *, sink_port: int, is_split: bool = False, user: str | None = None
    ) -> None:
        found = find_command("")
        assert found is not None
        self.spool = str(folder / "spool")
        self.logs = folder / "log"
        self.boxes = folder / "boxes"  # where mail for `home.test` goes, as another user
        self.config = folder / "exim.conf"
        owner = user or ("Debian-exim" if os.geteuid() == 0 else getpass.getuser())
        account = pwd.getpwnam(owner)
        macros = {
            "SPOOL": self.spool,
            "LOGS": self.logs,
            "BOXES": self.boxes,
            "SINK_PORT": sink_port,
            "DOWN_PORT": free_port(),
            "USER": owner,
            "GROUP": grp.getgrgid(account.pw_gid).gr_name,
            "SPLIT": "true" if is_split else "false",
        }
        head = "".join(f"{name} = {value}\n" for name, value in macros.items())
        self.config.write_text(head + _CONFIG.read_text())
        self.config.chmod(0o644)
        for made in (Path(self.spool), self.logs):
            made.mkdir(mode=0o750)
            if os.geteuid() == 0:
                os.chown(made, account.pw_uid, account.pw_gid)
        self.boxes.mkdir(mode=0o777)
        self.boxes.chmod(0o777)
        self.command = [*found, "-C", str(self.config)]
        self.run("-bpc")  # makes the folders of the spool
        self.submit("first@defer.test")
        self.empty()

    def run(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run one command of Exim as an operator would, and return what it prints."""
        return subprocess.run(
            [*self.command, *arguments], input=stdin, capture_output=True, check=False, timeout=60
        ).stdout.decode("utf-8", "replace")

    def submit(
        self,
        *recipients: str,
        sender: str = "a@x.test",
        subject: str = "hello",
        body: str = "text\n",
        options: Sequence[str] = ("-odq",),
        headers: bytes = b"",
    ) -> str:
        """Hand a message in, which stays queued, and return its id."""
        before = self.message_ids()
        text = headers + f"Subject: {subject}\n\n{body}".encode("utf-8", "surrogateescape")
        self.run(*options, "-f", sender, *recipients, stdin=text)
        [message_id] = self.message_ids() - before
        return message_id

    def copies(self, message_id: str, count: int) -> list[str]:
        """Put copies of a message into the spool, as fast as files are written."""
        ids = [f"2AAAAA-{number:06d}-00" for number in range(count)]
        sources = {kind: self.file_of(message_id, kind) for kind in "DH"}
        owner = sources["H"].stat()
        for each in ids:
            for kind, source in sources.items():
                made = source.with_name(f"hdr.{each}" if kind == "H" else f"{each}-{kind}")
                made.write_bytes(source.read_bytes().replace(message_id.encode(), each.encode(), 1))
                os.chown(made, owner.st_uid, owner.st_gid)
                made.chmod(0o640)
                made.rename(source.with_name(f"{each}-{kind}"))
        return ids

    def message_ids(self) -> set[str]:
        """Return the ids in the spool, by a look at its files."""
        return {path.name[:-2] for path in Path(self.spool).rglob("input/**/*-H")}

    def spool_state(self) -> dict[Path, tuple[int, int, int]]:
        """Return inode, size and time of change of each file in the spool."""
        state = {}
        for path in Path(self.spool).rglob("input/**/*-[HDJ]"):
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                facts = path.stat()
                state[path] = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
        return state

    def file_of(self, message_id: str, kind: str) -> Path:
        """Return the path of a message's file: `H`, `D` or `J`."""
        [found] = Path(self.spool).rglob(f"input/**/{message_id}-{kind}")
        return found

    def main_log(self) -> str:
        """Return what Exim logged so far."""
        path = self.logs / "mainlog"
        return path.read_text(errors="replace") if path.exists() else ""

    def plain_log(self) -> str:
        """Return what Exim logged so far, without the numbers of processes."""
        return re.sub(r"\[\d+\] ", "", self.main_log())

    def empty(self) -> None:
        """Take everything out of the spool, and forget what was tried."""
        for folder in ("input", "msglog", "db"):
            for path in Path(self.spool).glob(f"{folder}/*"):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        for folder in Path(self.spool).iterdir():
            if folder.name not in {"input", "msglog", "db", "scan"} and folder.is_dir():
                shutil.rmtree(folder)  # a named queue


class _Conversation(socketserver.StreamRequestHandler):
    """One SMTP session; what becomes of a recipient stands in its name."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            self._talk()

    def _talk(self) -> None:
        self._say("220 sink ESMTP")
        while line := self.rfile.readline().decode("utf-8", "replace"):
            verb = line[:4].upper()
            if verb == "EHLO":
                self._say("250 sink")
            elif verb == "RCPT":
                self._answer_recipient(line.partition("<")[2])
            elif verb == "DATA":
                self._say("354 go on")
                while self.rfile.readline() not in {b".\r\n", b""}:
                    pass
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _answer_recipient(self, address: str) -> None:
        if address.startswith("slow"):
            self.server.note_slow()  # type: ignore[attr-defined]
            self.server.released.wait(_SLOW_S)  # type: ignore[attr-defined]
        answers = {"tmp": "451 4.2.1 mailbox busy", "per": "550 5.1.1 no such mailbox"}
        self._say(answers.get(address[:3], "250 fine"))

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class Sink(socketserver.ThreadingTCPServer):
    """An SMTP server: `tmp…` is deferred, `per…` refused, `slow…` waits for `released`."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.released = threading.Event()
        self.slow = 0  # how many slow recipients were named so far
        self._lock = threading.Lock()

    def note_slow(self) -> None:
        """Count a recipient who has to wait."""
        with self._lock:
            self.slow += 1

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.socket.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.shutdown()
        self.server_close()
