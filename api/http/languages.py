"""What the pages say, in each language, and which language a reader gets.

The texts are data files: `api/static/texts/<language>.json`, one object for each page with the same
keys in each language. `script` holds what scripts say.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from falcon.asgi import Request, Response

COOKIE: Final = "stanchion_language"
_FOLDER: Final = Path(__file__).resolve().parents[1] / "static" / "texts"
_NAMES: Final = ("en", "vi")
_THOUSANDS: Final = {"en": ",", "vi": "."}
_YEAR_S: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Language:
    """One language; a text's key is `page.name`."""

    name: str
    texts: Mapping[str, str]
    script_texts: Mapping[str, str]

    def number(self, value: int) -> str:
        """Write a number as its readers do."""
        return f"{value:,}".replace(",", _THOUSANDS[self.name])


def load() -> tuple[Language, ...]:
    """Read every language; the first is for readers who ask for none of them."""
    return tuple(_read(name) for name in _NAMES)


def choose(req: Request, languages: tuple[Language, ...]) -> Language:
    """Return the language that a reader chose before, else the best of `Accept-Language`."""
    by_name = {language.name: language for language in languages}
    chosen = by_name.get(req.cookies.get(COOKIE, ""))
    if chosen:
        return chosen
    wanted = wanted_of(req.get_header("Accept-Language", default=""))
    return next((by_name[name] for name in wanted if name in by_name), languages[0])


def remember(resp: Response, language: Language, *, is_secure: bool) -> None:
    """Let the reader's browser keep the choice, for a year."""
    resp.set_cookie(
        COOKIE,
        language.name,
        max_age=_YEAR_S,
        path="/",
        same_site="Lax",
        secure=is_secure,
    )


def wanted_of(header: str) -> list[str]:
    """Return the languages of `Accept-Language` without their regions, the dearest first."""
    weighed = []
    for part in header.split(","):
        tag, _, parameter = part.strip().partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            weight = 0.0
        if weight > 0:
            weighed.append((weight, tag.partition("-")[0].strip().lower()))
    # The sort is stable: of two that are equally dear the first one named comes first.
    return [tag for _, tag in sorted(weighed, key=lambda each: -each[0])]


def _read(name: str) -> Language:
    pages: dict[str, dict[str, str]] = json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))
    texts = {f"{page}.{key}": text for page, of in pages.items() for key, text in of.items()}
    return Language(name, texts, pages["script"])
