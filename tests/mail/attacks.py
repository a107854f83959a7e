"""What somebody writes where an id, an address, a name or a filter is expected, and means no good.

The tables are everybody's: an operation that takes such a text is tried with all of them.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.mail.exim_server import EximServer

GOOD_ID: Final = "1AAAAA-000001-00"
LONG: Final = "A" * 10_000

# None of these is an id of Exim; what may reach a command at all has the form of one.
NO_IDS: Final = {
    "an option": "-C/etc/passwd",
    "an option behind an id": f"{GOOD_ID} -C/etc/passwd",
    "expansion": "-be",
    "expansion of a string": "${run{/bin/id}}",
    "the end of options": "--",
    "a command": f"{GOOD_ID};id",
    "a substitution": "$(id)",
    "backticks": "`id`",
    "a pipe": f"{GOOD_ID}|id",
    "a line behind it": f"{GOOD_ID}\n",
    "a line before it": f"\n{GOOD_ID}",
    "a NUL": f"{GOOD_ID}\0",
    "much": f"{LONG}-",
    "digits that only look so": "\N{FULLWIDTH DIGIT ONE}AAAAA-000001-00",
    "letters that only look so": "1\N{CYRILLIC CAPITAL LETTER A}AAAA-000001-00",
    "a character without width": f"{GOOD_ID}\N{ZERO WIDTH SPACE}",
    "a folder above": "../../../etc/passwd",
    "a folder above an id": f"{GOOD_ID}/../../../etc/passwd",
    "any characters of SQL": "1AAAAA-00000%",
    "any character of SQL": "_AAAAA-000001-00",
    "a quote": "' OR '1'='1",
    "the end of a statement": '"; DROP TABLE mail_message; --',
    "a file": f"{GOOD_ID}-H",
    "nothing": " ",
}

# Exim would take each for something else than one address, or for an option.
NO_ADDRESSES: Final = {
    "an option": "-C/etc/passwd",
    "expansion": "-be",
    "two": "a@x.test,b@x.test",
    "two in brackets": "a@x.test> <b@x.test",
    "an option behind it": "a@x.test -C/etc/passwd",
    "a line behind it": "a@x.test\n",
    "a NUL": "a@x.test\0",
    "much": "a" * 321,
    "a comment": "(hidden)a@x.test",
    "a comment behind it": "a@x.test(hidden)",
    "a substitution": "$(id)@x.test",
    "a route": "@a.test,@b.test:c@x.test",
    "an include": ":include:/etc/passwd",
    "a group": "group: a@x.test;",
    "a space that does not look so": "a\N{NO-BREAK SPACE}b@x.test",
    "an open quote": '"a@x.test',
    "no local part": "@x.test",
    "no domain": "a@",
    "two domains": "a@x.test@y.test",
}

# Each is an address, of a mailbox with an odd name; none is run, expanded or opened.
ODD_ADDRESSES: Final = (
    "${run{/usr/bin/touch}}@defer.test",
    "|touch@defer.test",
    "/etc/passwd@defer.test",
    "`id`@defer.test",
    '"-C/etc/passwd"@defer.test',
    "%s%n@defer.test",
    "a'b@defer.test",
    "\N{FULLWIDTH LATIN SMALL LETTER A}@defer.test",
)

# Texts that would mean more than themselves to SQL, to a shell or to a pattern.
FILTER_TEXTS: Final = (
    *("%", "_", "%%", "a%b", "a_b", "\\", "\\%", "/", "/_", "*", "?", "[a-z]", "^", "$", ".*"),
    *("'", "''", '"', "' OR '1'='1", "'; DROP TABLE mail_message; --", "--", "/*", ":a", "%(a)s"),
    *(
        "-C/etc/passwd",
        "$(id)",
        "`id`",
        "${run{/bin/id}}",
        "\0",
        "\n",
        "\u202e",
        "\N{FULLWIDTH PERCENT SIGN}",
    ),
)

# Where an order names a queue of Exim: a path, an option, or more than one word.
NO_QUEUES: Final = (
    *("..", ".", "../input", "/etc", "a/../..", "a b", "a\n", "a\0", "-C/etc/passwd", "*"),
    *("$(id)", "${run{/bin/id}}", "a" * 65),
)


def some(texts: Mapping[str, str] | Iterable[str]) -> list[Any]:
    """Return every third of the texts for the default run, and the others for the slow one."""
    named = texts if isinstance(texts, Mapping) else {repr(text)[:40]: text for text in texts}
    return [
        pytest.param(text, id=name, marks=[pytest.mark.slow] if number % 3 else [])
        for number, (name, text) in enumerate(named.items())
    ]


# All that Exim is ever told.
_ARGUMENTS: Final = re.compile(
    r"-bP|spool_directory|log_file_path|message_logs|-bV|-bpc|-bpr|-v|-M|-Mf|-Mt|-Mrm|-Mg|-Mar|-Mes"
    r"|-Mmd|-Mmad|[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})"
    r"|<(?!-)[^<>\s]*>"
)


class RecordedExim:
    """The command of a real Exim, by way of a script that first notes what it was told."""

    def __init__(self, folder: Path, exim: EximServer) -> None:
        self._told = folder / "told"
        script = folder / "exim"
        script.write_text(
            "#!/bin/sh\n"
            f"printf '%s\\0' \"$@\" '' >> {shlex.quote(str(self._told))}\n"
            f'exec {shlex.join(exim.command)} "$@"\n'
        )
        script.chmod(0o755)
        self.command = str(script)

    def strange(self) -> set[str]:
        """Return what Exim was told that it never should be."""
        told = self._told.read_text(errors="replace").split("\0")
        return {each for each in told if each and not _ARGUMENTS.fullmatch(each)}

    def actions(self) -> int:
        """Return how many commands have acted on messages so far."""
        return sum(each.startswith("-M") for each in self._told.read_text().split("\0"))
