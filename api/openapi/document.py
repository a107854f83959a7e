"""OpenAPI 3.1 at `/api/doc`, written from the types that validate."""

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from falcon.asgi import App, Request, Response
from msgspec import Struct

from api.openapi.operations import Operation, operation_of

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_REF: Final = "#/components/schemas/{name}"
_ABOUT: Final = (
    "One server for every queue that people run. `POST /api/queue/message` puts a first message in."
    " What needs credentials says which: an API key, the admin key, a token or a session."
)
_SECURITY: Final = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
    "AdminKey": {"type": "apiKey", "in": "header", "name": "X-Admin-Key"},
    "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "Session": {"type": "apiKey", "in": "cookie", "name": "session_id"},
}

# What the packages of `api` are to a reader, in the order in which they are shown.
_TAGS: Final = {
    "messages": ("Messages", "Work for programs: put in, taken out under a lease, acknowledged."),
    "schedules": ("Schedules", "Messages that are put in at set moments."),
    "webhooks": ("Webhooks", "Messages that are sent to an address."),
    "rooms": ("Rooms", "Visitors in front of a busy site, and who sets up their rooms."),
    "mail": ("Mail", "The queue of an Exim, its logs and its reports."),
    "tickets": ("Tickets", "People at counters: tickets, counters, procedures, halls."),
    "people": ("People", "Log-ins, users, keys and the audit log."),
    "ops": ("Overview", "All queues at a glance."),
}
# Said of every operation: the connection answers it, before anybody looks which is asked.
_HEAD_TOO_LARGE: Final = {
    "description": "The address and the headers are longer than 64 KiB together; no body"
}

Route = tuple[str, object]


def document(routes: Sequence[Route], *, version: str) -> dict[str, Any]:
    """Return the document of all described responders; `routes` are (path, resource)."""
    operations = list(_operations(routes))
    types = _types(operation for _, _, operation in operations)
    references, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    reference_of = dict(zip(types, references, strict=True))
    domains = {path: type(resource).__module__.split(".")[1] for path, resource in routes}
    paths: dict[str, Any] = {}
    for path, method, operation in operations:
        described = _describe(path, method, operation, reference_of, schemas)
        described["tags"] = [_TAGS[domains[path]][0]]
        paths.setdefault(re.sub(r"{(\w+)[^}]*}", r"{\1}", path), {})[method] = described
    # The fields of queries stand as parameters, so only what bodies refer to is a component.
    _, components = msgspec.json.schema_components(
        _types((operation for _, _, operation in operations), queries=False), ref_template=_REF
    )
    return _for_generators(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Stanchion",
                "version": version,
                "license": {"name": "Apache-2.0"},
                "description": _ABOUT,
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": name, "description": said} for name, said in _TAGS.values()],
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": _SECURITY},
        }
    )


def _for_generators(described: dict[str, Any]) -> dict[str, Any]:
    """Return the same document in words that those understand who make a client of it.

    msgspec tells two types of one name apart by their modules, which are nobody's business and no
    name in other languages; and it says of a tuple that it has no further items, which its
    `maxItems` says already, by a schema that is `false`.
    """
    schemas = described["components"]["schemas"]
    names = {name: _public(name) for name in schemas if "." in name}
    for name, public in names.items():
        schemas[public] = {**schemas.pop(name), "title": public}
    references = {_REF.format(name=name): _REF.format(name=names[name]) for name in names}

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        if not isinstance(value, dict):
            return references.get(value, value) if isinstance(value, str) else value
        is_tuple = value.get("items") is False and "maxItems" in value
        return {
            name: plain(each) for name, each in value.items() if name != "items" or not is_tuple
        }

    result: dict[str, Any] = plain(described)
    return result


def _public(name: str) -> str:
    """Return a name without modules: `TicketsStatus` for `models.tickets.rules.Status`."""
    _, domain, *_, own = name.split(".")
    return domain.capitalize() + own


class DocumentResource:
    """The OpenAPI document itself."""

    def __init__(self, described: dict[str, Any]) -> None:
        self._body: Final = msgspec.json.encode(described)

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return the document."""
        resp.data = self._body
        resp.content_type = "application/json"


def add_routes(app: App[Request, Response], routes: Sequence[Route], *, version: str) -> None:
    """Serve the document of `routes`."""
    app.add_route("/api/doc", DocumentResource(document(routes, version=version)))


def _operations(routes: Sequence[Route]) -> Iterator[tuple[str, str, Operation]]:
    for path, resource in routes:
        for method in _METHODS:
            operation = operation_of(getattr(resource, f"on_{method}", None))
            if operation is not None:
                yield path, method, operation


def _types(operations: Iterator[Operation], *, queries: bool = True) -> list[type[Struct]]:
    types: dict[type[Struct], None] = {}
    for operation in operations:
        answers = [answer.body for answer in operation.answers.values()]
        others = [answer.other for answer in operation.answers.values()]
        for kind in (operation.body, operation.query if queries else None, *answers, *others):
            if kind is not None:
                types[kind] = None
    return list(types)


def _describe(
    path: str,
    method: str,
    operation: Operation,
    reference_of: dict[type[Struct], dict[str, Any]],
    schemas: dict[str, Any],
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _operation_id(method, path),
        "summary": operation.summary,
        "description": inspect.cleandoc(operation.description),
        "parameters": [*_path_parameters(path), *_query_parameters(operation, schemas)],
        "responses": {},
        "security": [{name: []} for name in operation.security],
    }
    if operation.body is not None:
        content: dict[str, Any] = {"schema": reference_of[operation.body]}
        if operation.body_example is not None:
            content["example"] = operation.body_example
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    if operation.takes:
        binary = {"schema": {"type": "string", "format": "binary"}}
        described["requestBody"] = {
            "required": True,
            "content": dict.fromkeys(operation.takes, binary),
        }
    for status, answer in operation.answers.items():
        response: dict[str, Any] = {"description": answer.description}
        if answer.body is not None or answer.media_type != "application/json":
            schema = reference_of[answer.body] if answer.body else {"type": "string"}
            if answer.other is not None:
                schema = {"oneOf": [schema, reference_of[answer.other]]}
            response["content"] = {answer.media_type: {"schema": schema}} | {
                each: {"schema": {"type": "string"}} for each in answer.also_as
            }
            if answer.example is not None:
                response["content"][answer.media_type]["example"] = answer.example
        described["responses"][str(status)] = response
    described["responses"].setdefault("431", _HEAD_TOO_LARGE)
    return described


def _operation_id(method: str, path: str) -> str:
    """Return a name that no other operation has: `post_api_queue_message_message_id_nack`."""
    return method + "_".join(re.split(r"\W+", path)).rstrip("_")


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)[^}]*}", path)
    ]


def _query_parameters(operation: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = schemas[operation.query.__name__]
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": {key: value for key, value in of_field.items() if key != "description"},
            "description": of_field.get("description", ""),
        }
        for name, of_field in schema["properties"].items()
    ]
