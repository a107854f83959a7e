"""Secrets of 256 random bits, and the digests that are kept of them.

No salt and no effort: nobody guesses 256 bits, and a digest must be found by its value.
"""

import hashlib
import secrets
from typing import Final

# A prefix, so that people and scanners know what they found.
_KEY_PREFIX: Final = "stn_"


def new_session_token() -> str:
    """Return 64 hexadecimal digits."""
    return secrets.token_hex(32)


def new_api_key() -> str:
    """Return a key for a program."""
    return _KEY_PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
