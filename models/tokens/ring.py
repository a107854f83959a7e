"""All keys of a moment: the newest signs, each checks what it signed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt

from models.errors import StanchionError, UnauthenticatedError
from models.tokens.keys import SigningKey, StoredKey

# A token of ours is some 400 bytes; nobody need decode what is no token.
_TOKEN_CHARACTERS_MAX: Final = 4_096


class InvalidTokenError(UnauthenticatedError):
    """The token was not signed by us, was signed for something else, or its bearer is out."""

    code = "invalid_token"

    def __str__(self) -> str:
        return "the token is not valid"


class ExpiredTokenError(UnauthenticatedError):
    """The token is ours, and its time is over; `claims` are what it said."""

    code = "expired_token"

    def __init__(self, claims: Mapping[str, Any]) -> None:
        super().__init__(dict(claims))  # as args, so that the error can be pickled
        self.claims = dict(claims)

    def __str__(self) -> str:
        return "the token has expired"


class UnknownKeyError(StanchionError):
    """No key of the ring is named like the token's: it may be newer than the ring."""

    code = "unknown_key"

    def __str__(self) -> str:
        return "no known key signed the token"


class KeyRing:
    """Signs and checks; holds no time of its own."""

    def __init__(self, stored: Sequence[StoredKey]) -> None:
        self._keys: Final = {each.kid: SigningKey(each) for each in stored}

    def can_sign(self, algorithm: str, *, now_ms: int) -> bool:
        """Say whether there is a key that may sign by now."""
        return self._signer(algorithm, now_ms) is not None

    def sign(
        self, kind: str, claims: dict[str, Any], *, algorithm: str, now_ms: int, life_ms: int
    ) -> str:
        """Return a token of a kind (its `typ`), which is over after `life_ms`."""
        key = self._signer(algorithm, now_ms)
        assert key is not None, f"ask can_sign({algorithm}) first"
        now_s = now_ms // 1000
        times = {"iat": now_s, "nbf": now_s, "exp": (now_ms + life_ms) // 1000}
        return key.sign({**claims, **times, "typ": kind})

    def check(self, token: str, kind: str, *, now_ms: int) -> dict[str, Any]:
        """Return what a token says, if it is of the kind and its time is not over.

        Raises InvalidTokenError, ExpiredTokenError or UnknownKeyError.
        """
        key = self._keys.get(_kid_of(token))
        if key is None:
            raise UnknownKeyError
        try:
            claims = key.check(token)
        except (jwt.PyJWTError, ValueError):
            raise InvalidTokenError from None
        expires_s = claims.get("exp")
        if claims.get("typ") != kind or not isinstance(expires_s, int):
            raise InvalidTokenError
        if now_ms >= expires_s * 1000:
            raise ExpiredTokenError(claims)
        return claims

    def jwks(self) -> dict[str, Any]:
        """Return the public halves as a JWK set (RFC 7517), the newest first."""
        newest_first = sorted(self._keys.values(), key=lambda key: -key.signs_from_ms)
        return {"keys": [key.public_jwk for key in newest_first]}

    def _signer(self, algorithm: str, now_ms: int) -> SigningKey | None:
        ready = [
            key
            for key in self._keys.values()
            if key.algorithm == algorithm and key.signs_from_ms <= now_ms
        ]
        return max(ready, key=lambda key: key.signs_from_ms, default=None)


def _kid_of(token: str) -> str:
    """Return which key a token names; the header is read for nothing else."""
    if len(token) > _TOKEN_CHARACTERS_MAX:
        raise InvalidTokenError
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except (jwt.PyJWTError, ValueError):
        raise InvalidTokenError from None
    if not isinstance(kid, str):
        raise InvalidTokenError
    return kid
