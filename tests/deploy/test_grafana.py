"""The dashboard, as Grafana's own types read it."""

import json
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "deploy" / "grafana" / "stanchion.json").read_text()


@pytest.fixture(scope="module", autouse=True)
def kinds_of_panels() -> None:
    """Make Grafana's types know the options of each kind of panel and query."""
    register_default_plugins()


def read(dashboard: Any) -> Any:
    """Read a dashboard into Grafana's types and return what they kept of it."""
    return json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))


def unknown(given: Any, kept: Any, place: str = "") -> list[str]:
    """Return the places of what was given and not kept as it was."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [
            found
            for name, value in given.items()
            for found in unknown(value, kept.get(name), f"{place}/{name}")
        ]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [
            found
            for index, (value, other) in enumerate(zip(given, kept, strict=True))
            for found in unknown(value, other, f"{place}/{index}")
        ]
    return [] if given == kept else [place]


def test_grafana_s_types_know_each_word_of_the_dashboard() -> None:
    dashboard = json.loads(TEXT)

    assert unknown(dashboard, read(dashboard)) == []


@pytest.mark.parametrize("word", ["title", "gridPos", "fieldConfig", "options", "expr"])
def test_a_word_that_grafana_does_not_know_would_be_found(word: str) -> None:
    dashboard = json.loads(TEXT.replace(f'"{word}"', f'"{word}s"'))

    assert unknown(dashboard, read(dashboard))
