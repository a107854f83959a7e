"""How long things took, kept as counts of a few lengths: sums of such counts are counts again.

A length is known within 4.5 % by its step, eight of which double it; so a percentile over any
number of minutes costs no more than a few dozen numbers for each.
"""

import math
from collections.abc import Mapping
from typing import Final

_STEPS_PER_DOUBLING: Final = 8


def step_of(length_ms: int) -> int:
    """Return the step of a length; 0 ms is step 0."""
    return round(math.log2(max(0, length_ms) + 1) * _STEPS_PER_DOUBLING)


def length_ms_of(step: int) -> int:
    """Return the length that stands for a step."""
    return round(2 ** (step / _STEPS_PER_DOUBLING) - 1)


def percentile_ms(counts: Mapping[int, int], percent: int) -> int | None:
    """Return the length that `percent` of all do not exceed, within 4.5 %; None of nothing."""
    total = sum(counts.values())
    if not total:
        return None
    below = 0
    step = 0
    for step in sorted(counts):
        below += counts[step]
        if below * 100 >= total * percent:
            break
    return length_ms_of(step)
