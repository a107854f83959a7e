"""Secrets: made once, kept safely, never replaced by accident."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.secrets import Secrets, SecretsError, ensure_secrets, secrets_path
from models.settings import Settings, load_settings


def settings_of(data: Path, **given: str) -> Settings:
    return load_settings(
        {
            "STANCHION_DATA": str(data),
            **{f"STANCHION_{name}": value for name, value in given.items()},
        }
    )


def test_secrets_are_made_once(tmp_path: Path) -> None:
    made = ensure_secrets(settings_of(tmp_path))

    assert ensure_secrets(settings_of(tmp_path)) == made
    assert made.admin_key != made.admin_password
    assert re.fullmatch(r"(\w{5}-){3}\w{5}", made.admin_password)


def test_secrets_differ_between_data_folders(tmp_path: Path) -> None:
    assert ensure_secrets(settings_of(tmp_path / "a")) != ensure_secrets(
        settings_of(tmp_path / "b")
    )


def test_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        ensure_secrets(settings_of(tmp_path / "new"))
    finally:
        os.umask(previous)

    assert secrets_path(tmp_path / "new").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secrets.json"]


def test_the_environment_wins(tmp_path: Path) -> None:
    made = ensure_secrets(settings_of(tmp_path))

    given = ensure_secrets(settings_of(tmp_path, ADMIN_PASSWORD="chosen"))

    assert given == Secrets(admin_key=made.admin_key, admin_password="chosen")
    assert ensure_secrets(settings_of(tmp_path)) == made


def test_what_the_environment_gives_whole_writes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "unmade"

    assert ensure_secrets(settings_of(data, ADMIN_PASSWORD="p", ADMIN_KEY="k")) == Secrets(
        admin_key="k", admin_password="p"
    )
    assert not data.exists()


def test_a_secret_that_a_release_adds_joins_the_others(tmp_path: Path) -> None:
    secrets_path(tmp_path).write_text('{"admin_key": "old", "of_a_later_release": "kept"}')

    made = ensure_secrets(settings_of(tmp_path))

    assert made.admin_key == "old"
    assert "kept" in secrets_path(tmp_path).read_text()
    assert ensure_secrets(settings_of(tmp_path)) == made


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"admin_key": 5}', '{"admin_key": ""}', "\xff"]
)
def test_a_file_that_is_not_understood_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = secrets_path(tmp_path)
    path.write_text(content, encoding="latin-1")

    with pytest.raises(SecretsError, match=re.escape(str(path))):
        ensure_secrets(settings_of(tmp_path))

    assert path.read_text(encoding="latin-1") == content


def test_a_file_that_cannot_be_read_is_left_as_it_is(tmp_path: Path) -> None:
    secrets_path(tmp_path).mkdir()

    with pytest.raises(SecretsError, match="cannot be used"):
        ensure_secrets(settings_of(tmp_path))


def test_a_half_written_file_of_a_crash_does_no_harm(tmp_path: Path) -> None:
    secrets_path(tmp_path).with_suffix(".part").write_text('{"admin_k')

    made = ensure_secrets(settings_of(tmp_path))

    assert ensure_secrets(settings_of(tmp_path)) == made


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        results = threads.map(lambda _: ensure_secrets(settings_of(tmp_path / "d")), range(32))

    assert len(set(results)) == 1
