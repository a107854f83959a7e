"""What a request does with people: log in and out, users, keys; each change is audited with it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from models import audit
from models.audit import ALWAYS, Actor, Change, Entry, Span
from models.database import Database
from models.errors import LimitError
from models.people import accounts, logins
from models.people.digests import digest_of, new_api_key, new_session_token
from models.people.passwords import hash_password, is_outdated, is_password
from models.people.rules import (
    ADMIN_NAME,
    ApiKey,
    InvalidCredentialsError,
    KeyExistsError,
    LockedOutError,
    LoginPolicy,
    NewUser,
    Role,
    Scope,
    Session,
    User,
    UserChange,
    UserExistsError,
    check_name,
    check_password,
)
from models.people.statements import keys, sessions, users

T = TypeVar("T")

# Each holds 19 MiB and a core for some 20 ms; who would wait behind that many is refused.
_HASHES_AT_ONCE: Final = 2
_LOGINS_WAITING_MAX: Final = 200
_HOUSE: Final = Actor(kind="house", name="stanchion")


class PeopleService:
    """People as one process sees them; every answer is the database's, nothing is remembered."""

    def __init__(
        self, database: Database, *, policy: LoginPolicy, first_password: Callable[[], str]
    ) -> None:
        """`first_password` blocks and returns what the first admin gets; asked at most once."""
        self._database: Final = database
        self._policy: Final = policy
        self._first_password: Final = first_password
        self._hashing: Final = ThreadPoolExecutor(_HASHES_AT_ONCE, "password")
        # A lock is looked at just before the password, so few guesses can slip in beside it.
        self._turns: Final = asyncio.Semaphore(_HASHES_AT_ONCE)
        self._waiting = 0

    def close(self) -> None:
        """Finish what is being hashed."""
        self._hashing.shutdown()

    async def open_session(
        self, actor: Actor, password: str, *, replaces: str | None, now_ms: int
    ) -> Session:
        """Log a browser in; the actor's name is the user's. `replaces` is the cookie it had.

        Raises InvalidCredentialsError, or LockedOutError after too many failures.
        """
        token = new_session_token()
        expires_at_ms = now_ms + self._policy.session_ms

        def store(connection: Connection, user: User) -> Session:
            logins.open_session(
                connection,
                user,
                token,
                replaces=replaces,
                address=actor.address,
                now_ms=now_ms,
                expires_at_ms=expires_at_ms,
            )
            return Session(token=token, user=user, expires_at_ms=expires_at_ms)

        return await self._log_in(actor, password, store, now_ms=now_ms)

    async def log_in(self, actor: Actor, password: str, *, now_ms: int) -> User:
        """Return the user whose name and password these are; raises as `open_session` does."""
        return await self._log_in(actor, password, lambda _, user: user, now_ms=now_ms)

    async def close_session(self, actor: Actor, token: str, *, now_ms: int) -> None:
        """End a session; a repeat changes nothing."""

        def end(connection: Connection) -> None:
            if sessions.delete_one(connection, digest_of(token)):
                change = Change(action="logout", target=actor.name)
                audit.add(connection, actor, change, now_ms=now_ms)

        await self._database.run(end)

    async def user_of_session(self, token: str, *, now_ms: int) -> User | None:
        """Return whose session this is, None when it is over or never was."""
        digest = digest_of(token)
        return await self._database.read(
            lambda connection: sessions.user_of(connection, digest, now_ms=now_ms)
        )

    async def user_of_token(self, user_id: int, version: int) -> User | None:
        """Return the user of a token, None when what let it in has ended since."""
        found = await self._database.read(lambda connection: users.by_id(connection, user_id))
        is_valid = found is not None and found.is_active and found.version == version
        return found if is_valid else None

    async def change_password(
        self,
        actor: Actor,
        *,
        current: str,
        new: str,
        kept_session: str | None,
        now_ms: int,
    ) -> User:
        """Change the actor's own password; all other sessions and all tokens end.

        Raises InvalidCredentialsError and LockedOutError as a log-in does.
        """
        check_password("new_password", new)
        new_hash = await self._hash(new)

        def change(connection: Connection, user: User) -> User:
            return accounts.set_password(
                connection, user, new_hash, actor, kept_session=kept_session, now_ms=now_ms
            )

        return await self._log_in(actor, current, change, now_ms=now_ms)

    async def add_user(self, new: NewUser, actor: Actor, *, now_ms: int) -> User:
        """Store a user; raises UserExistsError."""
        password_hash = await self._hash(new.password)
        try:
            return await self._database.run(
                lambda connection: accounts.add_user(
                    connection, new, password_hash, actor, now_ms=now_ms
                )
            )
        except IntegrityError:
            raise UserExistsError(new.username) from None

    async def reset_password(
        self, username: str, password: str, actor: Actor, *, now_ms: int
    ) -> User:
        """Give somebody a password: sessions, tokens and locks end.

        Raises UserNotFoundError.
        """
        check_password("password", password)
        password_hash = await self._hash(password)

        def change(connection: Connection) -> User:
            user = accounts.read_user(connection, username)
            return accounts.set_password(
                connection, user, password_hash, actor, kept_session=None, now_ms=now_ms
            )

        return await self._database.run(change)

    async def change_user(
        self,
        username: str,
        change: UserChange,
        actor: Actor,
        *,
        now_ms: int,
        password: str | None = None,
    ) -> User:
        """Change a user, with a new password or without, all or nothing.

        Raises UserNotFoundError or LastAdminError.
        """
        new_hash = None
        if password is not None:
            check_password("password", password)
            new_hash = await self._hash(password)

        def work(connection: Connection) -> User:
            user = accounts.change_user(connection, username, change, actor, now_ms=now_ms)
            if new_hash is None:
                return user
            return accounts.set_password(
                connection, user, new_hash, actor, kept_session=None, now_ms=now_ms
            )

        return await self._database.run(work)

    async def users(self) -> list[User]:
        """Return all users, by age."""
        return await self._database.read(users.read_all)

    async def add_key(
        self, name: str, scope: Scope, actor: Actor, *, now_ms: int
    ) -> tuple[ApiKey, str]:
        """Make a key and return it with its secret, which is stored nowhere.

        Raises KeyExistsError.
        """
        check_name("name", name)
        secret = new_api_key()
        try:
            made = await self._database.run(
                lambda connection: accounts.add_key(
                    connection, name, scope, secret, actor, now_ms=now_ms
                )
            )
        except IntegrityError:
            raise KeyExistsError(name) from None
        return made, secret

    async def revoke_key(self, name: str, actor: Actor, *, now_ms: int) -> ApiKey:
        """Delete a key, which API processes notice within seconds; raises KeyNotFoundError."""
        return await self._database.run(
            lambda connection: accounts.revoke_key(connection, name, actor, now_ms=now_ms)
        )

    async def keys(self) -> list[ApiKey]:
        """Return all keys, by age."""
        return await self._database.read(keys.read_all)

    async def audit_log(
        self,
        *,
        before_id: int | None = None,
        count: int,
        span: Span = ALWAYS,
        **of: str | None,
    ) -> Sequence[Entry]:
        """Return at most `count` entries of a span, the newest first, older than `before_id`.

        `of` is what `audit.page` takes.
        """
        return await self._database.read(
            lambda connection: audit.page(
                connection, before_id=before_id, count=count, span=span, **of
            )
        )

    async def note(self, actor: Actor, change: Change, *, now_ms: int) -> None:
        """Put into the audit log what a person did in a domain that does not keep one itself."""
        await self._database.run(
            lambda connection: audit.add(connection, actor, change, now_ms=now_ms)
        )

    async def make_first_admin(self, *, now_ms: int) -> bool:
        """Make the user `admin` where there is no user at all; say whether it made one."""
        if await self._database.read(users.count) > 0:
            return False
        password = await asyncio.to_thread(self._first_password)
        password_hash = await self._hash(password)

        def make(connection: Connection) -> bool:
            if users.count(connection):
                return False
            # What the operator sets is the operator's choice, however short.
            new = NewUser(
                username=ADMIN_NAME,
                password=password.ljust(8),
                role=Role.ADMIN,
                full_name="Administrator",
            )
            accounts.add_user(connection, new, password_hash, _HOUSE, now_ms=now_ms)
            return True

        try:
            return await self._database.run(make)
        except IntegrityError:  # another process was faster
            return False

    async def _log_in(
        self,
        actor: Actor,
        password: str,
        grant: Callable[[Connection, User], T],
        *,
        now_ms: int,
    ) -> T:
        """Check a password and do `grant` in the transaction that notes the success."""
        actor = replace(actor, name=actor.name.strip().lower())
        if self._waiting >= _LOGINS_WAITING_MAX:
            raise LimitError("waiting log-ins", _LOGINS_WAITING_MAX)
        self._waiting += 1
        try:
            async with self._turns:
                try:
                    attempt = await self._begin(actor, now_ms=now_ms)
                except LockedOutError:
                    await self._database.run(
                        lambda connection: logins.note_locked(connection, actor, now_ms=now_ms)
                    )
                    raise
                matches = await self._in_thread(
                    lambda: is_password(attempt.password_hash, password)
                )
                if not matches or attempt.user is None or not attempt.user.is_active:
                    await self._database.run(
                        lambda connection: logins.note_failure(
                            connection, attempt, self._policy, now_ms=now_ms
                        )
                    )
                    raise InvalidCredentialsError
                new_hash = await self._better_hash(attempt, password)
        finally:
            self._waiting -= 1

        def succeed(connection: Connection) -> T:
            user = logins.note_success(connection, attempt, new_hash=new_hash, now_ms=now_ms)
            return grant(connection, user)

        return await self._database.run(succeed)

    async def _begin(self, actor: Actor, *, now_ms: int) -> logins.Attempt:
        begin = lambda connection: logins.begin(connection, actor, now_ms=now_ms)  # noqa: E731
        attempt = await self._database.read(begin)
        if attempt.user is None and actor.name == ADMIN_NAME:
            await self.make_first_admin(now_ms=now_ms)
            attempt = await self._database.read(begin)
        return attempt

    async def _better_hash(self, attempt: logins.Attempt, password: str) -> str | None:
        if attempt.password_hash is None or not is_outdated(attempt.password_hash):
            return None
        return await self._hash(password)

    async def _hash(self, password: str) -> str:
        return await self._in_thread(lambda: hash_password(password))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._hashing, call)
