"""Sees whether the user that runs this may look after the Exim of this machine; changes nothing."""

import grp
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.mail.exim import Exim, EximError, Places

# An order may be begun for ten seconds by default, and most of that is the house's patience.
_CLOCKS_DIFFER_S_MAX: Final = 3.0
_STATUS: Final = Path("/proc/self/status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One thing that was looked at; `advice` says what to do about one that is not good."""

    subject: str
    is_good: bool
    fact: str
    advice: str = ""
    is_needed: bool = True  # or else the rest works without it


def look(exim: Exim) -> Iterator[Sight]:
    """Look at the program, the spool, what Exim lets us do, and its main log."""
    try:
        places = exim.places()
    except EximError as error:
        yield Sight(
            subject="exim",
            is_good=False,
            fact=f"it does not run: {error.reason}",
            advice="see STANCHION_EXIM",
        )
        return
    yield Sight(subject="exim", is_good=True, fact=f"{places.version} runs, as {_user()}")
    yield _spool(places)
    yield from _acting(exim, places)
    yield _log(places)


def compare_clocks(house_ms: int, here_ms: int) -> Sight:
    """Say whether orders are begun in their time here: it ends by the house's clock."""
    ahead_s = (here_ms - house_ms) / 1000
    where, wrong = "behind", "orders are begun when they are over"
    if ahead_s > 0:
        where, wrong = "ahead of", "orders are over when they come"
    fact = f"this clock is {abs(ahead_s):.1f} s {where} the broker's"
    if abs(ahead_s) <= _CLOCKS_DIFFER_S_MAX:
        return Sight(subject="clock", is_good=True, fact=fact)
    return Sight(subject="clock", is_good=False, fact=f"{fact}: {wrong}", advice="set both by NTP")


def _spool(places: Places) -> Sight:
    folder = Path(places.spool) / "input"
    try:
        next(os.scandir(folder), None)
    except FileNotFoundError:
        return Sight(
            subject="spool",
            is_good=False,
            fact=f"{folder} is not there: this Exim had no message yet, or keeps them elsewhere",
            advice="none, if it is new: the spool is watched soon after its first message",
            is_needed=False,
        )
    except OSError as error:
        return Sight(
            subject="spool",
            is_good=False,
            fact=f"{folder} cannot be read: {error.strerror}",
            advice=_membership(Path(places.spool)),
        )
    return Sight(subject="spool", is_good=True, fact=f"{folder} can be read")


def _acting(exim: Exim, places: Places) -> Iterator[Sight]:
    if _may_not_become_more():
        yield Sight(
            subject="acting",
            is_good=False,
            fact="this process runs with NoNewPrivileges, so Exim has no rights of its own",
            advice="start it without, as deploy/systemd/stanchion-mail-watch.service does",
        )
        return
    try:
        refusal = exim.refusal()
    except EximError as error:
        yield Sight(subject="acting", is_good=False, fact=f"Exim gives no answer: {error.reason}")
        return
    if refusal:
        yield Sight(
            subject="acting",
            is_good=False,
            fact=f"Exim takes no orders from {_user()}: {refusal}",
            advice=_membership(Path(places.spool)),
        )
    else:
        yield Sight(subject="acting", is_good=True, fact=f"Exim takes orders from {_user()}")


def _log(places: Places) -> Sight:
    if not places.main_log:
        return Sight(
            subject="log",
            is_good=False,
            fact="Exim writes to syslog alone, which is not read",
            advice="let log_file_path name a file",
            is_needed=False,
        )
    folder = Path(places.main_log).parent
    try:
        for path in folder.iterdir():
            if "main" in path.name and path.is_file():
                path.open("rb").close()
    except OSError as error:
        return Sight(
            subject="log",
            is_good=False,
            fact=f"{error.filename} cannot be read: {error.strerror}; no logs, traces and reports",
            advice=_membership(folder),
            is_needed=False,
        )
    return Sight(subject="log", is_good=True, fact=f"{folder} can be read")


def _may_not_become_more() -> bool:
    try:
        return "NoNewPrivs:\t1" in _STATUS.read_text()
    except OSError:
        return False


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def _membership(place: Path) -> str:
    """Return what puts us into the group that a folder belongs to."""
    try:
        group = grp.getgrgid(place.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "its group may"
    return f"usermod --append --groups {group} {_user()}, and start anew"
