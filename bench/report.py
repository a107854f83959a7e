"""What a bench found: printed as it comes, and kept in bench/README.md when asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

_README: Final = Path(__file__).with_name("README.md")


class Report:
    """Markdown that is printed line by line; `record` puts it between the marks of its bench."""

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._lines: Final[list[str]] = []

    def say(self, sentence: str) -> None:
        """Add one point."""
        self._add(f"* {sentence}")

    def heading(self, text: str) -> None:
        """Begin a part."""
        self._add("", f"### {text}", "")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; every column but the first holds numbers."""
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        for row in (head, ruler, *rows):
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            self._add(f"| {' | '.join(cells)} |")
        self._add("")

    def record(self) -> None:
        """Replace what bench/README.md says between this bench's marks."""
        begin, end = f"<!-- {self._name} -->", f"<!-- /{self._name} -->"
        before, _, rest = _README.read_text().partition(begin)
        after = rest.partition(end)[2]
        text = "\n".join(self._lines)
        _README.write_text(f"{before}{begin}\n{text}\n{end}{after}")

    def _add(self, *lines: str) -> None:
        self._lines.extend(lines)
        print(*lines, sep="\n", flush=True)
