import gzip
import shutil
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENDORED = ROOT / "api" / "static" / "vendor"
FOR_TESTS = ROOT / "tests" / "browser" / "vendor"
SCRIPT = "scalar-api-reference-1.72.1/standalone.js.gz"


@pytest.fixture(scope="module")
def vendor() -> ModuleType:
    """Return tools/vendor, a program without a suffix, as a module."""
    loader = SourceFileLoader("vendor", str(ROOT / "tools" / "vendor"))
    spec = spec_from_loader("vendor", loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules["vendor"] = module  # where its dataclasses look for their annotations
    loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(VENDORED, tmp_path / "vendor"))


@pytest.mark.parametrize("folder", [VENDORED, FOR_TESTS], ids=["wheel", "tests"])
def test_vendored_files_are_what_the_lock_says(vendor: ModuleType, folder: Path) -> None:
    assert list(vendor.check(folder)) == []


def test_check_finds_a_changed_file(vendor: ModuleType, copy: Path) -> None:
    (copy / SCRIPT).write_bytes(gzip.compress(b"changed"))

    assert list(vendor.check(copy)) == [f"{SCRIPT}: its content is not what the lock says"]


def test_check_finds_a_missing_file(vendor: ModuleType, copy: Path) -> None:
    (copy / SCRIPT).unlink()

    assert list(vendor.check(copy)) == [f"{SCRIPT}: named in the lock, missing on disk"]


def test_check_finds_a_missing_licence(vendor: ModuleType, copy: Path) -> None:
    (copy / SCRIPT).with_name("LICENSE.txt").unlink()

    [fault] = vendor.check(copy)
    assert fault == "scalar-api-reference-1.72.1/LICENSE.txt: missing; the package is under MIT"


def test_check_finds_a_file_that_nobody_asked_for(vendor: ModuleType, copy: Path) -> None:
    (copy / "stray.js").write_text("")

    assert list(vendor.check(copy)) == ["stray.js: on disk, but not in the lock"]
