"""Secrets and signatures by the Standard Webhooks specification: `v1`, HMAC-SHA256.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

from models.errors import InvalidError

PREFIX: Final = "whsec_"
_BYTES: Final = 32
# The specification's bounds.
_BYTES_MIN: Final = 24
_BYTES_MAX: Final = 64


def new_secret() -> str:
    """Return a new secret of 256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def check_secret(secret: str) -> None:
    """Raise InvalidError unless this is a secret, `whsec_` and 24 to 64 bytes in base64."""
    try:
        key = _key_of(secret)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not _BYTES_MIN <= len(key) <= _BYTES_MAX:
        expected = f"Expected {PREFIX} and {_BYTES_MIN} to {_BYTES_MAX} bytes in base64"
        raise InvalidError({"secret": expected})


def sign(keys: Sequence[str], *, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the header webhook-signature: one signature for each secret, in their order."""
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    digests = [hmac.digest(_key_of(key), signed, hashlib.sha256) for key in keys]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
