"""The keys that programs show, remembered for a few seconds: no request waits for SQL."""

import asyncio
import contextlib
import hmac
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import structlog

from models.errors import UnavailableError
from models.people.digests import digest_of
from models.people.rules import ApiKey, Scope

_log: Final = structlog.get_logger(__name__)

# How long a revoked key may still open, and a first key leave open what needs none.
_READ_EVERY_S: Final = 2.0
# A key that nobody knows may be new; but made-up keys shall not make us ask each time.
_ASKED_AGAIN_AFTER_S: Final = 0.1
_SETTINGS_ID: Final = 0


class KeyCache:
    """What keys there are, as last read; SECRET_KEY and ADMIN_KEY count among them."""

    def __init__(
        self,
        read: Callable[[], Awaitable[Sequence[ApiKey]]],
        *,
        secret_key: str | None,
        admin_key: str,
    ) -> None:
        self._read: Final = read
        self._secret_key: Final = None if secret_key is None else secret_key.encode()
        self._admin_key: Final = admin_key.encode()
        self._keys: dict[str, ApiKey] = {}
        self._is_known = False
        self._read_at_s = -_READ_EVERY_S
        self._lock: Final = asyncio.Lock()
        self._next_read: asyncio.Task[None] | None = None

    @property
    def exist(self) -> bool | None:
        """Say whether there is any key besides ADMIN_KEY; None: it was never read."""
        if self._secret_key is not None or self._keys:
            return True
        return False if self._is_known else None

    def known(self, secret: str) -> ApiKey | None:
        """Return the key of a secret as far as it is remembered."""
        if self._secret_key is not None and hmac.compare_digest(
            secret.encode("utf-8", "surrogateescape"), self._secret_key
        ):
            return _from_settings("SECRET_KEY", Scope.MESSAGES)
        # By its digest: what can be found out by timing is the digest of what one sent.
        return self._keys.get(digest_of(secret)) if self._keys else None

    async def find(self, secret: str) -> ApiKey | None:
        """Return the key of a secret; one that is not remembered may be new, so ask again.

        A key that was made before this is called is found. Who shows a wrong one waits a moment.
        """
        found = self.known(secret)
        if found is None:
            if self._next_read is None:
                self._next_read = asyncio.create_task(self._read_soon())
            await asyncio.shield(self._next_read)
            found = self.known(secret)
        return found

    async def find_admin(self, secret: str, scopes: Collection[Scope] = ()) -> ApiKey | None:
        """Return the key of what X-Admin-Key shows: ADMIN_KEY, or a key of scope admin.

        Keys of `scopes` open this path in X-API-KEY, and may as well be shown here.
        """
        if hmac.compare_digest(secret.encode("utf-8", "surrogateescape"), self._admin_key):
            return _from_settings("ADMIN_KEY", Scope.ADMIN)
        found = await self.find(secret)
        return found if found is not None and found.scope in {Scope.ADMIN, *scopes} else None

    async def refresh(self, *, older_than_s: float = 0.0) -> None:
        """Read the keys, unless they were read that short a time ago; never raises.

        With the database away those that are remembered stay.
        """
        async with self._lock:
            if time.monotonic() - self._read_at_s < older_than_s:
                return
            try:
                keys = await self._read()
            except UnavailableError as error:
                _log.warning("keys_not_read", reason=str(error))
            else:
                self._keys = {key.digest: key for key in keys}
                self._is_known = True
            self._read_at_s = time.monotonic()

    async def _read_soon(self) -> None:
        """Read the keys for all who wait for it, and not too often."""
        await asyncio.sleep(self._read_at_s + _ASKED_AGAIN_AFTER_S - time.monotonic())
        # Who comes from here on may show a key that this reading does not see yet.
        self._next_read = None
        await self.refresh()

    async def run(self) -> None:
        """Keep what is remembered fresh, until cancelled."""
        while True:
            with contextlib.suppress(UnavailableError):
                await self.refresh()
            await asyncio.sleep(_READ_EVERY_S)


def _from_settings(name: str, scope: Scope) -> ApiKey:
    return ApiKey(id=_SETTINGS_ID, name=name, scope=scope, digest="", created_at_ms=0)
