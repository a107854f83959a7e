"""HTML with gaps: `{{name}}` is filled and escaped for each answer, `{{{name}}}` once, as it is."""

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).resolve().parents[1] / "static" / "pages"
_RAW: Final = re.compile(r"\{\{\{(\w+)\}\}\}")
_GAP: Final = re.compile(r"\{\{([\w.]+)\}\}")


class Markup(str):
    """HTML that the server wrote itself, of nothing that anybody sent: a gap takes it as it is."""

    __slots__ = ()


class Template:
    """One page, cut at its gaps; thread-safe."""

    def __init__(self, source: str) -> None:
        pieces = _GAP.split(source)
        self._between: Final = pieces[0::2]
        self.names: Final = pieces[1::2]

    def fill(self, *values: Mapping[str, str]) -> str:
        """Return the page; a gap takes the first mapping that knows it, KeyError if none does."""
        filled = [self._between[0]]
        for name, text in zip(self.names, self._between[1:], strict=True):
            value = next((each[name] for each in values if name in each), None)
            if value is None:
                raise KeyError(name)
            filled += (value if isinstance(value, Markup) else html.escape(value), text)
        return "".join(filled)


def load(name: str, raw: Mapping[str, str], *, layout: str = "layout") -> Template:
    """Read `api/static/pages/<name>.html` within a layout; `raw` parts are trusted."""
    source = _source(layout).replace("{{{content}}}", _source(name).rstrip("\n"))
    return Template(_RAW.sub(lambda gap: raw[gap[1]], source))


def _source(name: str) -> str:
    return (_FOLDER / f"{name}.html").read_text("utf-8")
