"""Who is at the other end of a request: does somebody still listen, and from which address."""

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from falcon.asgi import Request

Receive = Callable[[], Awaitable[dict[str, Any]]]
_RECEIVE: Final = "stanchion.receive"


def remember_receive(scope: dict[str, Any], receive: Receive) -> None:
    """Keep the server's own `receive`, by which a hang-up is noticed; for `HttpCaller`."""
    scope[_RECEIVE] = receive


class HttpCaller:
    """The client of one HTTP request, after its body was read."""

    def __init__(self, req: Request) -> None:
        self._receive: Final[Receive] = req.scope[_RECEIVE]
        self._is_gone = False

    def has_hung_up(self) -> bool:
        """Say, without waiting, whether the connection is closed."""
        while not self._is_gone:
            # One step by hand: a server that has nothing to tell would wait, and is left alone.
            step = self._receive()
            try:
                step.send(None)  # type: ignore[attr-defined]  # a coroutine in every server
            except StopIteration as told:
                self._is_gone = told.value["type"] == "http.disconnect"
            else:
                step.close()  # type: ignore[attr-defined]
                return False
        return True

    async def hung_up(self) -> None:
        """Return when the connection is closed."""
        while not self._is_gone:
            told = await self._receive()
            self._is_gone = told["type"] == "http.disconnect"


def client_address(req: Request, trusted_proxies: Sequence[str]) -> str:
    """Return the client's address: the last forwarded one that no trusted proxy stands for.

    A peer that is no trusted proxy may write what it likes into X-Forwarded-For.
    """
    address: str = req.remote_addr
    hops = [hop.strip() for hop in (req.get_header("X-Forwarded-For") or "").split(",")]
    while address in trusted_proxies and hops:
        if hop := hops.pop():
            address = hop
    return address


def is_loopback_address(address: str) -> bool:
    """Say whether an address is this machine; a unix socket's peer has none and is."""
    if not address:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
