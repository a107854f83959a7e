"""What Exim's answers mean: read line by line, since its exit code says little.

One unknown id among a thousand makes it 1, so each id's outcome is read from the line that names
it. Source: Exim 4.96 and 4.98.2, run.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from models.mail.rules import Outcome, Result

_SAID_CHARACTERS_MAX: Final = 500
_NAMED: Final = re.compile(
    r"(?<![0-9A-Za-z-])"
    r"([0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4}))"
    r"(?:-[HDJ])?(?![0-9A-Za-z-])"
)
# What a line says of the id in it; the first that fits.
_WORDS: Final[Sequence[tuple[str, Result]]] = (
    ("is now frozen", Result.DONE),
    ("is already frozen", Result.ALREADY),
    ("is no longer frozen", Result.DONE),
    ("is not frozen", Result.ALREADY),
    ("has been removed or did not exist", Result.GONE),
    ("has been removed", Result.DONE),
    ("has been modified", Result.DONE),
    ("does not exist", Result.GONE),
    ("No such file or directory", Result.GONE),
    ("is locked", Result.LOCKED),
    ("Spool format error", Result.BROKEN),
    ("Spool read error", Result.BROKEN),
    ("error while", Result.REFUSED),
    ("only one sender address", Result.REFUSED),
)
_DENIED: Final = ("Permission denied", "permission denied")
# What Exim says before anything is known of an attempt.
_PRELUDE: Final = re.compile(r"(?:delivering \S+|LOG: .*|exim user lost privilege.*|\s*)\Z")
_LISTED: Final = re.compile(
    r"^ {0,2}\d+[mhd] +[\d.]*[KM]? ([0-9A-Za-z-]{16}|[0-9A-Za-z-]{23}) <(.*)>"
    r"(?: \(.*\))?( \*\*\* frozen \*\*\*)?$"
)
_RECIPIENT: Final = re.compile(r"^ {8}([D ]) (.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A message as `exim -bp` shows it."""

    message_id: str
    sender: str
    is_frozen: bool
    recipients: tuple[str, ...]
    delivered: tuple[str, ...]


def read_outcomes(message_ids: Sequence[str], lines: Iterable[str], err: str = "") -> list[Outcome]:
    """Return what Exim's lines say of each id, in the order of the ids.

    Of several lines with one id the last decides: `-Mrm` names what it could not read first.
    """
    said: dict[str, tuple[Result, str]] = {}
    loose = [*err.splitlines()]
    for line in lines:
        named = _NAMED.search(line)
        result = next((result for words, result in _WORDS if words in line), None)
        if named and result:
            said[named[1]] = result, line.strip()
        else:
            loose.append(line)
    is_denied = any(words in line for line in loose for words in _DENIED)
    rest = Result.DENIED if is_denied else Result.SILENT
    words = " ".join(" ".join(loose).split())[:_SAID_CHARACTERS_MAX]
    found = [(each, *said.get(each, (rest, words))) for each in message_ids]
    return [Outcome(message_id=each, result=result, said=text) for each, result, text in found]


def read_start(message_id: str, line: str) -> Outcome | None:
    """Return what a line of an attempt says of whether there is one; None: nothing yet."""
    if _PRELUDE.match(line):
        return None
    said = line.strip()[:_SAID_CHARACTERS_MAX]
    if any(words in line for words in _DENIED):
        result = Result.DENIED
    elif "is locked" in line:
        result = Result.LOCKED
    elif "not found" in line and message_id in line:
        result = Result.GONE
    elif "Spool format error" in line or "Spool read error" in line:
        result = Result.BROKEN
    else:
        return Outcome(message_id=message_id, result=Result.DONE)
    return Outcome(message_id=message_id, result=result, said=said)


def parse_listing(lines: Iterable[str]) -> Iterator[Listed]:
    """Yield the messages of `exim -bp`, whose files could be read."""
    head: re.Match[str] | None = None
    recipients: list[tuple[str, str]] = []
    for line in [*lines, ""]:
        if not line.strip():
            if head is not None:
                yield _listed(head, recipients)
            head, recipients = None, []
        elif head is None:
            head = _LISTED.match(line)
        elif found := _RECIPIENT.match(line):
            recipients.append((found[2], found[1]))


def _listed(head: re.Match[str], recipients: Sequence[tuple[str, str]]) -> Listed:
    return Listed(
        message_id=head[1],
        sender=head[2],
        is_frozen=head[3] is not None,
        recipients=tuple(address for address, _ in recipients),
        delivered=tuple(address for address, mark in recipients if mark == "D"),
    )
