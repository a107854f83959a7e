"""Every operation of `/api/doc`, asked in many ways: none fails, each answers what it promises.

What is refused is refused in the form that the document shows, too.
"""

import re
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.transport.serialization import Binary

from models.secrets import secrets_path
from tests.conftest import StartSystem
from tests.people.conftest import ADMIN_PASSWORD, token_of

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# Streams that do not end, and what would end the session or change the password of who asks.
LEFT_OUT = re.compile(r"events|logs/(stream|tail)|auth/log|auths/login|password")
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
LIMITS = (
    *("JOINS", "LOOKS", "HEARTBEATS", "SESSION_ACTS", "VISITOR_REQUESTS", "ROOM_ADMIN"),
    *("TICKETS", "TICKET_CHANGES", "WAITING_LISTS", "VOICES"),
)


@schemathesis.serializer("audio/wav", "audio/mpeg", "audio/ogg")
def as_it_is(_context: Any, value: Any) -> bytes:
    """Send a sound; what is none by its schema is sent as text."""
    return value.data if isinstance(value, Binary) else str(value).encode()


def schema_at(url: str, headers: dict[str, str]) -> Any:
    return schemathesis.openapi.from_url(f"{url}/api/doc", headers=headers)


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    "examples", [1, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(3_600)])]
)
def test_each_operation_keeps_its_promises(start_system: StartSystem, examples: int) -> None:
    limits = {f"{name}_PER_MINUTE_MAX": "1000000" for name in LIMITS}
    system = start_system("api", ADMIN_PASSWORD=ADMIN_PASSWORD, LONG_POLL_MAX_S="1", **limits)
    with httpx.Client(base_url=system.url, timeout=20) as http:
        token = token_of(http, "admin", ADMIN_PASSWORD)
    admin_key = re.findall(r'"admin_key": "([^"]+)"', secrets_path(system.folder).read_text())
    headers = {"Authorization": f"Bearer {token}", "X-Admin-Key": admin_key[0]}
    broken: list[str] = []
    count = 0
    with requests.Session() as session:
        for found in schema_at(system.url, headers).get_all_operations():
            operation = found.ok()
            if LEFT_OUT.search(operation.path):
                continue
            count += 1
            for mode in MODES:
                broken += ask(operation, mode, system.url, session, headers, examples=examples)

    assert broken == []
    assert count > 150


def ask(
    operation: Any,
    mode: GenerationMode,
    url: str,
    session: requests.Session,
    headers: dict[str, str],
    *,
    examples: int,
) -> list[str]:
    """Ask one operation; return what it broke, with the request that shows it."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def try_it(case: Any) -> None:
        case.call_and_validate(
            base_url=url, session=session, headers=headers, checks=CHECKS, timeout=30
        )

    try:
        try_it()
    except Unsatisfiable:
        return []  # nothing can be wrong about it
    except Exception as error:  # noqa: BLE001 (all of them are shown at the end)
        return [f"{operation.label} ({mode.value}): {error}"]
    return []
