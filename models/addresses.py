"""Network addresses as strangers write them: with ports, brackets, zones, or not at all."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A household or a phone gets a /64 and may take a new address of it for each request.
_IPV6_PREFIX_BITS: Final = 64
_LENGTH_MAX: Final = 64


def parse_address(text: str) -> Address | None:
    """Return the address in `1.2.3.4`, `1.2.3.4:80`, `[::1]:80` or `fe80::1%eth0`, None for junk.

    An IPv4 address written in IPv6 (`::ffff:1.2.3.4`) is the IPv4 address.
    """
    text = text.strip().strip('"')
    if not text or len(text) > _LENGTH_MAX:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks in a list of addresses and networks; `*` is everybody.

    Raises ValueError with the part that is neither.
    """
    networks: list[Network] = []
    for text in texts:
        if text == "*":
            networks += [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
        else:
            networks.append(ipaddress.ip_network(text, strict=False))
    return tuple(networks)


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Say whether some network holds an address."""
    return any(address.version == each.version and address in each for each in networks)


@lru_cache(maxsize=10_000)
def subscriber_of(text: str) -> str:
    """Return whom an address stands for: an IPv4 address, or the /64 around an IPv6 address."""
    address = parse_address(text)
    if address is None:
        return text[:_LENGTH_MAX]
    if address.version == 4:  # noqa: PLR2004  # the Internet Protocol has two versions
        return str(address)
    return str(ipaddress.ip_network((address, _IPV6_PREFIX_BITS), strict=False))
