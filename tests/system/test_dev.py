"""`./dev` on a fresh checkout, by somebody who is not root and has next to nothing.

One story: an install is cut short, then two start at once; what they leave is looked at by each
test. It needs a Python that an ordinary user may run, and packages to install.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.servers import ROOT, Process, free_port, wait_until

pytestmark = pytest.mark.xdist_group("dev")
# What a machine needs to reach its packages.
PASSED_ON = re.compile(r"PIP_(?!USER)|SSL_|REQUESTS_CA_BUNDLE|(https?|all|no)_proxy", re.IGNORECASE)
# None of these may lead anywhere.
MISLEADING = {
    "PATH": "/nonexistent",
    "PIP_USER": "1",
    "PYTHONPATH": "/nonexistent",
    "PYTHONHOME": "/nonexistent",
    "VIRTUAL_ENV": "/nonexistent",
}


@dataclass
class Checkout:
    """A copy of the project that belongs to an ordinary user, and what was started in it."""

    folder: Path
    home: Path
    bind: str
    flower: str
    user: str | None
    ended: Process | None = None  # the one of two that lost
    running: Process | None = None

    def start(self, *arguments: str, log: str, **environ: str) -> Process:
        given = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
        bound = {"STANCHION_BIND": self.bind, "STANCHION_FLOWER_BIND": self.flower}
        whole = {**given, **MISLEADING, **bound, "HOME": str(self.home), **environ}
        return Process(
            # Set here and not by `environ`, since what starts `env` needs a path.
            ["/usr/bin/env", "-i", *map("=".join, whole.items()), f"{self.folder}/dev", *arguments],
            log_path=self.home.parent / log,
            environ={"PATH": os.environ["PATH"]},
            user=self.user,
        )

    def answers(self) -> bool:
        return httpx.get(f"http://{self.bind}/health").status_code == httpx.codes.OK


def copy_project(folder: Path) -> None:
    """Copy what a clone would hold."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


@pytest.fixture(scope="module")
def checkout(new_folder: Callable[[str], Path]) -> Iterator[Checkout]:
    """Where `./dev up` runs, after it was killed once and started twice."""
    around = new_folder("dev")
    made = Checkout(
        folder=around / "checkout",
        home=around / "home",
        bind=f"127.0.0.1:{free_port()}",
        flower=f"127.0.0.1:{free_port()}",
        user="nobody" if os.geteuid() == 0 else None,
    )
    made.home.mkdir()
    copy_project(made.folder)
    if made.user:
        owner = pwd.getpwnam(made.user)
        for path in (around, *around.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    if made.start("help", log="help").wait() != 0:
        skip_or_fail(f"no Python for {made.user or 'us'} in /usr/bin")
    cut_short(made)
    try:
        start_two(made)
        yield made
    finally:
        if made.running:
            made.running.stop(signal.SIGINT)


def skip_or_fail(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def cut_short(checkout: Checkout) -> None:
    """Kill an install in its middle, with all of its processes."""
    first = checkout.start("up", log="first")
    in_the_middle = (checkout.folder / ".venv" / "unfinished").exists
    wait_until(in_the_middle, "it installs", process=first)
    first.kill()


def start_two(checkout: Checkout) -> None:
    """Start two at once: one installs and runs, the other waits and then hears who runs."""
    two = [checkout.start("up", log=log) for log in ("second", "third")]
    try:
        wait_until(lambda: any(one.is_over for one in two), "one gives way", timeout_s=120)
        [checkout.ended] = [one for one in two if one.is_over]
        [checkout.running] = [one for one in two if not one.is_over]
        wait_until(checkout.answers, "the API answers", process=checkout.running)
    except BaseException as error:
        for one in two:
            one.stop(signal.SIGINT)
        said = "\n".join(one.log() for one in two)
        if "the dependencies could not be installed" in said:
            skip_or_fail(f"the packages are out of reach: {said[-1000:]}")
        raise AssertionError(said[-4000:]) from error


def test_a_fresh_checkout_answers(checkout: Checkout) -> None:
    answer = httpx.get(f"http://{checkout.bind}/health")

    assert answer.status_code == httpx.codes.OK
    assert answer.json()["status"] == "ok"


def test_an_install_that_was_cut_short_is_repaired(checkout: Checkout) -> None:
    assert checkout.running is not None
    assert checkout.ended is not None
    said = checkout.running.log() + checkout.ended.log()

    assert said.count("installing into .venv") == 1
    assert not (checkout.folder / ".venv" / "unfinished").exists()


def test_two_at_once_do_not_clash(checkout: Checkout) -> None:
    assert checkout.ended is not None
    assert checkout.ended.wait() == 1
    assert re.search(r"already running in \S+/var as process \d+", checkout.ended.log())


def test_nothing_is_written_outside_the_checkout(checkout: Checkout) -> None:
    assert {path.name for path in checkout.home.iterdir()} <= {".cache"}  # of pip


def test_a_later_start_installs_nothing(checkout: Checkout) -> None:
    assert checkout.running is not None
    assert checkout.running.stop(signal.SIGINT) == 0

    checkout.running = again = checkout.start("up", log="again", PIP_INDEX_URL="http://127.0.0.1:9")

    wait_until(checkout.answers, "the API answers", process=again)
    wait_until(lambda: "ready: " in again.log(), "it says so", process=again)
    assert "installing" not in again.log()


def test_an_upgrade_that_reaches_no_packages_leaves_what_ran(checkout: Checkout) -> None:
    lock = checkout.folder / "requirements.lock"
    as_it_was = lock.read_text()
    lock.write_text(f"{as_it_was}# newer\n")

    upgrade = checkout.start(
        "up", log="upgrade", PIP_INDEX_URL="http://127.0.0.1:9", PIP_RETRIES="0"
    )
    code = upgrade.wait(60)

    lock.write_text(as_it_was)
    assert code == 1, upgrade.log()
    assert "the dependencies could not be installed" in upgrade.log()
    subprocess.run([checkout.folder / ".venv/bin/stanchion", "version"], check=True)
    assert not (checkout.folder / ".venv.before").exists()


def test_an_unknown_command_is_a_mistake(checkout: Checkout) -> None:
    process = checkout.start("down", log="down")

    assert process.wait() == 2
    assert "./dev up" in process.log()


@pytest.mark.slow
def test_an_audit_that_could_ask_nobody_is_none(checkout: Checkout) -> None:
    assert checkout.start("audit", log="install").wait(120) in {0, 1, 2}

    process = checkout.start("audit", log="audit", HTTPS_PROXY="http://127.0.0.1:9")

    assert process.wait(60) == 2
    assert "dev: not audited: " in process.log()
