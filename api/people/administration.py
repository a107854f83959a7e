"""Users, keys and the audit log over HTTP, for admins."""

from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from falcon.asgi import Request, Response
from msgspec import UNSET, Meta, Struct, UnsetType

from api import spreadsheets
from api.access import Access
from api.auth.callers import actor_of
from api.operations import Answer, operation
from api.people import bodies as wire
from api.reading import Body
from models.audit import Entry, Span
from models.clock import iso_utc
from models.errors import InvalidError
from models.people.rules import ID_MAX, ApiKey, NewUser, Role, Scope, UserChange

_ADMIN: Final = ("Session", "Bearer", "AdminKey")
_REFUSALS: Final = {
    401: Answer(description="Nobody is logged in", body=wire.AuthError),
    403: Answer(description="The caller is no admin", body=wire.AuthError),
}
_INVALID: Final = Answer(description="A field is wrong", body=wire.AuthError)
_UNKNOWN: Final = Answer(description="There is no such thing", body=wire.AuthError)
_TAKEN: Final = Answer(description="The name is taken", body=wire.AuthError)
_encode: Final = msgspec.json.Encoder().encode
_Id = Annotated[int, Meta(ge=1, le=ID_MAX)]
_Moment = Annotated[datetime, Meta(tz=True, description="ISO 8601 with an offset or Z")]
_Words = Annotated[str, Meta(pattern=r"^[^\x00]*$")]


class NewUserBody(Body, frozen=True, kw_only=True):
    """A user to make."""

    username: str
    password: str
    role: Role
    full_name: str = ""
    counter_id: _Id | None = None


class UserChangeBody(Body, frozen=True, kw_only=True):
    """What to change about a user; what is missing stays, and a counter that is null goes."""

    full_name: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    counter_id: _Id | UnsetType | None = UNSET
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


class AuditQuery(Body, frozen=True):
    """Which entries: the newest, or those before an id; all that is given must be true."""

    SPELLINGS: ClassVar = {"from": "since", "to": "until"}

    since: _Moment | None = None
    until: _Moment | None = None  # which is not of it any more
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    before_id: _Id | None = None
    target: _Words | None = None
    actor: _Words | None = None
    action: _Words | None = None
    format: Literal["json", "csv"] = "json"


class EntryBody(Struct, frozen=True, kw_only=True):
    """One change, or one log-in."""

    id: int
    timestamp: str
    actor: str
    actor_id: str | None
    credential: str
    ip_address: str
    action: str
    target: str
    outcome: str
    details: dict[str, Any]
    request_id: str | None


class AuditAnswer(Struct, frozen=True, kw_only=True):
    """A page of the log, the newest first."""

    success: bool = True
    data: list[EntryBody]


class _Resource:
    def __init__(self, access: Access, *, body_bytes_max: int, now_ms: Callable[[], int]) -> None:
        self.body_bytes_max = body_bytes_max
        self._people: Final = access.people
        self._proxies: Final = access.proxies
        self._now_ms: Final = now_ms


