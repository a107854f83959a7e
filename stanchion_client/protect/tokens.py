"""Session tokens, checked offline; the algorithm is the key's, whatever a token says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

# Two machines' clocks may differ this much.
_LEEWAY_S: Final = 5
_ALGORITHMS: Final = ("RS256", "ES256")
_TOKEN_CHARACTERS_MAX: Final = 4_096


class SessionError(Exception):
    """The token is no session of this room."""


class OverSessionError(SessionError):
    """The token was a session of this room, and its time is over."""


class UnknownKeyError(SessionError):
    """None of the known keys signed the token; newer keys may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody's stay on the site."""

    id: str
    room_id: str
    position_id: str
    token: str
    expires_s: int  # Unix time
    # It goes on for longer than what the visitor showed says: the cookie shall hold this token.
    is_renewed: bool = False


class KeySet:
    """The public keys of a JWK set (RFC 7517), those that can check a session token."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read a set; raises ValueError when it is none."""
        if not isinstance(document, Mapping) or not isinstance(document.get("keys"), list):
            raise ValueError("no JWK set")  # noqa: TRY004  # what was sent is wrong, not its type
        usable = [each for each in document["keys"] if each.get("alg") in _ALGORITHMS]
        self._keys: Final = {str(each.get("kid")): jwt.PyJWK(each) for each in usable}

    def check(self, token: str, room_id: str) -> Session:
        """Return the session that a token stands for.

        Raises OverSessionError, UnknownKeyError, or SessionError for whatever else is wrong.
        """
        if len(token) > _TOKEN_CHARACTERS_MAX:
            raise SessionError("too long")
        try:
            key = self._keys.get(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise UnknownKeyError("no known key signed it")
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                leeway=_LEEWAY_S,
                options={"require": ["exp", "jti", "sub"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError:
            raise OverSessionError("its time is over") from None
        except (jwt.PyJWTError, ValueError) as error:
            raise SessionError(str(error)) from None
        if claims.get("typ") != "session" or claims["sub"] != f"session:{room_id}":
            raise SessionError("it is for something else")
        return Session(
            id=str(claims["jti"]),
            room_id=room_id,
            position_id=str(claims.get("position_id", "")),
            token=token,
            expires_s=int(claims["exp"]),
        )
