"""What people's resources read and answer."""

from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from falcon.asgi import Request
from msgspec import Struct

from api.http.reading import read_bytes
from models.clock import iso_utc
from models.errors import InvalidError
from models.people.rules import InvalidCredentialsError, User

_FORM: Final = "application/x-www-form-urlencoded"


class Credentials(Struct, frozen=True):
    """A name and a password; other fields are let pass."""

    username: str = ""
    password: str = ""


class MalformedLoginError(InvalidError):
    """The body of a log-in cannot be read; in the contract's words, without details."""

    code = "malformed_login"

    def __init__(self, sentence: str = "Invalid request body") -> None:
        super().__init__({})
        self.args = (sentence,)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class UserBody(Struct, frozen=True, kw_only=True):
    """A user as the mail contract shows one, with the role beside it."""

    id: int
    username: str
    email: str
    full_name: str
    is_active: bool
    last_login_at: str | None
    created_at: str
    updated_at: str
    role: str
    counter_id: int | None


class OpenedSession(Struct, frozen=True):
    """When the session ends, and whose it is."""

    expires_at: str
    user: UserBody


class LoginAnswer(Struct, frozen=True, kw_only=True):
    """A log-in that worked."""

    success: bool = True
    data: OpenedSession


class MeAnswer(Struct, frozen=True, kw_only=True):
    """The user who asks."""

    success: bool = True
    data: UserBody


class Said(Struct, frozen=True):
    """One sentence."""

    message: str


class SaidAnswer(Struct, frozen=True, kw_only=True):
    """It is done."""

    success: bool = True
    data: Said


class AuthError(Struct, frozen=True, kw_only=True):
    """A refusal in the mail contract's form."""

    success: bool = False
    error: str


class TokenAnswer(Struct, frozen=True):
    """A bearer token and how long it is valid, in seconds."""

    access_token: str
    expires_in: int
    token_type: str = "bearer"  # noqa: S105  # a kind, not a secret


class OfficerBody(Struct, frozen=True, kw_only=True):
    """A user as the tickets' pages see one."""

    id: int
    username: str
    full_name: str
    role: str
    counter_id: int | None
    is_active: bool


class TicketsError(Struct, frozen=True):
    """A refusal in the tickets contract's form."""

    error: str
    message: str
    details: dict[str, Any]


_decode: Final = msgspec.json.Decoder(Credentials).decode


async def read_credentials(req: Request, size_max: int) -> Credentials:
    """Return name and password from JSON or a form; raises MalformedLoginError."""
    raw = await read_bytes(req, size_max)
    # By what it looks like: curl calls everything a form.
    if _is_form(req.content_type) and not raw.lstrip().startswith(b"{"):
        given = _decode_form(raw)
    else:
        try:
            given = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise MalformedLoginError from None
    if not given.username.strip() or not given.password:
        raise MalformedLoginError("Username and password are required")
    if "\0" in given.username:  # no name has one, and no database stores it
        raise InvalidCredentialsError
    return given


def user_body(user: User) -> UserBody:
    """Return a user in the mail contract's form."""
    return UserBody(
        id=user.id,
        username=user.username,
        # The house sends no mail to its users; the contract's client shows the field.
        email=user.username if "@" in user.username else f"{user.username}@localhost",
        full_name=user.full_name,
        is_active=user.is_active,
        last_login_at=None if user.last_login_at_ms is None else iso_utc(user.last_login_at_ms),
        created_at=iso_utc(user.created_at_ms),
        updated_at=iso_utc(user.updated_at_ms),
        role=user.role.value,
        counter_id=user.counter_id,
    )


def officer_body(user: User) -> OfficerBody:
    """Return a user in the tickets' form."""
    return OfficerBody(
        id=user.id,
        username=user.username,
        full_name=user.full_name,
        role=user.role.value,
        counter_id=user.counter_id,
        is_active=user.is_active,
    )


def _is_form(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == _FORM


def _decode_form(raw: bytes) -> Credentials:
    try:
        fields = parse_qs(raw.decode(), max_num_fields=20)
        first = {name: values[0] for name, values in fields.items()}
    except ValueError:
        raise MalformedLoginError from None
    return Credentials(first.get("username", ""), first.get("password", ""))
