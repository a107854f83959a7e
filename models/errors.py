"""The families every refusal belongs to; an edge maps a family, never a leaf.

A leaf class has a `code` in snake case, keeps its facts as fields and makes its sentence in
`__str__`: one line, lower case, no full stop, with the thing, the value and what was expected.
"""

from collections.abc import Mapping


class StanchionError(Exception):
    """Anything the product refuses or cannot do, as opposed to a bug."""

    code = "error"


class InvalidError(StanchionError):
    """The caller's input is wrong; `details` names each field and says what was expected."""

    code = "invalid"

    def __init__(self, details: Mapping[str, str]) -> None:
        super().__init__(dict(details))  # as args, so that the error can be pickled
        self.details = dict(details)

    def __str__(self) -> str:
        return "; ".join(f"{field}: {reason}" for field, reason in self.details.items())


class UnauthenticatedError(StanchionError):
    """Nobody knows who the caller is: a credential is missing or wrong."""

    code = "unauthenticated"


class ForbiddenError(StanchionError):
    """The caller is known and may not do this."""

    code = "forbidden"


class NotFoundError(StanchionError):
    """The thing named by the caller does not exist."""

    code = "not_found"


class ConflictError(StanchionError):
    """The thing exists in a state that does not allow the request."""

    code = "conflict"


class GoneError(StanchionError):
    """The thing existed and is over for good."""

    code = "gone"


class LateError(StanchionError):
    """The answer of another program did not come in time; what was asked may happen yet."""

    code = "late"


class TooLargeError(StanchionError):
    """The input is larger than a named limit."""

    code = "too_large"

    def __init__(self, what: str, size: int, size_max: int) -> None:
        super().__init__(what, size, size_max)
        self.what = what
        self.size = size
        self.size_max = size_max

    def __str__(self) -> str:
        return f"{self.what} must be at most {self.size_max}, got {self.size}"


class LimitError(StanchionError):
    """A named limit on how much may be under way is reached; the caller may try again later."""

    code = "limit"

    def __init__(self, limit: str, limit_max: int, retry_after_s: int = 1) -> None:
        super().__init__(limit, limit_max, retry_after_s)
        self.limit = limit
        self.limit_max = limit_max
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.limit} is at its limit of {self.limit_max}"


class UnavailableError(StanchionError):
    """A store or program that the request needs is away; nothing is known to have changed."""

    code = "unavailable"

    def __init__(self, component: str, reason: str, retry_after_s: int = 1) -> None:
        super().__init__(component, reason, retry_after_s)
        self.component = component
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.component} is unavailable: {self.reason}"

    @property
    def public(self) -> str:
        """Return the sentence for strangers: a driver's words tell of hosts and paths."""
        return f"{self.component} is unavailable"
