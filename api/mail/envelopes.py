"""The envelopes of the mail contract: what was asked for, a page of it, a refusal."""

import math
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

Data = TypeVar("Data")

encode: Final = msgspec.json.Encoder().encode


class MailSuccess(Struct, Generic[Data], frozen=True, kw_only=True):
    """What was asked for."""

    success: bool = True
    data: Data


class MailMeta(Struct, frozen=True):
    """Which page of how many."""

    page: int
    per_page: int
    total: int
    total_pages: int


class MailPageOf(MailSuccess[Data], Generic[Data], frozen=True, kw_only=True):
    """A page of what was asked for."""

    meta: MailMeta


class MailError(Struct, frozen=True, kw_only=True):
    """A refusal; `data` names the fields that are wrong."""

    success: bool = False
    error: str


def meta(total: int, page: int, per_page: int) -> MailMeta:
    """Return which page of how many it is."""
    return MailMeta(page, per_page, total, math.ceil(total / per_page))
