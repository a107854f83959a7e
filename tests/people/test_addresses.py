"""Whose address a request has: headers as strangers and proxies write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.caller import UNKNOWN_ADDRESS, Proxies
from models.addresses import parse_address, subscriber_of

LOOPBACK = Proxies(("127.0.0.1", "::1"))
NETWORK = Proxies(("127.0.0.1", "10.0.0.0/8", "2001:db8:aa::/48"))


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9, 127.0.0.1", "203.0.113.9"),
        ("127.0.0.1", " 203.0.113.9:4711 ", "203.0.113.9"),
        ("127.0.0.1", '"[2001:db8::1]:4711"', "2001:db8::1"),
        ("127.0.0.1", "2001:DB8:0::1", "2001:db8::1"),
        ("127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("", "203.0.113.9", "203.0.113.9"),
        ("", None, ""),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", ",,203.0.113.9,,", "203.0.113.9"),
        ("127.0.0.1", "unknown", UNKNOWN_ADDRESS),
        ("127.0.0.1", "127.0.0.1, <script>", UNKNOWN_ADDRESS),
        ("127.0.0.1", "1.2.3.4.5", UNKNOWN_ADDRESS),
        ("127.0.0.1", "127.1", UNKNOWN_ADDRESS),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, said: str | None, address: str) -> None:
    assert LOOPBACK.address_behind(peer, said) == address


def test_a_proxy_may_be_anywhere_in_a_trusted_network() -> None:
    said = "6.6.6.6, 203.0.113.9, 10.1.2.3"

    assert NETWORK.address_behind("2001:db8:aa:1::5", said) == "203.0.113.9"
    assert NETWORK.address_behind("2001:db8:ab::5", said) == "2001:db8:ab::5"


@given(st.text(max_size=200))
def test_nothing_that_is_said_makes_a_stranger_this_machine(said: str) -> None:
    behind = LOOPBACK.address_behind("127.0.0.1", f"{said}, 203.0.113.9")

    assert behind == "203.0.113.9"
    assert LOOPBACK.address_behind("203.0.113.9", said) == "203.0.113.9"


@given(st.text(max_size=80))
def test_junk_is_parsed_or_refused(text: str) -> None:
    parsed = parse_address(text)

    assert parsed is None or parse_address(str(parsed)) == parsed


def test_a_subscriber_is_an_ipv4_address_or_an_ipv6_network() -> None:
    assert subscriber_of("203.0.113.9") == "203.0.113.9"
    assert subscriber_of("2001:db8::1") == subscriber_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert subscriber_of("2001:db8:0:1::1") != subscriber_of("2001:db8::1")
    assert subscriber_of("::ffff:203.0.113.9") == "203.0.113.9"
    assert subscriber_of("unknown") == "unknown"
