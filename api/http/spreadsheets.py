"""CSV for spreadsheets, which run what begins like a formula unless they are told not to."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def plain(cell: object) -> object:
    """Return a cell that a spreadsheet shows and does not run."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table with a head; None is an empty cell."""
    text = io.StringIO()
    written = csv.writer(text, lineterminator="\r\n")
    written.writerow(head)
    written.writerows([plain(cell) for cell in row] for row in rows)
    return text.getvalue()
