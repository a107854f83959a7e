"""The addresses of settings: whether they are free, and whether the API answers there."""

import asyncio
import contextlib
import json
import socket
from typing import Final

from models.errors import StanchionError
from models.settings import Settings, host_of, port_of

# Longer than `/health` waits for a component that says nothing.
_ANSWER_TIMEOUT_S: Final = 5.0
_EVERY_INTERFACE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # told apart, not bound


class AddressTakenError(StanchionError):
    """An address that a setting names cannot be listened on."""

    code = "address_taken"

    def __init__(self, setting: str, address: str, reason: str) -> None:
        super().__init__(setting, address, reason)
        self.setting = setting
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot listen on {self.address} ({self.setting}): {self.reason}"


def check_addresses(settings: Settings) -> None:
    """Raise AddressTakenError if somebody listens where we are about to."""
    wanted = [("STANCHION_BIND", address) for address in settings.bind]
    wanted.append(("STANCHION_FLOWER_BIND", settings.flower_bind))
    with contextlib.ExitStack() as stack:
        for setting, address in wanted:
            try:
                family, kind, protocol, _, where = socket.getaddrinfo(
                    host_of(address), port_of(address), type=socket.SOCK_STREAM
                )[0]
                listener = stack.enter_context(socket.socket(family, kind, protocol))
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(where)
                listener.listen()
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise AddressTakenError(setting, address, reason) from None


def reachable(address: str) -> str:
    """Return where on this machine to reach what listens on `address`: one of its interfaces."""
    host = _EVERY_INTERFACE.get(host_of(address))
    return f"{host}:{port_of(address)}" if host else address


async def is_healthy(address: str) -> bool:
    """Say whether `GET /health` is answered with 200."""
    return (await _health(address)).startswith(b"HTTP/1.1 200 ")


async def away_of(address: str) -> list[str]:
    """Return what the server at an address needs and cannot reach, such as `redis`."""
    _, _, body = (await _health(address)).partition(b"\r\n\r\n")
    try:
        components = json.loads(body)["components"]
    except (ValueError, KeyError):
        return []
    return [name for name, state in components.items() if state == "unhealthy"]


async def _health(address: str) -> bytes:
    """Return what `GET /health` is answered with; nothing where it is not."""
    address = reachable(address)
    request = f"GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host_of(address), port_of(address))
            try:
                writer.write(request.encode())
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""
