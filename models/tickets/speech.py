"""What is said of a call, in each language, and which clips of a hall say it; no I/O, no clock.

Digits are said one by one, as they stand on the paper. What goes to a voice is letters, digits,
commas and spaces alone: speech programs read other signs as markup, phonemes or commands.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.tickets.rules import number_text

_CHARACTERS_MAX: Final = 120  # of a counter's name that are said
_KEY: Final = re.compile(r"[0-9a-z]|ticket|counter|counter-[1-9][0-9]{0,17}")
_COUNTER_KEY: Final = "counter-"
_COUNTER_WORDS: Final = frozenset({"quầy", "counter"})
# What counters are called that clips say sign by sign: `3`, `B`, `B2`, `12a`.
_CODE: Final = re.compile(r"[a-z]?[0-9]{1,3}[a-z]?|[a-z]")

_PAUSE: Final = re.compile(r"[.;:!?]+(?=\s|$)")


class Language(StrEnum):
    """In what calls are said."""

    VI = "vi"
    EN = "en"


_DIGITS: Final = {
    Language.VI: ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín"),
    Language.EN: ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words for one voice."""

    language: Language
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said of a call: as one text, by voices one after the other, and by clips."""

    text: str
    phrases: tuple[Phrase, ...]
    # Ways to say it with clips, by their keys; the first of which all are there is taken.
    clip_keys: tuple[tuple[str, ...], ...]

    def clips_of(self, there: Collection[str]) -> tuple[str, ...]:
        """Return the clips that say all of it, in order; none when one is missing."""
        return next((keys for keys in self.clip_keys if set(keys) <= set(there)), ())

    def missing(self, there: Collection[str]) -> tuple[str, ...]:
        """Return which clips would have to be added, fewest first; none when all are there."""
        lacks = [tuple(sorted(set(keys) - set(there))) for keys in self.clip_keys]
        return min(lacks, key=len)


def words_of(number: int, counter_id: int, counter_name: str, language: Language) -> Words:
    """Return what is said when a number is called to a counter."""
    shown = number_text(number)
    digits = " ".join(_DIGITS[language][int(each)] for each in shown)
    is_counter, called = _split(sayable(counter_name)[:_CHARACTERS_MAX])
    if language is Language.VI:
        where = f"quầy {called}".strip() if is_counter else called
        phrases: tuple[Phrase, ...] = (Phrase(language, f"Mời số {digits} đến {where}"),)
    else:
        where = "counter" if called else "the counter"
        begin = f"Number {digits}, please go to {where if is_counter else ''}".strip()
        phrases = _in_english(begin, called)
    begins = ("ticket", *shown)
    ways = [(*begins, f"{_COUNTER_KEY}{counter_id}")]
    if _CODE.fullmatch(called.casefold()):
        ways.append((*begins, "counter", *called.casefold()))
    return Words(
        text=" ".join(each.text for each in phrases), phrases=phrases, clip_keys=tuple(ways)
    )


def in_vietnamese(counter_name: str) -> str:
    """Return a counter's name as it stands within a sentence: `Quầy Tư pháp` is `quầy Tư pháp`."""
    word, space, rest = counter_name.partition(" ")
    return f"quầy {rest}" if space and word.casefold() == "quầy" else counter_name


def sayable(text: str) -> str:
    """Return the letters, digits and commas of a text; what else there is means nothing aloud.

    What ends a sentence or a part of it becomes a comma, which voices take as a pause.
    """
    plain = _PAUSE.sub(",", unicodedata.normalize("NFC", text))
    kept = "".join(each if each.isalnum() or each == "," else " " for each in plain)
    return " ".join(kept.split()).strip(" ,")


def is_clip_key(key: str) -> bool:
    """Say whether clips can have this key: a digit, a letter, `ticket`, `counter`, `counter-1`."""
    return _KEY.fullmatch(key) is not None


def counter_of_key(key: str) -> int | None:
    """Return the counter that a clip names, None for one that names none."""
    return int(key.removeprefix(_COUNTER_KEY)) if key.startswith(_COUNTER_KEY) else None


def digest_of(phrases: Iterable[Phrase]) -> str:
    """Return what names these words among all that were spoken."""
    said = "\n".join(f"{each.language}:{each.text}" for each in phrases)
    return hashlib.sha256(said.encode()).hexdigest()


def _split(name: str) -> tuple[bool, str]:
    """Return whether a name is that of a counter by number or word, and what it is called."""
    first, _, rest = name.partition(" ")
    if first.casefold() in _COUNTER_WORDS:
        return True, rest
    return not name or _CODE.fullmatch(name.casefold()) is not None, name


def _in_english(begin: str, called: str) -> tuple[Phrase, ...]:
    """Say a counter's name by a voice of its own language."""
    if called.isascii():
        return (Phrase(Language.EN, f"{begin} {called}".strip()),)
    return Phrase(Language.EN, begin), Phrase(Language.VI, called)
