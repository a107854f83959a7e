import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from models.settings import Settings, load_settings
from tests.servers import ROOT

FOLDER = ROOT / "deploy" / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
# Its walls are also Exim's, which it runs.
MAIL_HOST = "stanchion-mail-watch.service"
SHUT_IN = [name for name in SERVICES if name != MAIL_HOST]
# By each of these systemd 252 means NoNewPrivileges, where the user is not root.
MEAN_NO_NEW_PRIVILEGES = frozenset(
    (
        *("DynamicUser", "LockPersonality", "MemoryDenyWriteExecute", "PrivateDevices"),
        *("ProtectClock", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules"),
        *("ProtectKernelTunables", "RestrictAddressFamilies", "RestrictNamespaces"),
        *("RestrictRealtime", "RestrictSUIDSGID", "SystemCallArchitectures", "SystemCallFilter"),
        *("RestrictFileSystems", "SystemCallLog", "SecureBits"),
    )
)
# Units of everybody who may be restarted alone.
PROCESSES = [name for name in SERVICES if "migrate" not in name and "up" not in name]


class Unit(configparser.RawConfigParser):
    """A unit file; of a name that stands in it several times the last one counts."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",))
        self.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
        self.read(FOLDER / name)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    program = tmp_path / "stanchion"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in FOLDER.iterdir():
        text = path.read_text().replace("/opt/stanchion/bin/stanchion", str(program))
        (tmp_path / path.name).write_text(text)

    units = [str(path) for path in tmp_path.glob("*.service")]
    units.append(str(tmp_path / "stanchion.target"))
    answer = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        check=False,
        capture_output=True,
        text=True,
    )

    ours = [line for line in answer.stderr.splitlines() if "stanchion" in line]
    assert (ours, answer.returncode) == ([], 0)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_each_unit_well_shut_in() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20"]

    answer = subprocess.run(
        [*command, *(str(FOLDER / name) for name in SHUT_IN)],
        check=False,
        capture_output=True,
        text=True,
    )

    # Of 10, which is no wall at all; a web server as Debian ships it has 9.
    levels = re.findall(r"exposure level for \S+: ([\d.]+)", answer.stdout)
    assert answer.returncode == 0, levels
    assert len(levels) == len(SHUT_IN)


def test_unit_of_a_mail_host_leaves_exim_what_it_is() -> None:
    service = Unit(MAIL_HOST)["Service"]

    assert service["NoNewPrivileges"] == "no"
    assert MEAN_NO_NEW_PRIVILEGES & set(service) == set()
    # A delivery reaches mailboxes, and goes on when the unit is stopped.
    assert (service["ProtectSystem"], service.get("ProtectHome", "no")) == ("full", "no")
    assert service["KillMode"] == "process"
    assert "UMask" not in service
    # The API is somebody else, who has none of this.
    assert service["User"] == "stanchion-mail"
    assert "STANCHION_DATABASE_URL" not in (FOLDER / "mail-watch.env").read_text()


@pytest.mark.parametrize("name", SHUT_IN)
def test_each_unit_is_shut_in(name: str) -> None:
    service = Unit(name)["Service"]

    assert service["User"] == "stanchion"
    assert service["ProtectSystem"] == "strict"
    assert service["StateDirectory"] == "stanchion"
    for wall in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome"):
        assert service[wall] == "yes"
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.parametrize("name", SERVICES)
def test_each_unit_sees_what_celery_and_redis_read_of_the_machine(name: str) -> None:
    # A worker whose heartbeat cannot read /proc/loadavg ends.
    assert "ProcSubset" not in Unit(name)["Service"]


@pytest.mark.parametrize("name", PROCESSES)
def test_each_process_is_over_within_ten_seconds(name: str) -> None:
    service = Unit(name)["Service"]
    stop_s = int(service["TimeoutStopSec"].removesuffix("s"))
    # systemd waits that long for ExecStop, and once more for what is left.
    waits = 2 if "ExecStop" in service else 1

    assert waits * stop_s <= 10
    assert "ExecStop" in service or stop_s > Settings().stop_timeout_s


@pytest.mark.parametrize("name", PROCESSES)
def test_each_process_comes_back_whatever_ended_it(name: str) -> None:
    unit = Unit(name)

    assert unit["Service"]["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    # `Requires` would give up for good when the database is away at the moment of a restart.
    assert "Requires" not in unit["Unit"]


def test_the_environment_file_of_a_mail_host_holds_settings() -> None:
    lines = (FOLDER / "mail-watch.env").read_text().splitlines()
    given = [line.removeprefix("# ").split("=", 1) for line in lines if "STANCHION_" in line]

    urls = [load_settings({name: value}).broker_url for name, value in given if "BROKER" in name]
    exim = load_settings({name: value for name, value in given if "EXIM" in name}).exim

    assert [url.partition(":")[0] for url in urls] == ["redis", "rediss"]
    assert exim.startswith("/usr/sbin/exim4 ")
    assert any(line.removeprefix("# ").startswith("MAIL_HOST=") for line in lines)


def test_the_environment_file_holds_settings() -> None:
    lines = (FOLDER / "stanchion.env").read_text().splitlines()
    given = dict(line.removeprefix("# ").split("=", 1) for line in lines if "STANCHION_" in line)

    settings = load_settings(given)

    assert settings.database_url.startswith("postgresql://")
    assert settings.broker_url.startswith("amqp://")
