"""What Exim's hints say of the next attempt; pure but for the zone of this host's clock.

Source: `exim_dumpdb SPOOL retry` of 4.96 and 4.98.2.
"""

import contextlib
import ipaddress
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

HINTS_MAX: Final = 5_000
_KEY_CHARACTERS_MAX: Final = 400
_REASON_CHARACTERS_MAX: Final = 300
_MOMENT: Final = r"(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d)"
_HEAD: Final = re.compile(r"^ {0,2}([RT]:\S.*?) (-?\d+) (-?\d+) (.*)$")
_TIMES: Final = re.compile(rf"^{_MOMENT}\s+{_MOMENT}\s+{_MOMENT}\s*(\*?)")
_HOST: Final = re.compile(r"T:(?:\[[^\]]*\]|[^:\s]*):(\S+)")
_OF_MESSAGE: Final = re.compile(r":[0-9A-Za-z]{6}-[0-9A-Za-z-]{9,16}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryHint:
    """When an address, a domain (`R:`) or a host (`T:`, with its address) is tried again."""

    key: str
    failed_at_ms: int
    tried_at_ms: int
    next_at_ms: int
    is_expired: bool = False
    reason: str = ""
    address: str = ""


def parse_hints(lines: Iterable[str]) -> Iterator[RetryHint]:
    """Yield the hints of a dump; what cannot be made sense of is passed over."""
    head: re.Match[str] | None = None
    for line in lines:
        times = _TIMES.match(line)
        if times is None or head is None:
            head = _HEAD.match(line) or head
            continue
        try:
            failed, tried, due = (_moment_ms(times[number]) for number in (1, 2, 3))
        except (ValueError, OverflowError):
            head = None
            continue
        if len(head[1]) <= _KEY_CHARACTERS_MAX:
            yield RetryHint(
                key=head[1],
                failed_at_ms=failed,
                tried_at_ms=tried,
                next_at_ms=due,
                is_expired=times[4] == "*",
                reason=head[4][:_REASON_CHARACTERS_MAX],
                address=_address_of(head[1]),
            )
        head = None


def keys_of(recipient: str, sender: str) -> tuple[str, ...]:
    """Return the keys under which an address waits: itself, of this sender, its domain."""
    domain = recipient.rpartition("@")[2]
    local = recipient[: len(recipient) - len(domain)]
    address = f"{local}{domain.lower()}"
    return (*(f"R:{address}", f"R:{address}:<{sender}>", f"R:{recipient}", f"R:{domain.lower()}"),)


def _address_of(key: str) -> str:
    """Return the address in a host's key, behind which a port and a message may stand."""
    found = _HOST.fullmatch(_OF_MESSAGE.sub("", key))
    if found is None:
        return ""
    for text in (found[1], found[1].rpartition(":")[0]):
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(text.strip("[]")))
    return ""


def _moment_ms(text: str) -> int:
    return int(time.mktime(time.strptime(text, "%d-%b-%Y %H:%M:%S"))) * 1000
