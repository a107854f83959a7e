"""A mail host and its broker over TLS: the server has to prove who it is."""

import contextlib
import datetime as dt
import ipaddress
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.mail.exim_server import EximServer
from tests.mail.host_pair import rights_of_page
from tests.servers import ROOT, Process, free_port, wait_until

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Somebody who certifies names, and the file by which one knows it."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    path: Path

    @classmethod
    def make(cls, folder: Path, name: str) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = _builder(subject, subject, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        path = folder / f"{name}.pem"
        path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return cls(key, subject, path)

    def certify(self, folder: Path, address: str) -> tuple[Path, Path]:
        """Return certificate and key of a server at an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = _builder(subject, self.name, key).add_extension(names, critical=False)
        certificate, secret = folder / "server.pem", folder / "server.key"
        certificate.write_bytes(
            made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, secret


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )


@dataclass(frozen=True)
class Broker:
    """A Redis that speaks TLS at two addresses of loopback, certified for the first."""

    port: int
    known: Authority
    other: Authority


@pytest.fixture(scope="module")
def broker(new_folder: Callable[[str], Path]) -> Iterator[Broker]:
    program = shutil.which("redis-server")
    if program is None:
        reason = "a Redis with TLS is not installed (Debian: redis-server)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = new_folder("t")
    known, other = (Authority.make(folder, name) for name in ("known", "other"))
    certificate, key = known.certify(folder, "127.0.0.1")
    port = free_port()
    process = Process(
        [
            *(program, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "127.0.0.2"),
            *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
            *("--tls-ca-cert-file", str(known.path), "--tls-auth-clients", "no"),
            *("--save", "", "--dir", str(folder)),
        ],
        log_path=folder / "log",
    )
    with contextlib.ExitStack() as stack:
        stack.callback(process.stop)
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={known.path}"
        client = stack.enter_context(redis.Redis.from_url(url))
        wait_until(client.ping, "redis answers", process=process)
        client.execute_command(*rights_of_page("mx2", "a-password"))
        yield Broker(port, known, other)


def check(exim: EximServer, folder: Path, url: str) -> str:
    """Return what `mail-watch --check` says of a broker."""
    told = subprocess.run(
        [sys.executable, "-m", "api.cli", "mail-watch", "--check", "--json", "--host", "mx2"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "STANCHION_BROKER_URL": url,
            "STANCHION_DATA": str(folder),
            "STANCHION_EXIM": " ".join(exim.command),
        },
        capture_output=True,
        check=False,
    )
    [found] = [each for each in json.loads(told.stdout) if each["subject"] == "broker"]
    return f"{found['level']} {found['fact']}"


def test_server_that_proves_who_it_is_is_taken(
    broker: Broker, exim: EximServer, tmp_path: Path
) -> None:
    address = f"rediss://mx2:a-password@127.0.0.1:{broker.port}/0?ssl_ca_certs={broker.known.path}"

    assert check(exim, tmp_path, address).startswith("ok")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        # Of an authority that is not known, by the system or as it was said.
        ("rediss://mx2:a-password@127.0.0.1:{port}/0", "certificate verify failed"),
        ("rediss://mx2:a-password@127.0.0.1:{port}/0?ssl_ca_certs={other}", "verify failed"),
        # Of another name.
        ("rediss://mx2:a-password@127.0.0.2:{port}/0?ssl_ca_certs={known}", "verify failed"),
        # The right server, and the wrong password.
        ("rediss://mx2:guessed@127.0.0.1:{port}/0?ssl_ca_certs={known}", "invalid username"),
    ],
)
def test_nobody_else_is_told_anything(
    broker: Broker, exim: EximServer, tmp_path: Path, address: str, reason: str
) -> None:
    url = address.format(port=broker.port, known=broker.known.path, other=broker.other.path)

    said = check(exim, tmp_path, url)

    assert said.startswith("fault")
    assert reason in said


def told(client: redis.Redis) -> set[str]:
    """Return which tasks of the house have been sent."""
    messages = [json.loads(each) for each in client.lrange("mail", 0, -1)]
    return {each["headers"]["task"] for each in messages}


def test_host_watches_over_tls_with_the_rights_of_the_page(
    broker: Broker, exim: EximServer, tmp_path: Path
) -> None:
    exim.submit("u@defer.test")
    address = f"rediss://mx2:a-password@127.0.0.1:{broker.port}/0?ssl_ca_certs={broker.known.path}"
    process = Process(
        [sys.executable, "-m", "api.cli", "mail-watch", "--host", "mx2"],
        log_path=tmp_path / "log",
        environ={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "STANCHION_BROKER_URL": address,
            "STANCHION_DATA": str(tmp_path / "data"),
            "STANCHION_EXIM": " ".join(exim.command),
        },
    )
    url = f"rediss://127.0.0.1:{broker.port}/0?ssl_ca_certs={broker.known.path}"
    try:
        with redis.Redis.from_url(url) as client:
            wait_until(lambda: "mail.index" in told(client), "it tells its mail", process=process)
            denied = {str(each["object"]) for each in client.acl_log() if each["reason"] != "auth"}
    finally:
        process.stop()

    assert denied <= {"client|setinfo", "client"}  # by which a client says what it is
