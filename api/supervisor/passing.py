"""A program for as long as one command needs it."""

import asyncio
import contextlib
import subprocess  # noqa: TID251  # the supervisor's edge to its programs
import time
from collections.abc import Iterator
from typing import Final

from api.supervisor.child import Program
from models.errors import UnavailableError

_START_TIMEOUT_S: Final = 60.0  # Redis reads its whole file first
_STOP_TIMEOUT_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.05


@contextlib.contextmanager
def running(program: Program) -> Iterator[None]:
    """Run a program that says when it serves, until the end of the block; then it ends in peace.

    Raises UnavailableError when it does not serve in time.
    """
    process = subprocess.Popen(  # noqa: S603
        program.command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not asyncio.run(_answers(program)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError(program.name, "it does not start")
            time.sleep(_LOOK_AGAIN_S)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _answers(program: Program) -> bool:
    assert program.answers is not None
    return await program.answers()
