"""Who people are and what may be said of them: values, names, how long a lock lasts."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from models.errors import (
    ConflictError,
    InvalidError,
    LimitError,
    NotFoundError,
    UnauthenticatedError,
)

ADMIN_NAME: Final = "admin"
PASSWORD_CHARACTERS_MIN: Final = 8
PASSWORD_CHARACTERS_MAX: Final = 1_024  # hashing a longer one would only cost time
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_FULL_NAME_CHARACTERS_MAX: Final = 255
ID_MAX: Final = 2**63 - 1  # of the databases
# Doubling any further would pass every bound.
_DOUBLINGS_MAX: Final = 32


class Role(StrEnum):
    """What a user is there for."""

    ADMIN = "admin"
    SUPERVISOR = "supervisor"  # tickets: every counter, and the figures
    OFFICER = "officer"  # tickets: one counter
    KIOSK = "kiosk"  # tickets: hands them out
    DISPLAY = "display"  # tickets: shows them
    OPERATOR = "operator"  # mail and messages: acts
    VIEWER = "viewer"  # mail and messages: looks


class Scope(StrEnum):
    """What an API key opens."""

    MESSAGES = "messages"
    ROOMS = "rooms"
    TICKETS = "tickets"
    KIOSK = "kiosk"  # nothing but tickets beyond the limit of an address: it stands in a hall
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who can log in."""

    id: int
    username: str
    full_name: str
    role: Role
    counter_id: int | None
    version: int
    is_active: bool
    last_login_at_ms: int | None
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """What a user is made of; raises InvalidError for what cannot be."""

    username: str
    password: str
    role: Role
    full_name: str = ""
    counter_id: int | None = None

    def __post_init__(self) -> None:
        check_name("username", self.username)
        check_password("password", self.password)
        _check_facts(self.full_name, self.counter_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What to change about a user; None leaves it as it is.

    Raises InvalidError for what cannot be.
    """

    full_name: str | None = None
    role: Role | None = None
    counter_id: int | None = None
    is_active: bool | None = None
    loses_counter: bool = False

    def __post_init__(self) -> None:
        _check_facts(self.full_name or "", self.counter_id)

    def applied_to(self, user: User) -> User:
        """Return the user as changed."""
        return replace(user, **self._news())

    def as_facts(self) -> dict[str, object]:
        """Return what changes, by name."""
        return dict(self._news())

    def _news(self) -> dict[str, Any]:
        names = ("full_name", "role", "counter_id", "is_active")
        values = {name: getattr(self, name) for name in names}
        news = {name: value for name, value in values.items() if value is not None}
        return news | {"counter_id": None} if self.loses_counter else news


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a log-in of a browser gives; `token` is shown once and stored nowhere."""

    token: str
    user: User
    expires_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of a program, as far as it is kept."""

    id: int
    name: str
    scope: Scope
    digest: str
    created_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPolicy:
    """How many failures are forgiven, and how long a lock lasts."""

    user_failures_max: int = 5
    address_failures_max: int = 20  # a hall full of people is one address
    lock_ms: int = 30_000
    lock_ms_max: int = 900_000
    session_ms: int = 86_400_000


class InvalidCredentialsError(UnauthenticatedError):
    """The user is unknown or disabled, or the password wrong; which of them is not told."""

    code = "invalid_credentials"

    def __str__(self) -> str:
        return "Invalid credentials"


class LockedOutError(LimitError):
    """Too many log-ins failed; nobody looks at the password before the lock ends."""

    code = "locked_out"

    def __str__(self) -> str:
        return f"too many failed log-ins: try again in {self.retry_after_s} s"


class UserExistsError(ConflictError):
    """The name of the user is taken."""

    code = "user_exists"

    def __init__(self, username: str) -> None:
        super().__init__(username)
        self.username = username

    def __str__(self) -> str:
        return f"user {self.username} exists"


class UserNotFoundError(NotFoundError):
    """There is no such user."""

    code = "user_not_found"

    def __init__(self, username: str) -> None:
        super().__init__(username)
        self.username = username

    def __str__(self) -> str:
        return f"there is no user {self.username}"


class LastAdminError(ConflictError):
    """The change would leave nobody who may administer."""

    code = "last_admin"

    def __str__(self) -> str:
        return "the last active admin must stay one"


class KeyExistsError(ConflictError):
    """The name of the key is taken."""

    code = "key_exists"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"key {self.name} exists"


class KeyNotFoundError(NotFoundError):
    """There is no such key."""

    code = "key_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"there is no key {self.name}"


def check_name(field: str, name: str) -> None:
    """Raise InvalidError unless a name is made of 1..64 plain lower-case characters."""
    if not _NAME.fullmatch(name):
        raise InvalidError({field: f"Expected a-z, 0-9, '.', '_', '@', '-', got {name!r}"})


def check_password(field: str, password: str) -> None:
    """Raise InvalidError for a password that is too short to be one, or too long to hash."""
    if not PASSWORD_CHARACTERS_MIN <= len(password) <= PASSWORD_CHARACTERS_MAX:
        bounds = f"{PASSWORD_CHARACTERS_MIN}..{PASSWORD_CHARACTERS_MAX}"
        raise InvalidError({field: f"Expected {bounds} characters"})
    if not is_utf8(password):
        raise InvalidError({field: "Expected UTF-8"})


def is_utf8(text: str) -> bool:
    """Say whether a text that came from bytes was one; what was none is in it as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _check_facts(full_name: str, counter_id: int | None) -> None:
    if len(full_name) > _FULL_NAME_CHARACTERS_MAX:
        raise InvalidError({"full_name": f"Expected at most {_FULL_NAME_CHARACTERS_MAX}"})
    if "\0" in full_name or not is_utf8(full_name):
        raise InvalidError({"full_name": "Expected text"})
    if counter_id is not None and not 1 <= counter_id <= ID_MAX:
        raise InvalidError({"counter_id": f"Expected 1..{ID_MAX}"})


def lock_ms(policy: LoginPolicy, failures: int, failures_max: int) -> int:
    """Return how long the lock after so many failures lasts: none, then doubling to a bound."""
    if failures < failures_max:
        return 0
    return min(policy.lock_ms << min(failures - failures_max, _DOUBLINGS_MAX), policy.lock_ms_max)
