"""What the resources of mail share: what they stand on, who may ask, and how they refuse."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from api.mail.envelopes import MailError
from api.openapi.operations import Answer
from models.errors import InvalidError

Service = TypeVar("Service")

_NUMBER_MAX: Final = 1 << 62  # more than a database counts to
USERS: Final = ("Session", "Bearer")
INVALID: Final = Answer(description="A parameter is wrong", body=MailError)
NO_MESSAGE: Final = Answer(description="No host has such a message", body=MailError)
REFUSALS: Final[Mapping[int, Answer]] = {
    401: Answer(description="Nobody is logged in", body=MailError),
    403: Answer(description="The user's role does not reach this far", body=MailError),
}
# Of what takes a query or a body, and of what is about one message.
OF_VALUES: Final[Mapping[int, Answer]] = {400: INVALID, **REFUSALS}
OF_MESSAGE: Final[Mapping[int, Answer]] = {400: INVALID, 404: NO_MESSAGE, **REFUSALS}


def number_of(text: str, fault: str) -> int:
    """Return the number that a path names something by; raises InvalidError."""
    if not (text.isascii() and text.isdecimal() and int(text) < _NUMBER_MAX):
        raise InvalidError({"id": fault})
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground(Generic[Service]):
    """What the resources of a service stand on."""

    service: Service
    body_bytes_max: int
    now_ms: Callable[[], int]


class MailResource(Generic[Service]):
    """A resource of mail."""

    def __init__(self, ground: Ground[Service]) -> None:
        self.body_bytes_max = ground.body_bytes_max
        self._service: Final = ground.service
        self._now_ms: Final = ground.now_ms
