"""Start the programs in order, keep them running, stop them in order."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from api.supervisor.addresses import away_of, check_addresses, is_healthy
from api.supervisor.child import Child, Program
from api.supervisor.embedded import redis_program
from api.supervisor.instance import claim
from api.supervisor.output import Output
from api.supervisor.welcome import welcome
from models.mail.program import find_command
from models.secrets import ensure_secrets
from models.settings import Settings, given_settings

# Everything but Redis ends within this, and Redis within 2 s more: 10 s in all.
_STOP_S_MAX: Final = 8.0
# An end before the first answer may be bad luck; that many are a fault.
_FAILURES_MAX: Final = 3


async def supervise(settings: Settings, environ: Mapping[str, str], *, color: bool) -> int:
    """Run everything until a signal says stop; return the exit code.

    The data folder must be prepared. Raises AlreadyRunningError or AddressTakenError before
    anything is started.
    """
    lock = claim(settings.data_dir)
    check_addresses(settings)
    form = settings.log_format or "text"
    own_redis = "redis_url" not in given_settings(environ)
    environ = {
        **environ,
        "PYTHONUNBUFFERED": "1",
        # Programs run in another folder, and without a terminal.
        "STANCHION_DATA": settings.data,
        "STANCHION_LOG_FORMAT": form,
    }
    supervisor = _Supervisor(settings, environ, lock, Output(form, color=color))
    return await supervisor.run(own_redis=own_redis)


class _Supervisor:
    def __init__(
        self, settings: Settings, environ: Mapping[str, str], lock: int, output: Output
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._lock = lock
        self._output = output
        self._stop_s = min(float(settings.stop_timeout_s), _STOP_S_MAX)
        self._children: list[Child] = []
        self._runs: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._started_at = time.monotonic()

    async def run(self, *, own_redis: bool) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop_or_kill)
        try:
            is_up = await self._start(own_redis=own_redis)
            if is_up:
                await self._stopping.wait()
            was_told = self._stopping.is_set()
        finally:
            await self._stop()
        return 0 if was_told else 1

    async def _start(self, *, own_redis: bool) -> bool:
        """Start everything in order; say whether it is up, which it is not once told to stop."""
        secrets = ensure_secrets(self._settings)
        if own_redis and not await self._start_ready(redis_program(self._settings)):
            return False
        migrate = self._child(self._program("migrate"))
        code = await self._unless_stopping(migrate.run_once())
        if code != 0:
            if code is not None:
                self._output.say("up", f"the database could not be migrated (exit code {code})")
            return False
        if not await self._start_ready(self._api()):
            return False
        # They share two cores with the API at most, so its first answer goes before them.
        for name, stop_signals in (
            ("worker", ((0.0, signal.SIGTERM), (self._stop_s / 2, signal.SIGQUIT))),
            ("beat", ((0.0, signal.SIGTERM),)),
            ("flower", ((0.0, signal.SIGTERM),)),
            *self._mail_host(),
        ):
            self._keep_running(self._program(name, stop_signals=stop_signals))
        took_s = time.monotonic() - self._started_at
        self._output.show(welcome(self._settings, secrets, took_s=took_s))
        for name in await away_of(self._settings.bind[0]):
            self._output.say("up", f"but {name} cannot be reached; `stanchion doctor` tells more")
        return True

    def _mail_host(self) -> Sequence[tuple[str, Sequence[tuple[float, signal.Signals]]]]:
        """Return what looks after the Exim of this machine, if there is one."""
        if find_command(self._settings.exim) is None:
            return []
        return [("mail-watch", ((0.0, signal.SIGTERM), (self._stop_s / 2, signal.SIGQUIT)))]

    def _program(self, name: str, **treatment: Any) -> Program:
        command = [sys.executable, "-P", "-m", "api.cli", name]
        return Program(name=name, command=command, kill_after_s=self._stop_s, **treatment)

    def _api(self) -> Program:
        address = self._settings.bind[0]

        async def answers() -> bool:
            return await is_healthy(address)

        return self._program("api", answers=answers, orphan_signal=signal.SIGTERM)

    async def _start_ready(self, program: Program) -> bool:
        """Start a program and wait for its first answer; give up when it keeps ending."""
        child = self._keep_running(program)
        while not child.ready.is_set() and not self._stopping.is_set():
            if child.failures >= _FAILURES_MAX:
                self._output.say("up", f"{child.name} does not start")
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._unless_stopping(child.ready.wait())
        return not self._stopping.is_set()

    async def _unless_stopping(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what `work` returns, or None as soon as we are told to stop."""
        task = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            stopping.cancel()
            task.cancel()

    def _child(self, program: Program) -> Child:
        child = Child(
            program,
            environ=self._environ,
            folder=self._settings.data_dir / "run",
            lock=self._lock,
            output=self._output,
        )
        self._children.append(child)
        return child

    def _keep_running(self, program: Program) -> Child:
        child = self._child(program)
        self._runs.append(asyncio.ensure_future(child.keep_running()))
        return child

    def _stop_or_kill(self) -> None:
        """Stop at the first signal; at the second, kill."""
        if not self._stopping.is_set():
            self._stopping.set()
            return
        for child in self._children:
            child.kill()

    async def _stop(self) -> None:
        """Stop everything, Redis last, since the others still write to it."""
        self._stopping.set()
        self._output.say("up", "stopping")
        stopping_at = time.monotonic()
        last = [child for child in self._children if child.name == "redis"]
        first = [child for child in self._children if child.name != "redis"]
        await asyncio.gather(*(child.stop() for child in first))
        await asyncio.gather(*(child.stop() for child in last))
        await asyncio.gather(*self._runs, return_exceptions=True)
        self._output.say("up", f"stopped in {time.monotonic() - stopping_at:.1f} s")
