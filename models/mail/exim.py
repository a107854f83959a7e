"""Every word said to Exim: argument lists, no shell, a clean environment, and a deadline."""

import contextlib
import os
import re
import shutil
import signal
import subprocess  # noqa: TID251  # this is mail's edge to Exim
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from models.errors import UnavailableError
from models.mail.exim_answers import Listed, parse_listing, read_outcomes, read_start
from models.mail.program import PATH
from models.mail.retry_hints import HINTS_MAX, RetryHint, parse_hints
from models.mail.rules import Action, Outcome, Result, check_address, is_message_id
from models.tracing import Kind, tracing

_ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": PATH}
# A batch of 250 takes a sixth of a second; a disk that is busy may need much longer.
_TIMEOUT_S: Final = 60.0
_NOBODYS_ID: Final = "000000-000000-00"
IDS_AT_ONCE_MAX: Final = 250
_REASON_CHARACTERS_MAX: Final = 500
_GONE_S: Final = 5.0

_OPTIONS: Final[Mapping[Action, str]] = {
    Action.FREEZE: "-Mf",
    Action.THAW: "-Mt",
    Action.REMOVE: "-Mrm",
}
_ATTEMPTS: Final[Mapping[Action, str]] = {Action.DELIVER: "-M", Action.BOUNCE: "-Mg"}
_EDITS: Final[Mapping[Action, str]] = {
    Action.ADD_RECIPIENTS: "-Mar",
    Action.DROP_RECIPIENTS: "-Mmd",
    Action.CHANGE_SENDER: "-Mes",
}
# Nobody else is named in an edit: `-Mmad` takes no address.
_DROP_ALL: Final = "-Mmad"


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

    def refusal(self) -> str:
        """Return why Exim takes no orders from us, in its own words; empty: it does.

        Asked by a look at a message that is not there: whether we may look is said first.
        """
        said = self._run("-Mvh", _NOBODYS_ID)
        return said.brief if "ermission denied" in said.out + said.err else ""

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

    def edit(
        self, action: Action, message_id: str, addresses: Sequence[str], *, queue: str = ""
    ) -> Outcome:
        """Change the envelope of one message; it stays as it was unless all addresses are good.

        These commands would take options behind the id, so addresses stand in angle brackets.
        """
        assert is_message_id(message_id)
        option = _EDITS[action]
        if action is Action.DROP_RECIPIENTS and not addresses:
            option = _DROP_ALL
        elif action is Action.CHANGE_SENDER and not addresses:
            addresses = [""]
        elif action is Action.ADD_RECIPIENTS:
            there = self.recipients(message_id, queue=queue)
            # What was carried out before must not make somebody a recipient twice.
            addresses = [each for each in addresses if each.casefold() not in there]
            if there and not addresses:
                return Outcome(message_id=message_id, result=Result.ALREADY)
        for each in addresses:
            if each:
                check_address(each, field="addresses")
        bracketed = [f"<{each}>" for each in addresses]
        said = self._run(*_of_queue(queue), option, message_id, *bracketed)
        [outcome] = read_outcomes([message_id], said.out.splitlines(), said.err)
        if outcome.result is Result.REFUSED:
            return replace(outcome, said=said.reason_for(message_id))
        return outcome

    def recipients(self, message_id: str, *, queue: str = "") -> frozenset[str]:
        """Return whom a message is to, delivered or not, in small letters; empty: it is gone."""
        assert is_message_id(message_id)
        listed = parse_listing(self._run(*_of_queue(queue), "-bpr", message_id).out.splitlines())
        return frozenset(to.casefold() for each in listed for to in each.recipients)

    def attempt(
        self,
        action: Action,
        message_id: str,
        *,
        queue: str = "",
        started: Callable[[Outcome], None],
        heard: Callable[[str], None],
    ) -> None:
        """Try to deliver one message now, or send it back; return when the attempt is over.

        `started` is told once, as soon as it is known whether there is an attempt; `heard` gets
        every line of the dialogue. An attempt is never cut short: that could deliver twice.
        """
        assert is_message_id(message_id)
        arguments = (*_of_queue(queue), "-v", _ATTEMPTS[action], message_id)
        with tracing.span("exim", Kind.CLIENT, **_named(arguments)):
            self._follow(action, message_id, arguments, started, heard)

    def _follow(
        self,
        action: Action,
        message_id: str,
        arguments: Sequence[str],
        started: Callable[[Outcome], None],
        heard: Callable[[str], None],
    ) -> None:
        process = self._start(arguments, merged=True)
        assert process.stdout is not None
        outcome: Outcome | None = None
        with process.stdout as lines:
            for raw in lines:
                line = _text(raw).rstrip()
                heard(line)
                if outcome is None:
                    outcome = read_start(message_id, line)
                    if outcome is not None:
                        if action is Action.BOUNCE:
                            # It is cancelled now, and gone when this process is.
                            with contextlib.suppress(subprocess.TimeoutExpired):
                                process.wait(_GONE_S)
                        started(outcome)
        process.wait()
        if outcome is None:
            started(Outcome(message_id=message_id, result=Result.DONE))

    def _run(self, *arguments: str) -> "_Said":
        with tracing.span("exim", Kind.CLIENT, **_named(arguments)):
            return self._say(arguments)

    def _say(self, arguments: Sequence[str]) -> "_Said":
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

    def reason_for(self, message_id: str) -> str:
        """Return why an edit of a message was refused, on one line."""
        words = " ".join(self.out.split()).removeprefix(f"Message {message_id} - ")
        return words[:_REASON_CHARACTERS_MAX]


def _named(arguments: Sequence[str]) -> dict[str, str | int]:
    """Return what a trace learns of a command: what was asked, of how many, and no address."""
    options = " ".join(each for each in arguments if each.startswith("-"))
    return {"exim.options": options, "exim.messages": sum(map(is_message_id, arguments))}


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
