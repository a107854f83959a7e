"""Finds the command that runs Exim; runs nothing itself."""

import shlex
import shutil
from typing import Final

_NAMES: Final = ("exim4", "exim")
OFF: Final = "off"
# Where Debian, Fedora and the BSDs put it; a user's PATH often has no sbin.
PATH: Final = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin:/sbin"


def find_command(configured: str) -> list[str] | None:
    """Return the command that runs Exim, with its fixed arguments.

    None when there is none, or when none is wanted, which `off` says.
    """
    if configured == OFF:
        return None
    if configured:
        return shlex.split(configured)
    for name in _NAMES:
        found = shutil.which(name) or shutil.which(name, path=PATH)
        if found:
            return [found]
    return None
