"""What a check says."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from models.settings import Settings


class Level(StrEnum):
    """How bad a finding is; only a fault makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact, and what to do about it."""

    level: Level
    subject: str
    fact: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f": {self.advice}" if self.advice else ""
        return f"{self.level:<5}  {self.subject:<8}  {self.fact}{advice}"


Check = Callable[[Settings, Mapping[str, str]], Iterator[Finding]]


def ok(subject: str, fact: str) -> Finding:
    """Return what is as it should be."""
    return Finding(level=Level.OK, subject=subject, fact=fact)


def warn(subject: str, fact: str, advice: str) -> Finding:
    """Return what works and should not stay so."""
    return Finding(level=Level.WARN, subject=subject, fact=fact, advice=advice)


def fault(subject: str, fact: str, advice: str) -> Finding:
    """Return what does not work, or is not safe."""
    return Finding(level=Level.FAULT, subject=subject, fact=fact, advice=advice)