class UsersResource(_Resource):
    """`/api/v1/auth/users`."""

    @operation(
        "List users",
        answers={200: Answer(description="All users", body=UsersAnswer), **_REFUSALS},
        security=_ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return all users, by age."""
        users = await self._people.users()
        resp.data = _encode(UsersAnswer(data=[wire.user_body(user) for user in users]))

    @operation(
        "Make a user",
        body=NewUserBody,
        answers={
            201: Answer(description="The user", body=wire.MeAnswer),
            400: _INVALID,
            409: _TAKEN,
            **_REFUSALS,
        },
        security=_ADMIN,
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
        resp.data = _encode(wire.MeAnswer(data=wire.user_body(made)))


class UserResource(_Resource):
    """`/api/v1/auth/users/{username}`."""

    @operation(
        "Change a user",
        body=UserChangeBody,
        answers={
            200: Answer(description="The user as changed", body=wire.MeAnswer),
            400: _INVALID,
            404: _UNKNOWN,
            409: Answer(description="Nobody would be left to administer", body=wire.AuthError),
            **_REFUSALS,
        },
        security=_ADMIN,
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
        resp.data = _encode(wire.MeAnswer(data=wire.user_body(changed)))


class KeysResource(_Resource):
    """`/api/v1/auth/keys`."""

    @operation(
        "List API keys",
        answers={200: Answer(description="All keys", body=KeysAnswer), **_REFUSALS},
        security=_ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return all keys, by age, without what they say."""
        resp.data = _encode(KeysAnswer(data=[_key_body(key) for key in await self._people.keys()]))

    @operation(
        "Make an API key",
        body=NewKeyBody,
        answers={
            201: Answer(description="The key, shown once", body=KeyAnswer),
            400: _INVALID,
            409: _TAKEN,
            **_REFUSALS,
        },
        security=_ADMIN,
    )
    async def on_post(self, req: Request, resp: Response, *, body: NewKeyBody) -> None:
        """Make a key; what it says is in this answer and nowhere else."""
        actor = actor_of(req, self._proxies)
        made, secret = await self._people.add_key(
            body.name, body.scope, actor, now_ms=self._now_ms()
        )
        resp.status = HTTPStatus.CREATED
        resp.set_header("Cache-Control", "no-store")
        resp.data = _encode(KeyAnswer(data=_key_body(made, secret)))


class KeyResource(_Resource):
    """`/api/v1/auth/keys/{name}`."""

    @operation(
        "Revoke an API key",
        answers={
            200: Answer(description="The key that was", body=KeyAnswer),
            404: _UNKNOWN,
            **_REFUSALS,
        },
        security=_ADMIN,
    )
    async def on_delete(self, req: Request, resp: Response, name: str) -> None:
        """Take a key back; within seconds it opens nothing."""
        actor = actor_of(req, self._proxies)
        gone = await self._people.revoke_key(name, actor, now_ms=self._now_ms())
        resp.data = _encode(KeyAnswer(data=_key_body(gone)))


class AuditResource(_Resource):
    """`/api/v1/auth/audit`."""

    @operation(
        "Read the audit log",
        query=AuditQuery,
        answers={
            200: Answer(
                description="Entries, the newest first", body=AuditAnswer, also_as=("text/csv",)
            ),
            400: _INVALID,
            **_REFUSALS,
        },
        security=_ADMIN,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: AuditQuery) -> None:
        """Return a page of the log; the last entry's id as `before_id` brings the next."""
        entries = await self._people.audit_log(
            target=query.target,
            actor_name=query.actor,
            action=query.action,
            span=_span(query),
            before_id=query.before_id,
            count=query.limit,
        )
        shown = [_entry_body(entry) for entry in entries]
        if query.format == "csv":
            resp.text = _entries_csv(shown)
            resp.content_type = "text/csv; charset=utf-8; header=present"
            resp.downloadable_as = "audit.csv"
        else:
            resp.data = _encode(AuditAnswer(data=shown))


def _span(query: AuditQuery) -> Span:
    """Return the time that is asked for; raises InvalidError where it ends before it begins."""
    since_ms, until_ms = (
        None if moment is None else int(moment.timestamp() * 1000)
        for moment in (query.since, query.until)
    )
    if since_ms is not None and until_ms is not None and until_ms <= since_ms:
        raise InvalidError({"until": "Expected a moment after since"})
    return Span(since_ms=since_ms, until_ms=until_ms)


def _entries_csv(entries: Sequence[EntryBody]) -> str:
    rows = (
        {**msgspec.structs.asdict(each), "details": _encode(each.details).decode()}.values()
        for each in entries
    )
    return spreadsheets.table(EntryBody.__struct_fields__, rows)


def _key_body(key: ApiKey, secret: str | None = None) -> KeyBody:
    return KeyBody(
        id=key.id,
        name=key.name,
        scope=key.scope.value,
        created_at=iso_utc(key.created_at_ms),
        key=secret,
    )


def _entry_body(entry: Entry) -> EntryBody:
    return EntryBody(
        id=entry.id,
        timestamp=iso_utc(entry.at_ms),
        actor=entry.actor.name,
        actor_id=entry.actor.id,
        credential=entry.actor.kind,
        ip_address=entry.actor.address,
        action=entry.change.action,
        target=entry.change.target,
        outcome=entry.change.outcome.value,
        details=dict(entry.change.details),
        request_id=entry.actor.request_id,
    )
