"""One program under supervision: started, listened to, restarted, stopped."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.supervisor.output import LinePump, Output

_PAUSE_S_MIN: Final = 0.5
_PAUSE_S_MAX: Final = 30.0
# Who lived that long was well: its next death is no part of the same trouble.
_WELL_AFTER_S: Final = 10.0
_READY_POLL_S: Final = 0.05
# What a dead program left in its pipe is read for that long.
_LAST_WORDS_S: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1
_prctl: Final = getattr(ctypes.CDLL(None), "prctl", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run and how to treat it."""

    name: str
    command: Sequence[str]
    # Says whether it serves; None: it counts as ready once it runs.
    answers: Callable[[], Awaitable[bool]] | None = None
    # Signals that ask it to end, each with the seconds after which it is sent.
    stop_signals: Sequence[tuple[float, signal.Signals]] = ((0.0, signal.SIGTERM),)
    # Killed that many seconds after it was first asked.
    kill_after_s: float
    # Sent by the kernel when the supervisor is gone, however that came about.
    orphan_signal: signal.Signals = signal.SIGKILL
    # Lines with one of these are not passed on.
    hushed: Sequence[str] = ()
    # Called when it ended before it was ready; repairs what it can and says what it did.
    mend: Callable[[], str | None] | None = None


class Child:
    """Runs one program again and again until told to stop."""

    def __init__(
        self,
        program: Program,
        *,
        environ: Mapping[str, str],
        folder: Path,
        lock: int,
        output: Output,
    ) -> None:
        self.name: Final = program.name
        self.ready: Final = asyncio.Event()
        self.failures: int = 0  # ends before it was ever ready
        self._program = program
        self._environ = environ
        self._folder = folder
        self._lock = lock
        self._output = output
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    async def run_once(self) -> int:
        """Run the program to its end and return its exit code; nothing of its group survives."""
        loop = asyncio.get_running_loop()
        read_end, write_end = os.pipe()
        pump = LinePump(self._hear)
        pipe, _ = await loop.connect_read_pipe(lambda: pump, os.fdopen(read_end, "rb", 0))
        try:
            # The pipe is ours and not asyncio's, whose wait() would wait for grandchildren too.
            self._process = await asyncio.create_subprocess_exec(
                *self._program.command,
                env=self._environ,
                cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
                pass_fds=[self._lock],
                preexec_fn=self._die_with_supervisor(),
            )
        finally:
            os.close(write_end)
        if self._stopping.is_set():  # since before it was born
            self._send_group(signal.SIGKILL)
        probe = asyncio.create_task(self._probe())
        code = await self._process.wait()
        probe.cancel()
        # gunicorn's workers outlive a master that was killed, and keep its port.
        self._send_group(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(pump.finished.wait(), _LAST_WORDS_S)
        pipe.close()
        return code

    async def keep_running(self) -> None:
        """Run the program, and again when it ends, with growing pauses, until `stop`."""
        loop = asyncio.get_running_loop()
        pause_s = _PAUSE_S_MIN
        while not self._stopping.is_set():
            started_at = loop.time()
            code = await self.run_once()
            if self._stopping.is_set():
                return
            if loop.time() - started_at > _WELL_AFTER_S:
                pause_s = _PAUSE_S_MIN
            if not self.ready.is_set():
                self.failures += 1
                await self._mend()
            self.ready.clear()
            self._output.say("up", f"{self.name} ended with {code}; again in {pause_s:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, _PAUSE_S_MAX)

    async def stop(self) -> None:
        """Ask the program to end, ever more firmly, and return when it has."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        asked_s = 0.0
        for after_s, number in [
            *self._program.stop_signals,
            (self._program.kill_after_s, signal.SIGKILL),
        ]:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), after_s - asked_s)
                return
            asked_s = after_s
            if number is signal.SIGKILL:
                self._output.say("up", f"{self.name} did not stop and is killed")
                self._send_group(number)
            else:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
        await process.wait()

    def kill(self) -> None:
        """End the program and all of its group now."""
        self._stopping.set()
        self._send_group(signal.SIGKILL)

    def _hear(self, line: str) -> None:
        if not any(words in line for words in self._program.hushed):
            self._output.say(self.name, line)

    def _send_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def _mend(self) -> None:
        if self._program.mend is None:
            return
        done = await asyncio.to_thread(self._program.mend)
        if done:
            self._output.say("up", done)

    async def _probe(self) -> None:
        """Set `ready` once the program answers."""
        answers = self._program.answers
        while answers is not None and not await answers():  # noqa: ASYNC110  # it is no event of ours
            await asyncio.sleep(_READY_POLL_S)
        self.ready.set()

    def _die_with_supervisor(self) -> Callable[[], None]:
        """Return what the child does between fork and exec; it must not allocate or import."""
        number, supervisor = int(self._program.orphan_signal), os.getpid()

        def ask_the_kernel() -> None:
            if _prctl is not None:
                _prctl(_PR_SET_PDEATHSIG, number)
                if os.getppid() != supervisor:  # too late: it went while we forked
                    os._exit(1)

        return ask_the_kernel
