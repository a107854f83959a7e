"""Who is at the other end of a request: does somebody still listen, and from which address."""

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from falcon.asgi import Request

from models.addresses import is_within, parse_address, parse_networks

Receive = Callable[[], Awaitable[dict[str, Any]]]
_RECEIVE: Final = "stanchion.receive"
# What stands for the address of a client whose proxy does not tell it.
UNKNOWN_ADDRESS: Final = "unknown"


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


class Proxies:
    """What is known of a caller who comes through proxies: only trusted ones are believed."""

    def __init__(self, trusted: Sequence[str]) -> None:
        """`trusted` are addresses and networks; a unix socket's peer is trusted always."""
        self._trusted: Final = parse_networks(trusted)

    def client_address(self, req: Request) -> str:
        """Return the client's address: the last forwarded one that no trusted proxy stands for.

        A peer that is no trusted proxy may write what it likes into X-Forwarded-For.
        """
        forwarded_for = req.get_header("X-Forwarded-For")
        if forwarded_for is None:
            return peer_of(req)
        return self.address_behind(peer_of(req), forwarded_for)

    def address_behind(self, peer: str, forwarded_for: str | None) -> str:
        """Return the client's address, given the peer's and what X-Forwarded-For says.

        What is no address makes the client unknown: it is not the proxy, which may be trusted.
        """
        address = peer
        hops = forwarded_for.split(",") if forwarded_for else []
        while hops and self._is_trusted(address):
            hop = hops.pop()
            if not hop.strip():
                continue
            parsed = parse_address(hop)
            if parsed is None:
                return UNKNOWN_ADDRESS
            address = str(parsed)
        return address

    def is_secure(self, req: Request) -> bool:
        """Say whether the client speaks TLS, to us or to a trusted proxy."""
        if req.scheme in {"https", "wss"}:
            return True
        said = req.get_header("X-Forwarded-Proto")
        return said == "https" and self._is_trusted(peer_of(req))

    def host(self, req: Request) -> str:
        """Return the host and port that the client asked for, as far as it can be believed."""
        said = req.get_header("X-Forwarded-Host")
        if said and self._is_trusted(peer_of(req)):
            return said.rpartition(",")[2].strip()
        return req.get_header("Host") or ""

    def _is_trusted(self, peer: str) -> bool:
        if not peer:
            return True  # of a unix socket, which only this machine reaches
        address = parse_address(peer)
        return address is not None and is_within(address, self._trusted)


def peer_of(req: Request) -> str:
    """Return the address at the other end of the connection; a unix socket's is this machine.

    What `req.remote_addr` says, without reading what proxies wrote about others.
    """
    client = req.scope.get("client")
    return client[0] if client else "127.0.0.1"


@lru_cache(maxsize=1_000)
def is_loopback_address(address: str) -> bool:
    """Say whether an address is this machine; a unix socket's peer has none and is."""
    if not address:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
