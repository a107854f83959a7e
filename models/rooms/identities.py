"""Ids that follow from a room's secret and a place: nothing is stored for each visitor.

A room that was deleted and made again has another secret, so the ids in old tokens are not its own.
"""

import hashlib
import hmac
from typing import Final
from uuid import UUID

from models.rooms.rules import Place

_ID_BYTES: Final = 16
# Of a million identities of one room two are the same once in 37 million rooms.
_DIGEST_BYTES: Final = 8


def position_id(secret: bytes, place: Place) -> str:
    """Return the id of a place: a UUID that nobody can guess without the room's secret."""
    return _uuid(secret, f"position:{place.lane}:{place.number}")


def session_id(secret: bytes, place: Place) -> str:
    """Return the id of the one session that a place may have."""
    return _uuid(secret, f"session:{place.lane}:{place.number}")


def digest(secret: bytes, kind: str, value: str) -> bytes:
    """Return what stands for somebody's identity in the store: 8 bytes, never empty.

    `kind` says what `value` is: an address that looks like a user's id is not that user.
    """
    return _mac(secret, f"{kind}:{value}")[:_DIGEST_BYTES]


def _uuid(secret: bytes, text: str) -> str:
    return str(UUID(bytes=_mac(secret, text)[:_ID_BYTES], version=4))


def _mac(secret: bytes, text: str) -> bytes:
    return hmac.digest(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
