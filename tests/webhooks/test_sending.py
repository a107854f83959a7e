"""One request on a real connection: which address it goes to, and what a bad receiver can do."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models.addresses import Address, parse_networks
from models.webhooks.connecting import resolve
from models.webhooks.parcels import Parcel
from models.webhooks.rules import Answer, Health, SigningSecrets, Webhook, WebhookSettings
from models.webhooks.sending import ANSWER_BYTES_MAX, Sender
from models.webhooks.signing import new_secret
from tests.webhooks.conftest import LOOPBACK
from tests.webhooks.receiver import Receiver, Reply

NOW_MS = 1_700_000_000_000
PARCEL = Parcel(webhook_id="msg_1", attempt=1, body=b"{}")


def webhook(url: str, timeout_s: int = 10) -> Webhook:
    return Webhook(
        name="hook",
        settings=WebhookSettings(url=url, timeout_s=timeout_s),
        secrets=SigningSecrets(secret=new_secret()),
        health=Health(),
        paused=False,
        paused_reason=None,
        created_at_ms=0,
        updated_at_ms=0,
        version=1,
    )


class Names:
    """A resolver whose answers a test writes: one list after the other, the last for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *, timeout_s: float) -> list[Address]:
        assert port > 0
        assert timeout_s > 0
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ipaddress.ip_address(each) for each in answer]


def send(url: str, *, timeout_s: int = 10, networks: tuple[str, ...] = ("127.0.0.0/8",)) -> Answer:
    with Sender(webhook(url, timeout_s), parse_networks(networks)) as sender:
        return sender.send(PARCEL, now_ms=NOW_MS)


# Which address ------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "127.1"])
def test_loopback_is_refused_however_it_is_written(host: str, receiver: Receiver) -> None:
    answer = send(f"http://{host}:{receiver.port}/", networks=())

    assert answer.error == f"could not connect: {host} has no public address"
    assert receiver.got == []


def test_port_is_checked_where_the_connection_is_made() -> None:
    answer = send("http://127.0.0.1:6379/")

    assert "port 6379 is not allowed" in str(answer.error)


def test_name_is_resolved_once_and_the_connection_goes_to_the_checked_address(
    receiver: Receiver,
) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])

    with Sender(
        webhook(f"http://hooks.example:{receiver.port}/"), LOOPBACK, resolver=names
    ) as sender:
        assert sender.send(PARCEL, now_ms=NOW_MS).status == 204

    assert names.asked == ["hooks.example"]
    assert receiver.got[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_name_that_turns_inwards_is_refused_at_the_next_connection(receiver: Receiver) -> None:
    """The receiver closes its connection, so each request makes a new one."""
    receiver.answer = lambda _: Reply(headers={"Connection": "close"})
    names = Names(["127.0.0.1"], ["10.0.0.1"])

    with Sender(
        webhook(f"http://hooks.example:{receiver.port}/"), LOOPBACK, resolver=names
    ) as sender:
        first = sender.send(PARCEL, now_ms=NOW_MS)
        second = sender.send(PARCEL, now_ms=NOW_MS)

    assert first.status == 204
    assert second.error == "could not connect: hooks.example has no public address"
    assert len(receiver.got) == 1


def test_of_several_addresses_only_those_allowed_are_asked(receiver: Receiver) -> None:
    names = Names(["169.254.169.254", "::1", "127.0.0.1"])

    with Sender(
        webhook(f"http://hooks.example:{receiver.port}/"), LOOPBACK, resolver=names
    ) as sender:
        assert sender.send(PARCEL, now_ms=NOW_MS).status == 204


def test_the_machines_resolver_finds_this_machine() -> None:
    assert ipaddress.ip_address("127.0.0.1") in resolve("localhost", 80, timeout_s=30)
    with pytest.raises(httpcore.ConnectError):
        resolve("no-such-host.invalid", 80, timeout_s=60)


def test_proxies_of_the_environment_are_not_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert send(receiver.url).status == 204


# What a bad receiver can do -----------------------------------------------------------------


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept one connection, read a request and let a test talk back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    talk(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        listener.close()
        thread.join()


def test_bytes_that_drip_do_not_hold_a_worker() -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.1):
            connection.sendall(b"x")

    with raw_server(drip) as port:
        answer = send(f"http://127.0.0.1:{port}/", timeout_s=1)
        over.set()

    assert answer.error == "no answer within 1 s"


def test_endless_body_is_cut() -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:  # until the other side hangs up
            connection.sendall(b"x" * 65_536)

    with raw_server(pour) as port:
        answer = send(f"http://127.0.0.1:{port}/")

    assert answer.status == 200
    assert len(answer.body) == ANSWER_BYTES_MAX


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    ],
)
def test_what_is_no_answer_is_a_failure(said: bytes) -> None:
    with raw_server(lambda connection: connection.sendall(said)) as port:
        answer = send(f"http://127.0.0.1:{port}/")

    assert answer.reason


def test_answer_with_nul_and_broken_letters_can_be_kept(receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(500, body=b"a\0b\xff")

    assert send(receiver.url).body == "a�b�"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:12:20 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("9" * 4_000, 9_999_999_999),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    said: str, seconds: int | None, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503, {"Retry-After": said})

    assert send(receiver.url).retry_after_s == seconds


# TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for hooks.example that signed itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_receiver(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Receiver(tls=context) as made:
        yield made


def send_tls(host: str, port: int, trusted: Path | None) -> Answer:
    context = None if trusted is None else ssl.create_default_context(cafile=str(trusted))
    with Sender(
        webhook(f"https://{host}:{port}/"),
        LOOPBACK,
        resolver=Names(["127.0.0.1"]),
        ssl_context=context,
    ) as sender:
        return sender.send(PARCEL, now_ms=NOW_MS)


def test_tls_checks_the_name_and_not_the_address(tls_receiver: Receiver, certificate: Path) -> None:
    assert send_tls("hooks.example", tls_receiver.port, certificate).status == 204

    wrong = send_tls("other.example", tls_receiver.port, certificate)
    assert "certificate" in str(wrong.error)
    assert len(tls_receiver.got) == 1


def test_tls_believes_known_authorities_alone(tls_receiver: Receiver) -> None:
    answer = send_tls("hooks.example", tls_receiver.port, None)

    assert "certificate verify failed" in str(answer.error)
    assert tls_receiver.got == []
