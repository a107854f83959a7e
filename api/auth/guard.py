"""The guard before every request: it looks the path up in the table and lets through or raises."""

from collections.abc import Sequence
from typing import Any, Final

from falcon.asgi import Request, Response

from api.auth.callers import Caller, Callers, Credential, actor_of
from api.auth.errors import (
    ForbiddenRoleError,
    InvalidAdminKeyError,
    InvalidKeyError,
    LocalOnlyError,
    NotSignedInError,
    UnlistedPathError,
)
from api.auth.keys import KeyCache
from api.auth.origins import SAFE_METHODS, Origins
from api.auth.table import TABLE, Row, Who, who_may
from api.http.caller import is_loopback_address
from models.audit import Signature
from models.errors import UnauthenticatedError, UnavailableError
from models.people.rules import Scope

_MACHINE: Final = Caller(credential=Credential.MACHINE)


class Guard:
    """Lets requests through or raises; Falcon middleware.

    `req.context.caller` is who it was, `action` what the trail notes, `signature` what the service
    puts under what it notes itself.
    """

    def __init__(
        self,
        callers: Callers,
        keys: KeyCache,
        origins: Origins,
        *,
        is_public: bool,
        table: Sequence[Row] = TABLE,
    ) -> None:
        """`is_public`: strangers can reach us, so nothing is open for want of a key."""
        self._callers: Final = callers
        self._keys: Final = keys
        self._origins: Final = origins
        self._is_public: Final = is_public
        self._who_may: Final = who_may(table)

    async def process_request(self, req: Request, _resp: Response) -> None:
        """Check the credentials that the path asks for."""
        if req.method == "OPTIONS":
            return  # a browser asks before it shows anything, and learns the methods only
        row = self._who_may.find(req.path, req.method)
        if row is None:
            return
        req.context.is_listed = True
        who = row.who
        if who.open_without_keys and await self._is_open():
            if not self._is_this_machine(req):  # a proxy of this machine let a stranger in
                raise LocalOnlyError
            self._origins.check_own_machine(req)
            req.context.caller = _MACHINE
        elif not who.everybody:
            req.context.caller = await self._find(req, who)
            req.context.action = row.action if row.is_audited else None
        if row.is_noted_within:
            actor = actor_of(req, self._callers.proxies)
            req.context.signature = Signature(actor=actor, action=row.action)

    async def process_resource(
        self, req: Request, _resp: Response, _resource: object, _params: dict[str, Any]
    ) -> None:
        """Refuse what the table forgot: something answers, and no row says for whom."""
        if req.method != "OPTIONS" and not getattr(req.context, "is_listed", False):
            raise UnlistedPathError

    async def sees_everything(self, req: Request) -> bool:
        """Say whether a caller may now see all of messages: it shows a key, or needs none."""
        shown = req.get_header("X-API-KEY")
        found = None if shown is None else await self._keys.find(shown)
        if found is not None:
            return found.scope is Scope.MESSAGES
        return await self._is_open()

    async def caller_of(self, req: Request) -> Caller | None:
        """Return the user who calls where nobody need log in; None for nobody.

        Who shows a wrong token or an ended session is nobody there: everybody may.
        """
        try:
            return await self._callers.user_of(req)
        except UnauthenticatedError:
            return None

    async def _is_open(self) -> bool:
        """Say whether there is no key at all and only this machine can reach us."""
        if self._keys.exist is None:
            await self._keys.refresh(older_than_s=1.0)
            if self._keys.exist is None:
                raise UnavailableError("database", "the keys cannot be read")
        return not self._keys.exist and not self._is_public

    async def _find(self, req: Request, who: Who) -> Caller:
        """Return the caller by the first credential that the row takes; raise if none does."""
        if who.scopes and (shown := req.get_header("X-API-KEY")) is not None:
            key = await self._keys.find(shown)
            if key is not None and key.scope in who.scopes:
                return Caller(credential=Credential.KEY, key=key)
            raise InvalidKeyError
        if who.admin_key and (shown := req.get_header("X-Admin-Key")) is not None:
            key = await self._keys.find_admin(shown, who.scopes)
            if key is not None:
                return Caller(credential=Credential.ADMIN_KEY, key=key)
            raise InvalidAdminKeyError
        if who.roles and (caller := await self._callers.user_of(req)) is not None:
            return self._check_user(req, who, caller)
        if who.this_machine and self._is_this_machine(req):
            return _MACHINE
        raise _refusal(who)

    def _check_user(self, req: Request, who: Who, caller: Caller) -> Caller:
        assert caller.user is not None
        if caller.credential is Credential.SESSION and req.method not in SAFE_METHODS:
            # The browser shows its cookie for whatever page asks.
            self._origins.check_page(req)
        if caller.user.role not in who.roles:
            raise ForbiddenRoleError(caller.user.role)
        return caller

    def _is_this_machine(self, req: Request) -> bool:
        return is_loopback_address(self._callers.proxies.client_address(req))


def _refusal(who: Who) -> Exception:
    """Return what is missing, in the words of whose path it is."""
    if who.this_machine:
        return LocalOnlyError()
    if who.open_without_keys:
        return InvalidKeyError()
    if who.admin_key and who.scopes:
        return InvalidAdminKeyError()
    return NotSignedInError()
