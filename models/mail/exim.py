"""Every word said to Exim: argument lists, no shell, a clean environment, and a deadline.

Exim's exit code says little (one unknown id among a thousand makes it 1), so each id's outcome is
read from the line that names it. Source: Exim 4.96 and 4.98.2, run.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess  # noqa: TID251  # this is mail's edge to Exim
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.errors import UnavailableError
from models.mail.program import PATH
from models.mail.retry_hints import HINTS_MAX, RetryHint, parse_hints
from models.mail.rules import Action, Outcome, Result, is_message_id

_ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": PATH}
# A batch of 250 takes a sixth of a second; a disk that is busy may need much longer.
_TIMEOUT_S: Final = 60.0
IDS_AT_ONCE_MAX: Final = 250
_SAID_CHARACTERS_MAX: Final = 500

_OPTIONS: Final[Mapping[Action, str]] = {
    Action.FREEZE: "-Mf",
    Action.THAW: "-Mt",
    Action.REMOVE: "-Mrm",
}
_NAMED: Final = re.compile(
    r"(?<![0-9A-Za-z-])"
    r"([0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4}))"
    r"(?:-[HDJ])?(?![0-9A-Za-z-])"
)
# What a line says of the id in it; the first that fits.
_WORDS: Final[Sequence[tuple[str, Result]]] = (
    ("is now frozen", Result.DONE),
    ("is already frozen", Result.ALREADY),
    ("is no longer frozen", Result.DONE),
    ("is not frozen", Result.ALREADY),
    ("has been removed or did not exist", Result.GONE),
    ("has been removed", Result.DONE),
    ("has been modified", Result.DONE),
    ("does not exist", Result.GONE),
    ("No such file or directory", Result.GONE),
    ("is locked", Result.LOCKED),
    ("Spool format error", Result.BROKEN),
    ("Spool read error", Result.BROKEN),
)
_DENIED: Final = ("Permission denied", "permission denied")
# What Exim says before anything is known of an attempt.
_PRELUDE: Final = re.compile(r"(?:delivering \S+|LOG: .*|exim user lost privilege.*|\s*)\Z")
_LISTED: Final = re.compile(
    r"^ {0,2}\d+[mhd] +[\d.]*[KM]? ([0-9A-Za-z-]{16}|[0-9A-Za-z-]{23}) <(.*)>"
    r"(?: \(.*\))?( \*\*\* frozen \*\*\*)?$"
)
_RECIPIENT: Final = re.compile(r"^ {8}([D ]) (.+)$")


class EximError(UnavailableError):
    """Exim cannot be run, or does not answer in time."""

    code = "exim_away"

    def __init__(self, reason: str) -> None:
        super().__init__("Exim", reason)
        self.args = (reason,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where an Exim keeps its spool and its logs, as itself says; `%s` in a log's path varies."""

    spool: str
    logs: tuple[str, ...]
    version: str
    writes_log: bool = True  # into a file, and not to syslog alone

    @property
    def main_log(self) -> str:
        """Return where the main log is, `%s` and dates not filled in; empty: there is none."""
        if self.logs:
            return self.logs[0]
        return f"{self.spool}/log/%slog" if self.writes_log else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A message as `exim -bp` shows it."""

    message_id: str
    sender: str
    is_frozen: bool
    recipients: tuple[str, ...]
    delivered: tuple[str, ...]


class Exim:
    """One Exim of this host, spoken to through its command; every method blocks.

    Raises EximError when it cannot be run or is silent for too long.
    """

    def __init__(self, command: Sequence[str], *, timeout_s: float = _TIMEOUT_S) -> None:
        self._command: Final = tuple(command)
        self._timeout_s: Final = timeout_s

    def places(self) -> Places:
        """Ask where the spool and the logs are, and which release it is."""
        said = self._run("-bP", "spool_directory", "log_file_path", "message_logs")
        found = dict(line.split(" = ", 1) for line in said.out.splitlines() if " = " in line)
        if "spool_directory" not in found:
            raise EximError(f"it does not tell its spool: {said.brief}")
        version = re.search(r"Exim version (\S+)", self._run("-bV").out)
        logs = [part.strip() for part in found.get("log_file_path", "").split(":")]
        return Places(
            spool=found["spool_directory"],
            logs=tuple(log for log in logs if log.startswith("/")),
            version=version[1] if version else "",
            writes_log=logs != ["syslog"],
        )

    def retry_hints(self, spool: str) -> tuple[RetryHint, ...]:
        """Return when addresses, domains and hosts are tried again; none where that is not told.

        Of more than HINTS_MAX those that are due first.
        """
        program = shutil.which("exim_dumpdb", path=PATH)
        if program is None:
            return ()
        try:
            said = subprocess.run(  # noqa: S603  # a list, of what Exim itself told
                [program, spool, "retry"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=_ENVIRONMENT,
                check=False,
                timeout=self._timeout_s,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        hints = sorted(parse_hints(_text(said.stdout).splitlines()), key=lambda x: x.next_at_ms)
        return tuple(hints[:HINTS_MAX])

    def count(self) -> int:
        """Return how many messages the spool's own queue holds, by their files."""
        said = self._run("-bpc")
        try:
            return int(said.out)
        except ValueError:
            raise EximError(f"it does not count its messages: {said.brief}") from None

    def listing(self, queue: str = "") -> list[Listed]:
        """Return what Exim itself lists, of a named queue or of its own."""
        said = self._run(*_of_queue(queue), "-bpr")
        if said.code and not said.out:
            raise EximError(f"it does not list its messages: {said.brief}")
        return list(parse_listing(said.out.splitlines()))

    def act(self, action: Action, message_ids: Sequence[str], *, queue: str = "") -> list[Outcome]:
        """Freeze, thaw or remove at most IDS_AT_ONCE_MAX messages; one outcome for each id.

        Every id must be one that Exim makes: a single other would refuse them all.
        """
        assert len(message_ids) <= IDS_AT_ONCE_MAX
        assert all(map(is_message_id, message_ids))
        if not message_ids:
            return []
        said = self._run(*_of_queue(queue), _OPTIONS[action], *message_ids)
        return read_outcomes(message_ids, said.out.splitlines(), said.err)

    def deliver(
        self,
        message_id: str,
        *,
        queue: str = "",
        started: Callable[[Outcome], None],
        heard: Callable[[str], None],
    ) -> None:
        """Try to deliver one message now, and return when the attempt is over.

        `started` is told once, as soon as it is known whether there is an attempt; `heard` gets
        every line of the dialogue. An attempt is never cut short: that could deliver twice.
        """
        assert is_message_id(message_id)
        process = self._start((*_of_queue(queue), "-v", "-M", message_id), merged=True)
        assert process.stdout is not None
        outcome: Outcome | None = None
        with process.stdout as lines:
            for raw in lines:
                line = _text(raw).rstrip()
                heard(line)
                if outcome is None and not _PRELUDE.match(line):
                    outcome = _started(message_id, line)
                    started(outcome)
        process.wait()
        if outcome is None:
            started(Outcome(message_id=message_id, result=Result.DONE))

    def _run(self, *arguments: str) -> "_Said":
        process = self._start(arguments)
        try:
            out, err = process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise EximError(f"it was silent for {self._timeout_s:g} s") from None
        return _Said(process.returncode, _text(out), _text(err))

    def _start(
        self, arguments: Sequence[str], *, merged: bool = False
    ) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(  # noqa: S603  # a list, whose variable parts were checked
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise EximError(error.strerror or str(error)) from None


@dataclass(frozen=True, slots=True)
class _Said:
    code: int
    out: str
    err: str

    @property
    def brief(self) -> str:
        """Return what it said last, on one line."""
        return " ".join((self.err or self.out).split())[-200:] or f"exit code {self.code}"


def read_outcomes(message_ids: Sequence[str], lines: Iterable[str], err: str = "") -> list[Outcome]:
    """Return what Exim's lines say of each id, in the order of the ids.

    Of several lines with one id the last decides: `-Mrm` names what it could not read first.
    """
    said: dict[str, tuple[Result, str]] = {}
    loose = [*err.splitlines()]
    for line in lines:
        named = _NAMED.search(line)
        result = next((result for words, result in _WORDS if words in line), None)
        if named and result:
            said[named[1]] = result, line.strip()
        else:
            loose.append(line)
    is_denied = any(words in line for line in loose for words in _DENIED)
    rest = Result.DENIED if is_denied else Result.SILENT
    words = " ".join(" ".join(loose).split())[:_SAID_CHARACTERS_MAX]
    found = [(each, *said.get(each, (rest, words))) for each in message_ids]
    return [Outcome(message_id=each, result=result, said=text) for each, result, text in found]


def _started(message_id: str, line: str) -> Outcome:
    """Return what the first line behind the prelude of a delivery says."""
    said = line.strip()[:_SAID_CHARACTERS_MAX]
    if any(words in line for words in _DENIED):
        result = Result.DENIED
    elif "is locked" in line:
        result = Result.LOCKED
    elif "not found" in line and message_id in line:
        result = Result.GONE
    elif "Spool format error" in line or "Spool read error" in line:
        result = Result.BROKEN
    else:
        return Outcome(message_id=message_id, result=Result.DONE)
    return Outcome(message_id=message_id, result=result, said=said)


def parse_listing(lines: Iterable[str]) -> Iterator[Listed]:
    """Yield the messages of `exim -bp`, whose files could be read."""
    head: re.Match[str] | None = None
    recipients: list[tuple[str, str]] = []
    for line in [*lines, ""]:
        if not line.strip():
            if head is not None:
                yield _listed(head, recipients)
            head, recipients = None, []
        elif head is None:
            head = _LISTED.match(line)
        elif found := _RECIPIENT.match(line):
            recipients.append((found[2], found[1]))


def _listed(head: re.Match[str], recipients: Sequence[tuple[str, str]]) -> Listed:
    return Listed(
        message_id=head[1],
        sender=head[2],
        is_frozen=head[3] is not None,
        recipients=tuple(address for address, _ in recipients),
        delivered=tuple(address for address, mark in recipients if mark == "D"),
    )


def _of_queue(queue: str) -> tuple[str, ...]:
    return (f"-qG{queue}",) if queue else ()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End Exim and what it started; one that became root is out of our reach and is left alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
