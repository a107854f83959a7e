"""Who a live client is, by what it shows, and whether a channel is for it."""

from typing import Final

from falcon.asgi import Request

from api.auth.access import Access
from api.auth.callers import NOBODY, Caller, Credential
from api.auth.errors import (
    ForbiddenRoleError,
    InvalidKeyError,
    InvalidSessionError,
    LocalOnlyError,
    NotSignedInError,
)
from api.auth.table import Who
from api.http.caller import is_loopback_address
from api.live.channel import Credentials
from models.errors import UnavailableError

_MACHINE: Final = Caller(credential=Credential.MACHINE)
_DOTS_OF_A_TOKEN: Final = 2  # of a JWT; a key has none


class LiveCallers:
    """Finds out who a live client is, by the same keys, tokens and sessions as the guard."""

    def __init__(self, access: Access, *, is_public: bool) -> None:
        self._keys: Final = access.keys
        self._callers: Final = access.callers
        self._is_public: Final = is_public

    async def is_open(self) -> bool:
        """Say whether there is no key at all and only this machine can reach us."""
        if self._keys.exist is None:
            await self._keys.refresh(older_than_s=1.0)
            if self._keys.exist is None:
                raise UnavailableError("database", "the keys cannot be read")
        return not self._keys.exist and not self._is_public

    def check_this_machine(self, req: Request) -> None:
        """Raise LocalOnlyError for a stranger whom a proxy of this machine lets in."""
        if not is_loopback_address(self._callers.proxies.client_address(req)):
            raise LocalOnlyError

    async def find(self, shown: Credentials) -> Caller:
        """Return whose credentials these are; NOBODY without any.

        Raises InvalidKeyError, InvalidTokenError or ExpiredTokenError for wrong ones. The cookie
        of a session that is over is no credential: a browser sends it without being asked.
        """
        key = shown.api_key
        if key is None and shown.token is not None:
            if shown.token.count(".") == _DOTS_OF_A_TOKEN:
                return await self._callers.of_token(shown.token)
            key = shown.token
        if key is not None:
            found = await self._keys.find(key)
            if found is None:
                raise InvalidKeyError
            return Caller(credential=Credential.KEY, key=found)
        if shown.session is not None:
            try:
                return await self._callers.of_session(shown.session)
            except InvalidSessionError:
                pass
        return _MACHINE if await self.is_open() else NOBODY


def require(caller: Caller, who: Who) -> None:
    """Raise what the guard raises unless somebody is among those who may."""
    if who.everybody or (who.open_without_keys and caller.credential is Credential.MACHINE):
        return
    if caller.key is not None and caller.key.scope in who.scopes:
        return
    if caller.user is not None:
        if caller.user.role not in who.roles:
            raise ForbiddenRoleError(caller.user.role)
        return
    raise InvalidKeyError if who.open_without_keys else NotSignedInError


def standing_of(caller: Caller) -> tuple[object, ...]:
    """Return what a channel may have let somebody in by; who has another must come in anew."""
    user = caller.user
    if user is not None:
        return caller.credential, user.id, user.role, user.counter_id
    return caller.credential, None if caller.key is None else caller.key.id


def name_of(caller: Caller) -> str:
    """Return what tells one caller from another; nothing for nobody."""
    if caller.user is not None:
        return f"user:{caller.user.id}"
    return "" if caller.key is None else f"key:{caller.key.id}"
