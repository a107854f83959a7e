"""What `stanchion tickets` takes; apart from what it does, which is heavy."""

import argparse
from collections.abc import Callable
from typing import Final

# Reports take 92 days, of which two are for clocks on the other side of the world.
_DAYS_MAX: Final = 90
_DAY_HOURS: Final = 24.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the actions on tickets."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    said = "show what each priority policy would do to waits, before it is switched"
    simulate = actions.add_parser("simulate", help=said, description=said)
    simulate.add_argument("--branch", type=int, metavar="ID", help="default: the first hall")
    simulate.add_argument("--counter", type=int, metavar="ID", help="default: all of the hall")
    simulate.add_argument(
        "--days", type=_days, default=14, metavar="N", help="how many, default: %(default)s"
    )
    simulate.add_argument("--seed", type=int, default=1, help="of what is random, default: 1")
    simulate.add_argument("--json", action="store_true", help="answer in JSON")
    figures = simulate.add_argument_group(
        "a counter without a history", "instead of what was measured: one counter by its figures"
    )
    positive = _within(0.01, 1_000)
    figures.add_argument("--arrivals-per-hour", type=positive, metavar="N")
    figures.add_argument("--service-minutes", type=positive, metavar="N", help="mean, with a call")
    figures.add_argument(
        "--priority-share",
        type=_within(0, 1),
        default=0.2,
        metavar="SHARE",
        help="of those who come, default: %(default)s",
    )
    figures.add_argument(
        "--hours", type=_within(0.01, _DAY_HOURS), default=8, help="of a day, default: %(default)s"
    )


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= _DAYS_MAX:
        raise argparse.ArgumentTypeError(f"expected 1 to {_DAYS_MAX}")
    return days


def _within(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        found = float(text)
        if not low <= found <= high:
            raise argparse.ArgumentTypeError(f"expected {low:g} to {high:g}")
        return found

    read.__name__ = "number"  # as argparse names what it cannot read
    return read
