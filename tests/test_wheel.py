import configparser
import email
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("api", "beat", "models", "stanchion_client", "workers")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Return the wheel of the checkout, built with what is installed and without network."""
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


def built(project: Path, folder: Path) -> zipfile.ZipFile:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    [path] = folder.glob("stanchion*.whl")
    return zipfile.ZipFile(path)


def files_of(package: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "pyproject.toml"
    }


def content(wheel: zipfile.ZipFile, name: str) -> str:
    [path] = [path for path in wheel.namelist() if path.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def test_wheel_holds_every_file_of_the_five_packages_and_nothing_else(
    wheel: zipfile.ZipFile,
) -> None:
    there = set().union(*map(files_of, PACKAGES))

    assert {path for path in wheel.namelist() if ".dist-info/" not in path} == there


def test_wheel_brings_one_command(wheel: zipfile.ZipFile) -> None:
    scripts = configparser.ConfigParser()
    scripts.read_string(content(wheel, "entry_points.txt"))

    assert dict(scripts["console_scripts"]) == {"stanchion": "api.cli:main"}


def test_wheel_is_no_library(wheel: zipfile.ZipFile) -> None:
    fields = email.message_from_string(content(wheel, "METADATA"))

    assert fields["License-Expression"] == "Apache-2.0"
    assert "Private :: Do Not Upload" in fields.get_all("Classifier", [])


def test_packages_belong_to_no_other_distribution() -> None:
    owners = packages_distributions()

    # A checkout installed in place does not say what it owns.
    assert {name for name in PACKAGES if set(owners.get(name, ())) - {"stanchion"}} == set()


def test_the_client_is_a_library_of_its_own(tmp_path: Path, wheel: zipfile.ZipFile) -> None:
    client = built(ROOT / "stanchion_client", tmp_path)

    names = {path for path in client.namelist() if ".dist-info/" not in path}
    assert names == {"stanchion_client/LICENSE", *files_of("stanchion_client")}
    fields, server = (
        email.message_from_string(content(each, "METADATA")) for each in (client, wheel)
    )
    assert fields["Version"] == server["Version"]
    needs = fields.get_all("Requires-Dist", [])
    assert [need for need in needs if "extra ==" not in need] == ["httpx<1,>=0.28"]
    # What it was tried with is what the server is built with.
    both = {need.partition(";")[0] for need in needs}
    assert both <= set(server.get_all("Requires-Dist", []))
