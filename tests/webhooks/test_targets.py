"""Where webhooks may send: addresses, ports, headers, by their looks."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.addresses import parse_networks
from models.errors import InvalidError
from models.webhooks.targets import check_headers, check_url, is_allowed, port_fault

INNER = [
    "127.0.0.1",
    "127.9.9.9",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # metadata of most clouds
    "168.63.129.16",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "0.0.0.0",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "240.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo around 127.0.0.1
    "2001:db8::1",
    "fec0::1",
    "64:ff9b:1::1",
]


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_are_refused(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), ())


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_changes_no_answer(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    wrapped = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ]

    assert {is_allowed(each, ()) for each in wrapped} == {is_allowed(address, ())}


def test_a_setting_opens_what_an_operator_wants_and_no_more() -> None:
    networks = parse_networks(["10.1.2.0/24", "::1"])

    assert is_allowed(ipaddress.ip_address("10.1.2.3"), networks)
    assert is_allowed(ipaddress.ip_address("::ffff:10.1.2.3"), networks)
    assert is_allowed(ipaddress.ip_address("::1"), networks)
    assert not is_allowed(ipaddress.ip_address("10.1.3.3"), networks)
    assert not is_allowed(ipaddress.ip_address("127.0.0.1"), networks)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "//example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "unix:///var/run/docker.sock",
        "gopher://example.com",
        "http://",
        "http:///hook",
        "http://user:pass@example.com/",
        "http://user@example.com/",
        "http://example.com#part",
        "http://example.com/a b",
        "http://example.com/a\nb",
        "http://example.com\r\nX: y",
        "http://example.com\\@inner/",
        "http://exämple.com/",
        "http://[::1/",
        "http://example.com:port/",
        "http://example.com:70000/",
        "http://example.com:0/",
        "http://example.com:22/",
        "http://example.com:6379/",
        "http://example.com:11211/",
        "http://[fe80::1%25eth0]/",
        "http://exa mple.com/",
        "http://a" + "b" * 2_048,
        *(f"http://{each}/" for each in INNER if ":" not in each),
        *(f"https://[{each}]/" for each in INNER if ":" in each),
    ],
)
def test_addresses_that_cannot_be_are_refused(url: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_url(url, ())
    assert list(caught.value.details) == ["url"]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?token=1&b=%20",
        "http://example.com:80/",
        "https://example.com:8443/",
        "https://xn--exmple-cua.com/",
        "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]:8443/",
        "http://2130706433/",  # judged when it is resolved
    ],
)
def test_addresses_that_may_be_are_taken(url: str) -> None:
    check_url(url, ())


@pytest.mark.parametrize("port", [80, 443, 1024, 8080, 65_535])
def test_ports_of_http_are_allowed(port: int) -> None:
    assert port_fault(port) is None


@pytest.mark.parametrize("port", [-1, 0, 22, 25, 1023, 6000, 6379, 65_536])
def test_ports_of_others_are_not(port: int) -> None:
    assert port_fault(port) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "inner"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Webhook-Id", "msg_1"),
        ("webhook-signature", "v1,a"),
        ("stanchion-attempt", "1"),
        ("Proxy-Authorization", "x"),
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("ä", "x"),
        ("a\r\nb", "x"),
        ("a\0", "x"),
        ("X", ""),
        ("X", " x"),
        ("X", "x\r\nY: z"),
        ("X", "x\n"),
        ("X", "x\0"),
        ("X", "ä"),
        ("X", "x" * 4_097),
    ],
)
def test_headers_that_would_do_harm_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidError):
        check_headers({name: value})


def test_headers_are_few_and_each_is_there_once() -> None:
    check_headers({"Authorization": "Bearer a b", "X-Key": "1", "User-Agent": "ours"})
    with pytest.raises(InvalidError):
        check_headers({"X-Key": "1", "x-key": "2"})
    with pytest.raises(InvalidError):
        check_headers({f"X-{number}": "1" for number in range(21)})
