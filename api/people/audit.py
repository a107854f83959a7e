"""The audit log over HTTP, for admins: a page at a time, or as CSV."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from falcon.asgi import Request, Response
from msgspec import Meta, Struct

from api.http import spreadsheets
from api.http.reading import Body
from api.openapi.operations import Answer, operation
from api.people.administration import ADMIN, INVALID, REFUSALS, AdminResource, Id, encode
from models.audit import Entry, Span
from models.clock import iso_utc
from models.errors import InvalidError

_Moment = Annotated[datetime, Meta(tz=True, description="ISO 8601 with an offset or Z")]
_Words = Annotated[str, Meta(pattern=r"^[^\x00]*$")]


class AuditQuery(Body, frozen=True):
    """Which entries: the newest, or those before an id; all that is given must be true."""

    SPELLINGS: ClassVar = {"from": "since", "to": "until"}

    since: _Moment | None = None
    until: _Moment | None = None  # which is not of it any more
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    before_id: Id | None = None
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


class AuditResource(AdminResource):
    """`/api/v1/auth/audit`."""

    @operation(
        "Read the audit log",
        query=AuditQuery,
        answers={
            200: Answer(
                description="Entries, the newest first", body=AuditAnswer, also_as=("text/csv",)
            ),
            400: INVALID,
            **REFUSALS,
        },
        security=ADMIN,
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
            resp.data = encode(AuditAnswer(data=shown))


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
        {**msgspec.structs.asdict(each), "details": encode(each.details).decode()}.values()
        for each in entries
    )
    return spreadsheets.table(EntryBody.__struct_fields__, rows)


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
