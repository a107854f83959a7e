"""Every word said to espeak-ng, which turns words into sound on this machine, without a network.

It is run with a list of arguments that are ours, and gets the words on its standard input: nothing
that a name holds becomes an option, a file or a command.
"""

import contextlib
import os
import shutil
import signal
import subprocess  # noqa: TID251  # this is the edge of tickets to espeak-ng
import threading
from collections.abc import Mapping
from typing import Final

from models.tickets.speech import Language, Phrase, sayable

OFF: Final = "off"
_NAME: Final = "espeak-ng"
_PATH: Final = "/usr/bin:/usr/local/bin:/bin"
_ENVIRONMENT: Final = {"PATH": _PATH, "LC_ALL": "C.UTF-8"}
_WORDS_PER_MIN: Final = 150  # a hall echoes; the program's own 175 is for headphones
_GONE_S: Final = 1.0


class EspeakError(Exception):
    """It is not there, or said nothing that can be heard."""


def find_program(configured: str) -> str | None:
    """Return where espeak-ng is; None when it is not there or, which `off` says, not wanted."""
    if configured == OFF:
        return None
    name = configured or _NAME
    return shutil.which(name) or shutil.which(name, path=_PATH)


class Espeak:
    """One espeak-ng and the voices that it uses."""

    def __init__(
        self,
        program: str,
        voices: Mapping[Language, str],
        *,
        timeout_s: float,
        bytes_max: int,
    ) -> None:
        """`timeout_s` and `bytes_max` bound each phrase; what is beyond is ended and refused."""
        self._program: Final = program
        self._voices: Final = voices
        self._timeout_s: Final = timeout_s
        self._bytes_max: Final = bytes_max

    def speak(self, phrase: Phrase) -> bytes:
        """Return a phrase as WAV, in whose header no length is right; raises EspeakError."""
        process = self._start(self._voices[phrase.language])
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            _kill(process)

        impatience = threading.Timer(self._timeout_s, end)
        impatience.start()
        try:
            said = self._converse(process, sayable(phrase.text))
        finally:
            impatience.cancel()
            _kill(process)
        if is_late.is_set():
            raise EspeakError(f"it was not done within {self._timeout_s:g} s")
        if len(said) > self._bytes_max:
            raise EspeakError(f"it had more than {self._bytes_max} bytes to say")
        if not said:
            raise EspeakError(f"it said nothing with the voice {self._voices[phrase.language]}")
        return said

    def _start(self, voice: str) -> "subprocess.Popen[bytes]":
        command = [self._program, "-v", voice, "-s", str(_WORDS_PER_MIN), "-b", "1"]
        try:
            return subprocess.Popen(  # noqa: S603  # a list, and nothing of it is a caller's
                [*command, "--stdin", "--stdout"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise EspeakError(error.strerror or str(error)) from None

    def _converse(self, process: "subprocess.Popen[bytes]", text: str) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        # The words are fewer than what a pipe holds, so this does not wait for the program.
        with contextlib.suppress(BrokenPipeError), process.stdin as words:
            words.write(text.encode())
        with process.stdout as sound:
            return sound.read(self._bytes_max + 1)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End it, if it did not end by itself, and what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GONE_S)
