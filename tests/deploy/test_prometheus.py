"""Alert rules and the dashboard: the real Prometheus loads them, and they name what is there."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import ROOT, Process, System, free_port, wait_until

FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "stanchion.rules.yml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "stanchion.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


@pytest.fixture(scope="module")
def prometheus(system: System, new_folder: Callable[[str], Path]) -> Iterator[httpx.Client]:
    """Debian's Prometheus with our settings, which watches `system`."""
    folder = new_folder("m")
    shutil.copy(RULES, folder)
    address = system.url.partition("://")[2]
    settings = (FOLDER / "prometheus.yml").read_text()
    settings = settings.replace("127.0.0.1:8080", address).replace("15s", "1s")
    (folder / "prometheus.yml").write_text(settings)
    port = free_port()
    process = Process(
        [
            program("prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        log_path=folder / "log",
        environ={},
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=20) as http:
        wait_until(
            lambda: ask(http, "/query", query='up{job="stanchion"} == 1')["result"],
            "Prometheus reads our metrics",
            process=process,
        )
        yield http
    process.stop()


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus)")
    return path


def ask(http: httpx.Client, path: str, **parameters: str) -> Any:
    answer = http.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_settings_and_rules_are_sound() -> None:
    promtool("check", "config", str(FOLDER / "prometheus.yml"))


def test_each_alert_comes_when_it_should_and_none_on_a_calm_night(tmp_path: Path) -> None:
    cases = tmp_path / "alerts.yml"
    given = (ROOT / "tests" / "deploy" / "alerts.yml").read_text()
    cases.write_text(given.replace("RULES", str(RULES)))

    promtool("test", "rules", str(cases))

    named = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    assert named == set(re.findall(r'alertname="(\w+)"', given))


@pytest.mark.on_sqlite
def test_prometheus_loads_the_rules(prometheus: httpx.Client) -> None:
    groups = ask(prometheus, "/rules")["groups"]

    health = {rule["name"]: (rule["health"], rule.get("lastError")) for rule in groups[0]["rules"]}
    assert len(health) == len(re.findall("- alert:", RULES.read_text()))
    assert not [name for name, (state, _) in health.items() if state == "err"]


@pytest.mark.on_sqlite
@pytest.mark.parametrize("query", QUERIES)
def test_prometheus_understands_each_query_of_the_dashboard(
    prometheus: httpx.Client, query: str
) -> None:
    assert ask(prometheus, "/query", query=query.replace("$__rate_interval", "1m"))


@pytest.mark.on_sqlite
def test_rules_and_dashboard_name_what_is_there(system: System, prometheus: httpx.Client) -> None:
    assert prometheus  # it asked for the metrics, so that requests were counted
    told = httpx.get(f"{system.url}/metrics", timeout=20).text
    there = set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE))
    # These have no line while there is no room, and no mail host.
    there |= {f"stanchion_rooms_{name}" for name in ("waiting", "inside", "admitted_total")}
    expressions = [
        *QUERIES,
        *re.findall(r"expr: (.*?)\n *(?:for|labels)", RULES.read_text(), re.DOTALL),
    ]

    named = {name for text in expressions for name in re.findall(r"stanchion_\w+", text)}

    assert {re.sub("_(bucket|count|sum)$", "", name) for name in named} - there == set()
