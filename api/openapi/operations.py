"""What a responder does, said once: the types here validate requests and write `/api/doc`."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
from falcon.asgi import Request, Response
from msgspec import Struct

from api.http.reading import NoQuery, read_body, read_query

Responder = Callable[..., Awaitable[None]]
BodyReader = Callable[[Request, int], Awaitable[Struct]]
_ATTRIBUTE: Final = "stanchion_operation"


class Resource(Protocol):
    """What an operation needs of the resource it belongs to."""

    body_bytes_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One status an operation may answer with."""

    description: str
    body: type[Struct] | None = None
    other: type[Struct] | None = None  # where the answer has one of two shapes
    media_type: str = "application/json"
    also_as: tuple[str, ...] = ()  # other media types that can be asked for
    example: Any = None


def answered(
    description: str, body: type[Struct], refusals: Mapping[int, Answer]
) -> Mapping[int, Answer]:
    """Return what an operation answers: 200 with a body, or one of its refusals."""
    return {200: Answer(description=description, body=body), **refusals}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one resource, as the reference shows it."""

    summary: str
    description: str
    body: type[Struct] | None
    body_example: Any
    query: type[Struct] | None
    takes: tuple[str, ...] = ()  # media types of a body that is no JSON
    answers: Mapping[int, Answer] = field(default_factory=dict)
    security: tuple[str, ...] = ()


def operation(
    summary: str,
    *,
    answers: Mapping[int, Answer],
    body: type[Struct] | None = None,
    body_example: Any = None,
    body_reader: BodyReader | None = None,
    query: type[Struct] | None = None,
    takes: tuple[str, ...] = (),
    security: tuple[str, ...] = (),
) -> Callable[[Responder], Responder]:
    """Describe a responder and let it take its `body` and `query` checked and typed.

    A `body_reader` reads what is not, or not only, strict JSON. A body of one of the media types
    that it `takes` instead is the responder's to read.
    """
    decoder = msgspec.json.Decoder(body) if body is not None else None

    def describe(responder: Responder) -> Responder:
        @functools.wraps(responder)
        async def respond(
            resource: Resource, req: Request, resp: Response, **parameters: Any
        ) -> None:
            if query is not None:
                parameters["query"] = read_query(req, query)
            elif body is not None:
                # Or `?queue=mail` beside a body would put its message elsewhere, unseen.
                read_query(req, NoQuery)
            if body_reader is not None:
                parameters["body"] = await body_reader(req, resource.body_bytes_max)
            elif decoder is not None:
                parameters["body"] = await read_body(req, decoder, resource.body_bytes_max)
            await responder(resource, req, resp, **parameters)

        described = Operation(
            summary=summary,
            description=(responder.__doc__ or "").strip(),
            body=body,
            body_example=body_example,
            query=query,
            takes=takes,
            answers=answers,
            security=security,
        )
        setattr(respond, _ATTRIBUTE, described)
        return respond

    return describe


def operation_of(responder: object) -> Operation | None:
    """Return the description of a responder, if it has one."""
    return getattr(responder, _ATTRIBUTE, None)
