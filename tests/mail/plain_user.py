"""Processes of somebody who is not root, beside an Exim that is installed as Debian does it.

Exim gives up its rights when an unprivileged user names a configuration. So it runs with the one
that lies in its own place, which in a mount namespace of ours is the tests'. What a plain user may
not pass through, such as root's home with an interpreter in it, is mounted where he may.
"""

import grp
import itertools
import os
import pwd
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.mail.exim_server import EximServer
from tests.servers import ROOT, Process

# An account without rights that every Debian has, and a name of ours would not be there.
USER = "games"
EXIM_GROUP = "Debian-exim"
LOG_GROUP = "adm"
_ETC = Path("/etc/exim4")
_MOUNT = """
while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 99; shift 2; done
shift
exec "$@"
"""


def require_other_users() -> None:
    """Skip the test where we cannot become somebody else, or mount something for ourselves."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if not _ETC.is_dir():
        pytest.skip(f"Exim is not installed as Debian does it: there is no {_ETC}")
    made = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "true"], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("no mount namespace can be made here (in a container: CAP_SYS_ADMIN)")


class PlainUser:
    """Runs things as USER, in the groups that are named and in no other."""

    def __init__(self, folder: Path, exim: EximServer, groups: Sequence[str] = ()) -> None:
        self.uid = pwd.getpwnam(USER).pw_uid
        self.folder = folder
        self._numbers = itertools.count()
        self.gids = {grp.getgrnam(name).gr_gid for name in groups}
        etc = folder / "etc"
        etc.mkdir()
        (etc / "exim4.conf").write_text(exim.config.read_text())
        self._binds = [(etc, _ETC)]
        self._base = self._seen("python", Path(sys.base_prefix))
        self._path = [
            self._seen("checkout", ROOT),
            self._seen("packages", Path(sysconfig.get_path("purelib"))),
        ]
        self.home = folder / "home"
        self.home.mkdir()
        self.own(self.home)

    def _seen(self, name: str, place: Path) -> Path:
        """Return where the user finds a folder."""
        mounted = self.folder / name
        mounted.mkdir()
        self._binds.append((place, mounted))
        return mounted

    def command(self, *command: str, flags: Sequence[str] = ()) -> list[str]:
        """Return what runs a command as the user; `flags` are of setpriv."""
        binds = [str(each) for pair in self._binds for each in pair]
        groups = f"--groups={','.join(map(str, self.gids))}" if self.gids else "--clear-groups"
        us = ("setpriv", f"--reuid={self.uid}", f"--regid={USER}", groups, "--pdeathsig=KILL")
        return [
            *("unshare", "--mount", "--propagation", "private"),
            *("sh", "-c", _MOUNT, "sh", *binds, "--", *us, *flags, "--", *command),
        ]

    def run(self, *command: str, flags: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            self.command(*command, flags=flags),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def own(self, folder: Path) -> None:
        """Make a folder and what lies in it the user's."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.uid, self.uid)

    def start(
        self,
        *arguments: str,
        settings: Mapping[str, str],
        site: Path | None = None,
        flags: Sequence[str] = (),
    ) -> Process:
        """Start a process of the product; `site` is where its interpreter looks first."""
        python = str(self._base / "bin" / _interpreter())
        return Process(
            self.command(python, "-m", "api.cli", *arguments, flags=flags),
            log_path=self.folder / f"{next(self._numbers)}-{arguments[0]}.log",
            environ={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(self.home),
                # Where libpython lies, if the interpreter has it as a library.
                "LD_LIBRARY_PATH": str(self._base / "lib"),
                "PYTHONPATH": os.pathsep.join(map(str, [*([site] if site else []), *self._path])),
                "PYTHONDONTWRITEBYTECODE": "1",
                "STANCHION_DATA": str(self.home / "data"),
                "STANCHION_LOG_FORMAT": "json",
                **{f"STANCHION_{name}": value for name, value in settings.items()},
            },
        )


def _interpreter() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def let_log_be_read(exim: EximServer) -> None:
    """Give the folder of the logs to the group that reads them, as Debian does."""
    account = pwd.getpwnam(EXIM_GROUP)
    for path in exim.logs.iterdir():
        path.unlink()
    os.chown(exim.logs, account.pw_uid, grp.getgrnam(LOG_GROUP).gr_gid)
    exim.logs.chmod(0o2750)


def rights_of(process: Process) -> dict[str, str]:
    """Return who a process is and what it may, as the kernel says."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
