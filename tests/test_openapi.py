"""`/api/doc` says what the server does: every route, the types that validate, the examples."""

import json
import re
from typing import Any

import httpx
import msgspec
import pytest

from api.messages import bodies as wire

MESSAGES = {
    "/api/queue/message": {"get", "post"},
    "/api/queue/batch": {"post"},
    "/api/queue/ack": {"post"},
    "/api/queue/message/{message_id}/nack": {"post"},
    "/api/queue/message/{message_id}/touch": {"put"},
    "/api/queue/metrics": {"get"},
    "/api/queue/status": {"get"},
    "/api/queue/events": {"get"},
    "/api/queue/stream": {"get"},
}


@pytest.fixture
def described(http: httpx.Client) -> dict[str, Any]:
    answer = http.get("/api/doc")
    assert answer.headers["Content-Type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def test_document_has_every_operation_of_messages(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    for path, methods in MESSAGES.items():
        assert set(described["paths"][path]) == methods
    ids = [
        operation["operationId"]
        for methods in described["paths"].values()
        for operation in methods.values()
    ]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)))

    assert names
    assert names <= set(described["components"]["schemas"])


def test_what_the_connection_answers_stands_at_every_operation(described: dict[str, Any]) -> None:
    operations = [each for methods in described["paths"].values() for each in methods.values()]

    assert len(operations) > 150
    assert [each["operationId"] for each in operations if "431" not in each["responses"]] == []


def test_a_program_can_make_a_client_of_it(described: dict[str, Any]) -> None:
    text = json.dumps(described)

    assert '"items": false' not in text  # tuples say it by maxItems, which generators understand
    names = set(described["components"]["schemas"])
    assert {"MessagesStatus", "TicketsStatus"} <= names
    assert [name for name in names if not name.isidentifier()] == []
    tags = [tag["name"] for tag in described["tags"]]
    used = [each["tags"] for methods in described["paths"].values() for each in methods.values()]
    assert tags[0] == "Messages"
    assert {tag for [tag] in used} == set(tags)


def test_schema_is_that_of_the_type_that_validates(described: dict[str, Any]) -> None:
    schema = described["components"]["schemas"]["NewMessageBody"]

    assert schema == msgspec.json.schema_components([wire.NewMessageBody])[1]["NewMessageBody"]
    assert schema["required"] == ["payload"]
    assert schema["properties"]["payload"]["type"] == "object"
    assert schema["properties"]["priority"]["maximum"] == 9
    assert schema["additionalProperties"] is False


def test_parameters_of_a_query_are_described(described: dict[str, Any]) -> None:
    parameters = described["paths"]["/api/queue/message"]["get"]["parameters"]

    assert {one["name"]: one["in"] for one in parameters} == dict.fromkeys(
        ("timeout", "type", "consumer_id", "ack_timeout_seconds", "queue"), "query"
    )


def test_example_of_each_body_is_accepted(described: dict[str, Any], http: httpx.Client) -> None:
    tried = 0
    for path in MESSAGES:
        for method, operation in described["paths"][path].items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content and "example" in content:
                answer = http.request(method, path, json=content["example"])
                assert str(answer.status_code) in operation["responses"]
                assert answer.is_success
                tried += 1
    assert tried == 2
