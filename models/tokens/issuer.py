"""Signing and checking within a request, with keys that are read from SQL once a minute."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from models.database import Database
from models.errors import UnavailableError
from models.tokens.ring import InvalidTokenError, KeyRing, UnknownKeyError
from models.tokens.rotation import ensure_key, read_keys

_FRESH_MS: Final = 60_000
# Tokens with made-up keys shall not make us ask the database each time.
_ASKED_AGAIN_AFTER_MS: Final = 1_000
# A signature of RSA takes most of a millisecond and holds no lock of Python: threads sign beside
# the event loop, on other cores. One of ECDSA takes less than the way to a thread and back.
_SIGNED_ASIDE: Final = frozenset({"RS256"})
_SIGNERS: Final = min(os.cpu_count() or 1, 4)


class Issuer:
    """Issues tokens and checks them; with the database away it goes on with the keys it has."""

    def __init__(self, database: Database, *, clock: Callable[[], int]) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._ring = KeyRing(())
        self._read_at_ms = 0
        self._signers: Final = ThreadPoolExecutor(_SIGNERS, thread_name_prefix="sign")
        self._lock: Final = asyncio.Lock()

    async def issue(
        self,
        kind: str,
        claims: dict[str, Any],
        *,
        algorithm: str = "ES256",
        life_ms: int,
        now_ms: int | None = None,
    ) -> str:
        """Return a token; makes the first key of an algorithm if there is none.

        Its time begins at `now_ms`, if that is given. Raises UnavailableError when there is no key
        and the database is away.
        """
        await self._refresh(_FRESH_MS)
        if now_ms is None:
            now_ms = self._clock()
        if not self._ring.can_sign(algorithm, now_ms=now_ms):
            keys = await self._database.run(
                lambda connection: ensure_key(connection, algorithm, now_ms=now_ms)
            )
            self._ring = KeyRing(keys)
        sign = partial(
            self._ring.sign, kind, claims, algorithm=algorithm, now_ms=now_ms, life_ms=life_ms
        )
        if algorithm not in _SIGNED_ASIDE:
            return sign()
        return await asyncio.get_running_loop().run_in_executor(self._signers, sign)

    async def check(self, token: str, kind: str) -> dict[str, Any]:
        """Return what a token of a kind says; raises InvalidTokenError or ExpiredTokenError."""
        await self._refresh(_FRESH_MS)
        try:
            return self._ring.check(token, kind, now_ms=self._clock())
        except UnknownKeyError:
            await self._refresh(_ASKED_AGAIN_AFTER_MS)
        try:
            return self._ring.check(token, kind, now_ms=self._clock())
        except UnknownKeyError:
            raise InvalidTokenError from None

    async def jwks(self) -> dict[str, Any]:
        """Return the JWK set; raises UnavailableError if it was never read."""
        await self._refresh(_FRESH_MS)
        return self._ring.jwks()

    async def _refresh(self, older_than_ms: int) -> None:
        """Read the keys if they were read that long ago; one request reads, the others wait."""
        if self._clock() - self._read_at_ms < older_than_ms:
            return
        async with self._lock:
            now_ms = self._clock()
            if now_ms - self._read_at_ms < older_than_ms:
                return
            try:
                self._ring = KeyRing(await self._database.read(read_keys))
            except UnavailableError:
                if not self._read_at_ms:
                    raise
            # After a failure too: the next try is a moment away, not the next request.
            self._read_at_ms = now_ms
