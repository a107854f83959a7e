"""Users and keys over HTTP, for admins."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from falcon.asgi import Request, Response
from msgspec import UNSET, Meta, Struct, UnsetType

from api.auth.access import Access
from api.auth.callers import actor_of
from api.http.reading import Body
from api.openapi.operations import Answer, operation
from api.people import bodies as wire
from models.clock import iso_utc
from models.people.rules import ID_MAX, ApiKey, NewUser, Role, Scope, UserChange

ADMIN: Final = ("Session", "Bearer", "AdminKey")
REFUSALS: Final = {
    401: Answer(description="Nobody is logged in", body=wire.AuthError),
    403: Answer(description="The caller is no admin", body=wire.AuthError),
}
INVALID: Final = Answer(description="A field is wrong", body=wire.AuthError)
_UNKNOWN: Final = Answer(description="There is no such thing", body=wire.AuthError)
_TAKEN: Final = Answer(description="The name is taken", body=wire.AuthError)
encode: Final = msgspec.json.Encoder().encode
Id = Annotated[int, Meta(ge=1, le=ID_MAX)]


class NewUserBody(Body, frozen=True, kw_only=True):
    """A user to make."""

    username: str
    password: str
    role: Role
    full_name: str = ""
    counter_id: Id | None = None


class UserChangeBody(Body, frozen=True, kw_only=True):
    """What to change about a user; what is missing stays, and a counter that is null goes."""

    full_name: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    counter_id: Id | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    password: str | UnsetType = UNSET


class UsersAnswer(Struct, frozen=True, kw_only=True):
    """All users."""

    success: bool = True
    data: list[wire.UserBody]


class NewKeyBody(Body, frozen=True):
    """A key to make."""

    name: str
    scope: Scope


class KeyBody(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key; `key` is there once, when it is made."""

    id: int
    name: str
    scope: str
    created_at: str
    key: str | None = None


class KeyAnswer(Struct, frozen=True, kw_only=True):
    """One key."""

    success: bool = True
    data: KeyBody


class KeysAnswer(Struct, frozen=True, kw_only=True):
    """All keys."""

    success: bool = True
    data: list[KeyBody]


class AdminResource:
    """A resource for admins."""

    def __init__(self, access: Access, *, body_bytes_max: int, now_ms: Callable[[], int]) -> None:
        self.body_bytes_max = body_bytes_max
        self._people: Final = access.people
        self._proxies: Final = access.proxies
        self._now_ms: Final = now_ms


class UsersResource(AdminResource):
    """`/api/v1/auth/users`."""

    @operation(
        "List users",
        answers={200: Answer(description="All users", body=UsersAnswer), **REFUSALS},
        security=ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return all users, by age."""
        users = await self._people.users()
        resp.data = encode(UsersAnswer(data=[wire.user_body(user) for user in users]))

    @operation(
        "Make a user",
        body=NewUserBody,
        answers={
            201: Answer(description="The user", body=wire.MeAnswer),
            400: INVALID,
            409: _TAKEN,
            **REFUSALS,
        },
        security=ADMIN,
    )
    async def on_post(self, req: Request, resp: Response, *, body: NewUserBody) -> None:
        """Make a user, who can log in at once."""
        new = NewUser(
            username=body.username,
            password=body.password,
            role=body.role,
            full_name=body.full_name,
            counter_id=body.counter_id,
        )
        actor = actor_of(req, self._proxies)
        made = await self._people.add_user(new, actor, now_ms=self._now_ms())
        resp.status = HTTPStatus.CREATED
        resp.data = encode(wire.MeAnswer(data=wire.user_body(made)))


class UserResource(AdminResource):
    """`/api/v1/auth/users/{username}`."""

    @operation(
        "Change a user",
        body=UserChangeBody,
        answers={
            200: Answer(description="The user as changed", body=wire.MeAnswer),
            400: INVALID,
            404: _UNKNOWN,
            409: Answer(description="Nobody would be left to administer", body=wire.AuthError),
            **REFUSALS,
        },
        security=ADMIN,
    )
    async def on_patch(
        self, req: Request, resp: Response, username: str, *, body: UserChangeBody
    ) -> None:
        """Change a user; one that is disabled, or gets a password, is logged out everywhere."""
        actor, now_ms = actor_of(req, self._proxies), self._now_ms()
        values = msgspec.structs.asdict(body)
        news = {name: value for name, value in values.items() if value is not UNSET}
        password = news.pop("password", None)
        change = UserChange(**news, loses_counter=values["counter_id"] is None)
        changed = await self._people.change_user(
            username, change, actor, password=password, now_ms=now_ms
        )
        resp.data = encode(wire.MeAnswer(data=wire.user_body(changed)))


class KeysResource(AdminResource):
    """`/api/v1/auth/keys`."""

    @operation(
        "List API keys",
        answers={200: Answer(description="All keys", body=KeysAnswer), **REFUSALS},
        security=ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return all keys, by age, without what they say."""
        resp.data = encode(KeysAnswer(data=[_key_body(key) for key in await self._people.keys()]))

    @operation(
        "Make an API key",
        body=NewKeyBody,
        answers={
            201: Answer(description="The key, shown once", body=KeyAnswer),
            400: INVALID,
            409: _TAKEN,
            **REFUSALS,
        },
        security=ADMIN,
    )
    async def on_post(self, req: Request, resp: Response, *, body: NewKeyBody) -> None:
        """Make a key; what it says is in this answer and nowhere else."""
        actor = actor_of(req, self._proxies)
        made, secret = await self._people.add_key(
            body.name, body.scope, actor, now_ms=self._now_ms()
        )
        resp.status = HTTPStatus.CREATED
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode(KeyAnswer(data=_key_body(made, secret)))


class KeyResource(AdminResource):
    """`/api/v1/auth/keys/{name}`."""

    @operation(
        "Revoke an API key",
        answers={
            200: Answer(description="The key that was", body=KeyAnswer),
            404: _UNKNOWN,
            **REFUSALS,
        },
        security=ADMIN,
    )
    async def on_delete(self, req: Request, resp: Response, name: str) -> None:
        """Take a key back; within seconds it opens nothing."""
        actor = actor_of(req, self._proxies)
        gone = await self._people.revoke_key(name, actor, now_ms=self._now_ms())
        resp.data = encode(KeyAnswer(data=_key_body(gone)))


def _key_body(key: ApiKey, secret: str | None = None) -> KeyBody:
    return KeyBody(
        id=key.id,
        name=key.name,
        scope=key.scope.value,
        created_at=iso_utc(key.created_at_ms),
        key=secret,
    )
