"""`./dev audit` says that it could ask nobody, and never that nothing is known."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, free_port

# What `./dev audit` does once everything is installed, which it is where tests run.
PROGRAM = "import runpy; runpy.run_path('dev', run_name='dev')['audit']()"


def audit(folder: Path, **environ: str) -> tuple[int, str]:
    command = [sys.executable, "-c", PROGRAM]
    given = {"PATH": os.environ["PATH"], "HOME": str(folder), **environ}
    done = subprocess.run(
        command, cwd=folder, env=given, capture_output=True, check=False, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What an audit reads, with the programs that are installed here."""
    for name in ("dev", "requirements.lock", "requirements-test.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def test_a_service_that_cannot_be_reached_is_no_clean_audit(checkout: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"

    code, said = audit(checkout, HTTPS_PROXY=nobody, HTTP_PROXY=nobody)

    assert code == 2
    assert "dev: not audited: " in said
    assert "packages audited" not in said


def test_an_audit_without_its_program_is_none(checkout: Path) -> None:
    (checkout / ".venv").unlink()

    code, said = audit(checkout)

    assert (code, said.splitlines()[-1].startswith("dev: not audited: ")) == (2, True)
