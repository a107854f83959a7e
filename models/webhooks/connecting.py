"""Connections to addresses that somebody else wrote down: checked where they are made.

The name is resolved once, each address it stands for is checked, and the connection goes to one
that passed, by its number: what the name stands for a moment later changes nothing.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import Any, Final, Protocol

import httpcore

from models.addresses import Address, Network
from models.webhooks.targets import is_allowed, port_fault

_ADDRESSES_TRIED_MAX: Final = 4


class Resolver(Protocol):
    """Says which addresses a name stands for at this moment."""

    def __call__(self, host: str, port: int, *, timeout_s: float) -> Sequence[Address]:
        """Return them; raises httpcore.ConnectError or httpcore.ConnectTimeout."""


class RefusedError(httpcore.ConnectError):
    """The name stands for no address that a webhook may connect to, or the port is not allowed."""


class Deadline(threading.local):
    """When the request of this thread must be over, by the monotonic clock of the machine."""

    def __init__(self) -> None:
        self.at_s = 0.0

    @contextmanager
    def of(self, seconds: float) -> Iterator[None]:
        """Give all that happens within so many seconds in total."""
        self.at_s = time.monotonic() + seconds
        try:
            yield
        finally:
            self.at_s = 0.0

    def left_s(self, kind: type[httpcore.TimeoutException]) -> float:
        """Return what is left; raises an error of `kind` when nothing is."""
        left_s = self.at_s - time.monotonic()
        if left_s <= 0:
            raise kind("the time is over")
        return left_s


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections to public addresses and to `networks`, and to no other."""

    def __init__(self, networks: Sequence[Network], deadline: Deadline, resolver: Resolver) -> None:
        self._networks: Final = networks
        self._deadline: Final = deadline
        self._resolver: Final = resolver
        self._backend: Final = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # the deadline is of the whole request
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers and may be asked."""
        if fault := port_fault(port):
            raise RefusedError(f"port {port} is not allowed: {fault}")
        left_s = self._deadline.left_s(httpcore.ConnectTimeout)
        found = self._resolver(host, port, timeout_s=left_s)
        allowed = [address for address in found if is_allowed(address, self._networks)]
        if not allowed:
            # Not which addresses: whoever may look at deliveries need not learn of inner networks.
            raise RefusedError(f"{host} has no public address")
        failure: Exception | None = None
        for address in allowed[:_ADDRESSES_TRIED_MAX]:
            try:
                stream = self._backend.connect_tcp(
                    str(address),
                    port,
                    timeout=self._deadline.left_s(httpcore.ConnectTimeout),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except httpcore.ConnectError as error:
                failure = error
            else:
                return TimedStream(stream, self._deadline)
        assert failure is not None, "an address was tried"
        raise failure

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Refuse: webhooks are asked over the network."""
        raise RefusedError(f"{path} is no address of a network")


class TimedStream(httpcore.NetworkStream):
    """A connection whose every step ends by the deadline of the thread that takes it.

    A timeout for each step would let a peer that sends a byte now and then go on for ever.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream: Final = stream
        self._deadline: Final = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Read some bytes."""
        return self._stream.read(max_bytes, self._deadline.left_s(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write all bytes."""
        self._stream.write(buffer, self._deadline.left_s(httpcore.WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Go on encrypted; the certificate must be for the name, not for the address."""
        left_s = self._deadline.left_s(httpcore.ConnectTimeout)
        return TimedStream(
            self._stream.start_tls(ssl_context, server_hostname, left_s), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks of a connection."""
        return self._stream.get_extra_info(info)


def resolve(host: str, port: int, *, timeout_s: float) -> list[Address]:
    """Return the addresses of a host in the resolver's order.

    Raises httpcore.ConnectError or httpcore.ConnectTimeout. The machine's resolver has no deadline,
    so it works in a thread that may outlive this call.
    """
    looked_up: Future[list[Any]] = Future()

    def look_up() -> None:
        try:
            looked_up.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001  # it is the caller's, in the other thread
            looked_up.set_exception(error)

    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    try:
        found = looked_up.result(timeout_s)
    except FutureTimeoutError:
        raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from None
    except (OSError, UnicodeError):
        raise httpcore.ConnectError(f"{host} cannot be resolved") from None
    addresses = [ipaddress.ip_address(str(peer[0]).partition("%")[0]) for *_, peer in found]
    return list(dict.fromkeys(addresses))
