"""The steps of the Dockerfile, without an engine that could run them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

import pytest

from models.settings import load_settings
from tests.servers import ROOT, Process, free_port, wait_until

LINES = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
STEPS = [
    tuple(step.split(None, 1)) for step in LINES.replace("\\\n", "").splitlines() if step.strip()
]


def steps(name: str) -> list[str]:
    return [argument for each, argument in STEPS if each == name]


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for step in steps("COPY"):
        if step.startswith("--from"):
            continue
        for source in shlex.split(step)[:-1]:
            assert (ROOT / source).exists(), source
            assert source.removeprefix("./") in allowed, source


def test_the_image_runs_as_nobody_of_importance_and_keeps_no_secret() -> None:
    environment = dict(pair.split("=", 1) for step in steps("ENV") for pair in shlex.split(step))

    assert steps("USER") == ["10001:10001"]
    assert STEPS.index(("USER", "10001:10001")) > max(
        index for index, (name, _) in enumerate(STEPS) if name in {"RUN", "COPY"}
    )
    assert not [name for name in environment if re.search("KEY|PASSWORD|SECRET", name)]
    assert steps("VOLUME") == [environment["STANCHION_DATA"]]
    assert steps("EXPOSE") == ["8080 8081 5555"]
    assert not any(":latest" in image for image in steps("FROM"))
    given = {name: value for name, value in environment.items() if name.startswith("STANCHION_")}
    load_settings(given | {"STANCHION_SECRET_KEY": "k" * 20})


def test_installs_are_by_hash_and_leave_no_cache() -> None:
    text = LINES

    assert "pip install --require-hashes --requirement requirements.lock" in text
    assert "PIP_NO_CACHE_DIR=1" in text
    assert "pip install --no-deps --no-index dist/stanchion-*.whl" in text
    [system] = [step for step in steps("RUN") if "apt-get" in step]  # the voice, and nothing else
    assert re.findall(r"apt-get install --yes --no-install-recommends (.+?) +&&", system) == [
        "espeak-ng"
    ]
    assert system.endswith("rm -rf /var/lib/apt/lists/*")
    assert "curl" not in text


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment of the image, made by the same steps; the lock is what runs the tests."""
    folder = tmp_path_factory.mktemp("image")
    folder.chmod(0o755)
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    for name in ("api", "beat", "models", "workers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(build, check=True, cwd=folder, capture_output=True)
    [wheel] = (folder / "dist").glob("stanchion-*.whl")
    site = folder / "site"
    shutil.unpack_archive(wheel, site, "zip")
    return folder


def environment(prefix: Path, **settings: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(prefix / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **{f"STANCHION_{name}": value for name, value in settings.items()},
    }


def run(environ: Mapping[str, str], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "api.cli", *arguments]
    return subprocess.run(
        command, check=False, cwd=cwd, env=environ, capture_output=True, text=True
    )


def test_the_wheel_serves_from_an_empty_folder_and_its_health_is_seen(
    prefix: Path, tmp_path: Path
) -> None:
    bind = f"127.0.0.1:{free_port()}"
    environ = environment(prefix, DATA=str(tmp_path / "data"), BIND=bind)
    health = [sys.executable, str(ROOT / "deploy" / "health.py"), "api"]

    version = run(environ, "version", "--json", cwd=tmp_path)
    migrated = run(environ, "migrate", cwd=tmp_path)
    before = subprocess.run(health, check=False, env=environ, capture_output=True)
    api = Process(
        [sys.executable, "-m", "api.cli", "api"], log_path=tmp_path / "log", environ=environ
    )
    try:
        wait_until(
            lambda: subprocess.run(health, check=False, env=environ).returncode == 0,
            "the health check succeeds",
            process=api,
        )
    finally:
        code = api.stop()

    assert json.loads(version.stdout)["schema"]
    assert migrated.returncode == 0, migrated.stderr
    assert (before.returncode, code) == (1, 0)


def test_a_public_address_without_a_key_does_not_start(prefix: Path, tmp_path: Path) -> None:
    environ = environment(prefix, DATA=str(tmp_path / "data"), BIND="0.0.0.0:8080")
    run(environ, "migrate", cwd=tmp_path)

    answer = run(environ, "api", cwd=tmp_path)

    assert (answer.returncode, "STANCHION_SECRET_KEY" in answer.stderr) == (2, True)


def test_health_of_a_role_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "deploy" / "health.py"), "wroker"]
    environ = {"PYTHONPATH": str(ROOT), "STANCHION_DATA": str(tmp_path)}

    assert subprocess.run(command, check=False, env=environ, capture_output=True).returncode == 2


# docker-compose.yml ----------------------------------------------------------------------------

SECRETS = re.findall(r"^(\w+)=$", (ROOT / "deploy" / "compose.env").read_text(), re.MULTILINE)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose here")
def test_compose_finds_no_fault(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = ["docker-compose", "config", "--quiet"]

    without = subprocess.run(
        command, check=False, cwd=tmp_path, env=environ, capture_output=True, text=True
    )
    with_secrets = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        env=environ | dict.fromkeys(SECRETS, "abc123"),
        capture_output=True,
        text=True,
    )

    assert "docs/operations.md" in without.stderr
    assert (with_secrets.returncode, with_secrets.stderr) == (0, "")


def test_what_compose_mounts_exists() -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    mounted = re.findall(r"- (\./\S+?):", text)

    assert mounted
    assert all((ROOT / path).is_file() for path in mounted)


def test_what_compose_sets_is_a_setting_and_every_secret_is_asked_for() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    given = dict(re.findall(r"^    (STANCHION_\w+): (\S+)$", text, re.MULTILINE))

    load_settings({name: value for name, value in given.items() if "${" not in value})
    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(SECRETS)


def test_only_the_proxy_is_published_beyond_this_machine() -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    published = re.findall(r'"([^"]*:\d+)"', text)

    assert [port for port in published if not fnmatch(port, "127.0.0.1:*")] == [
        "${STANCHION_HTTP:-80}:80"
    ]


def test_nginx_in_compose_knows_the_words_of_its_upstreams() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    upstreams = (ROOT / "deploy" / "nginx" / "upstreams-compose.conf").read_text()

    [image] = re.findall(r"image: nginx:([\d.]+)-alpine", text)
    asked_for = re.search(r"nginx \(([\d.]+) or later\)", upstreams)

    assert asked_for
    assert " resolve" in upstreams  # which came with 1.27.3
    assert asked_for[1] == "1.27.3"
    assert version_of(image) > version_of(asked_for[1])


def version_of(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]


def test_nginx_in_compose_is_the_tested_one_but_for_names() -> None:
    def upstreams(name: str) -> set[str]:
        return set(re.findall(r"upstream (\w+)", (ROOT / "deploy" / "nginx" / name).read_text()))

    assert upstreams("upstreams-compose.conf") == upstreams("upstreams.conf")
