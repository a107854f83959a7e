"""Settings: what is read, what is refused, and that the page about them is whole."""

import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

from models.settings import (
    PREFIX,
    Settings,
    SettingsError,
    host_of,
    is_loopback,
    load_settings,
    port_of,
    redis_socket_path,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"


def test_each_setting_has_a_line_on_the_page() -> None:
    listed = re.findall(r"^\| `(STANCHION_\w+)` \|", PAGE.read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(PREFIX + field.name.upper() for field in fields(Settings))


def test_the_page_names_each_default() -> None:
    rows = dict(
        re.findall(r"^\| `STANCHION_(\w+)` \| `([^`]*)` \|", PAGE.read_text(), re.MULTILINE)
    )
    defaults = {field.name.upper(): field.default for field in fields(Settings)}

    for name, shown in rows.items():
        default = defaults[name]
        if isinstance(default, tuple):
            default = ",".join(default)
        elif isinstance(default, float):
            default = f"{default:g}"
        if default != "":  # derived from something else, which the page says in words
            assert shown == str(default), name


def test_nothing_set_gives_the_embedded_stores(tmp_path: Path) -> None:
    settings = load_settings({"STANCHION_DATA": str(tmp_path)})

    assert settings.bind == ("127.0.0.1:8080",)
    assert settings.database_url == f"sqlite:///{tmp_path}/stanchion.db"
    assert settings.redis_url == f"unix://{redis_socket_path(str(tmp_path))}?db=0"
    assert settings.broker_url == settings.redis_url


def test_an_empty_variable_counts_as_unset() -> None:
    assert load_settings({"STANCHION_BIND": ""}) == load_settings({})


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"STANCHION_BNID: .*did you mean STANCHION_BIND"):
        load_settings({"STANCHION_BNID": "127.0.0.1:1"})


def test_other_programs_variables_are_left_alone() -> None:
    assert load_settings({"PATH": "/bin", "STANCHIONS": "1"}) == load_settings({})


def test_a_list_is_split_at_commas() -> None:
    settings = load_settings({"STANCHION_BIND": "127.0.0.1:8080, [::1]:3001 ,"})

    assert settings.bind == ("127.0.0.1:8080", "[::1]:3001")


def test_the_contracts_own_variable_names_the_key() -> None:
    assert load_settings({"SECRET_KEY": "plain"}).secret_key == "plain"
    both = {"SECRET_KEY": "plain", "STANCHION_SECRET_KEY": "ours"}
    assert load_settings(both).secret_key == "ours"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BIND", "8080"),
        ("BIND", "127.0.0.1:0"),
        ("BIND", "127.0.0.1:65536"),
        ("BIND", ","),
        ("FLOWER_BIND", "here"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("REDIS_URL", "localhost:6379"),
        ("BROKER_URL", "sqs://"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_CONCURRENCY", "two"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("BODY_BYTES_MAX", "10"),
        ("DELETE_AFTER_S", "10"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings({PREFIX + name: value})

    assert str(refusal.value).startswith(f"STANCHION_{name}: ")


def test_a_refusal_does_not_show_a_secret() -> None:
    settings = load_settings({"STANCHION_SECRET_KEY": "hush"})

    assert settings.secret_key == "hush"
    with pytest.raises(SettingsError) as refusal:
        load_settings({"STANCHION_SECRET_KEY": "hush", "STANCHION_WEB_CONCURRENCY": "x"})
    assert "hush" not in str(refusal.value)


def test_a_public_address_is_known() -> None:
    assert not load_settings({"STANCHION_BIND": "127.0.0.1:1,[::1]:1,localhost:1"}).is_public
    assert load_settings({"STANCHION_BIND": "127.0.0.1:1,0.0.0.0:1"}).is_public
    assert is_loopback("127.8.9.10")


def test_an_address_is_taken_apart() -> None:
    assert (host_of("[::1]:80"), port_of("[::1]:80")) == ("::1", 80)
    assert (host_of("localhost:80"), port_of("localhost:80")) == ("localhost", 80)


def test_a_long_data_folder_has_its_socket_elsewhere() -> None:
    path = redis_socket_path("/" + "x" * 120)

    assert len(path.encode()) <= 107
    assert str(os.getuid()) in path
    assert path != redis_socket_path("/" + "y" * 120)


def test_the_home_folder_is_understood(tmp_path: Path) -> None:
    assert load_settings({"STANCHION_DATA": "~/x"}).data_dir == Path.home() / "x"
    assert load_settings({"STANCHION_DATA": str(tmp_path / ".." / "x")}).data_dir.name == "x"
