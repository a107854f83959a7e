"""Where webhooks may send, and what they may say in headers: checks without any I/O.

A webhook makes this server ask an address that somebody else wrote down. So by default only public
addresses are asked; what an operator opens beside them is a list of networks. A name is checked by
the addresses it stands for at the moment of connecting (`connecting.py`), never by how it looks.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from models.addresses import Address, Network, is_within
from models.errors import InvalidError

URL_CHARACTERS_MAX: Final = 2_048
HEADERS_MAX: Final = 20
HEADER_CHARACTERS_MAX: Final = 4_096
_PORTS: Final = {"http": 80, "https": 443}
_FIRST_FREE_PORT: Final = 1_024
_PORT_MAX: Final = 65_535
# They listen to whoever speaks lines: Redis, memcached, and the ports that browsers refuse too.
# Source: https://fetch.spec.whatwg.org/#port-blocking
_BAD_PORTS: Final = frozenset(
    {
        *(1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566),
        *(6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211),
    }
)
# Public to the interpreter, or to an older one, and yet inside of somewhere: metadata of clouds,
# addresses of protocols, site-local ones, NAT64 of one's own.
_INNER: Final = tuple(
    map(
        ipaddress.ip_network,
        ("168.63.129.16/32", "192.0.0.0/24", "fec0::/10", "64:ff9b:1::/48"),
    )
)
# IPv4 within IPv6, to be judged as what it leads to: NAT64, and what was IPv4-compatible.
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.ip_network("::/96")
_IPV4_MASK: Final = 0xFFFFFFFF

_URL: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[!-~]([ \t!-~]*[!-~])?")
# What the request itself says, what ends it, and what a proxy on the way would act on.
_OURS: Final = frozenset(
    {
        *("accept-encoding", "connection", "content-encoding", "content-length", "content-type"),
        *("expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
_OUR_PREFIXES: Final = ("webhook-", "stanchion-", "proxy-")


def check_url(url: str, networks: Sequence[Network]) -> None:
    """Raise InvalidError unless a webhook may have this address, as far as its looks tell."""
    fault = _fault_of_url(url, networks)
    if fault:
        raise InvalidError({"url": fault})


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise InvalidError unless a request may carry these headers besides its own."""
    if len(headers) > HEADERS_MAX:
        raise InvalidError({"headers": f"Expected at most {HEADERS_MAX}"})
    faults: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in headers.items():
        fault = _fault_of_header(name, value, seen)
        seen.add(name.lower())
        if fault:
            faults[f"headers.{name[:100]}"] = fault
    if faults:
        raise InvalidError(faults)


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Say whether a webhook may connect to an address: a public one, or one in `networks`.

    IPv4 that is wrapped in IPv6 (mapped, NAT64, 6to4, Teredo) is judged as the IPv4 address.
    """
    address = _unwrapped(address)
    if is_within(address, networks):
        return True
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not is_special and not is_within(address, _INNER)


def port_fault(port: int) -> str | None:
    """Return what is wrong with a port, None for one that may be asked."""
    is_free = _FIRST_FREE_PORT <= port <= _PORT_MAX and port not in _BAD_PORTS
    if port in _PORTS.values() or is_free:
        return None
    return f"Expected port 80, 443 or one from {_FIRST_FREE_PORT} on of no other protocol"


def _fault_of_url(url: str, networks: Sequence[Network]) -> str | None:
    if len(url) > URL_CHARACTERS_MAX:
        return f"Expected at most {URL_CHARACTERS_MAX} characters"
    if not _URL.fullmatch(url) or "\\" in url:
        return "Expected an address in ASCII without spaces"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "Expected an address such as https://example.com/hook"
    return (
        _fault_of_parts(parts)
        or _fault_of_host(parts, networks)
        or port_fault(_PORTS[parts.scheme] if port is None else port)
    )


def _fault_of_parts(parts: SplitResult) -> str | None:
    if parts.scheme not in _PORTS or not parts.hostname:
        return "Expected an address that begins with http:// or https://"
    if "@" in parts.netloc:
        return "Expected no user or password; `headers` may hold Authorization"
    return "Expected no fragment" if parts.fragment else None


def _fault_of_host(parts: SplitResult, networks: Sequence[Network]) -> str | None:
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # Numbers that are no address to us, such as 0x7f.1, are one to the resolver: judged there.
        return None if _HOST.fullmatch(host) else "Expected a host name in ASCII (xn--…)"
    if "%" in host or not is_allowed(address, networks):
        return f"Expected a public address, got {host}"
    return None


def _fault_of_header(name: str, value: str, seen: set[str]) -> str | None:
    if not _HEADER_NAME.fullmatch(name):
        return "Expected a name of letters, digits and dashes"
    lowered = name.lower()
    if lowered in _OURS or lowered.startswith(_OUR_PREFIXES):
        return "Expected another header: this one is the request's own"
    if lowered in seen:
        return "given more than once"
    if len(value) > HEADER_CHARACTERS_MAX or not _HEADER_VALUE.fullmatch(value):
        return f"Expected up to {HEADER_CHARACTERS_MAX} visible characters of ASCII"
    return None


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & _IPV4_MASK)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address
