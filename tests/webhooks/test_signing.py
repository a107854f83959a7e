"""Signatures by the specification: its published vector, and code that is not ours."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidError
from models.webhooks.rules import SigningSecrets
from models.webhooks.signing import check_secret, new_secret, sign

# Source: the test vector of the Standard Webhooks libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_signature_is_that_of_the_published_vector() -> None:
    signature = sign(
        [SECRET],
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp_s=1_614_265_330,
        body=b'{"test": 2432232314}',
    )

    assert signature == SIGNATURE


@given(st.binary(), st.integers(0, 2**40))
def test_signature_is_what_a_receiver_computes(body: bytes, timestamp_s: int) -> None:
    secret = new_secret()

    header = sign([SECRET, secret], webhook_id="msg_1", timestamp_s=timestamp_s, body=body)

    key = base64.b64decode(secret[len("whsec_") :])
    mac = hmac.new(key, b"msg_1.%d.%b" % (timestamp_s, body), hashlib.sha256)
    first, second = header.split(" ")
    assert second == f"v1,{base64.b64encode(mac.digest()).decode()}"
    assert first != second


def test_new_secrets_are_long_and_differ() -> None:
    made = {new_secret() for _ in range(100)}

    assert len(made) == 100
    for secret in made:
        check_secret(secret)
        assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_not base64 at all, but long enough",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_ä" + base64.b64encode(b"x" * 32).decode(),
    ],
)
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(InvalidError):
        check_secret(secret)


def test_old_secret_signs_along_until_its_time_is_over() -> None:
    secrets = SigningSecrets(secret="new", old_secret="old", old_until_ms=1_000)

    assert secrets.in_force(999) == ("new", "old")
    assert secrets.in_force(1_000) == ("new",)
    assert "new" not in repr(secrets)
