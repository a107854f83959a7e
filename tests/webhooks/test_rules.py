"""The arithmetic of pauses and rests, whatever the numbers."""

from hypothesis import given
from hypothesis import strategies as st

from models.webhooks.rules import (
    DELAY_MAX_S,
    FAILURES_MAX,
    REST_MAX_MS,
    REST_MIN_MS,
    Answer,
    Health,
    Verdict,
    WebhookSettings,
    delay_ms,
    health_after,
)

URL = "https://example.com"
SECONDS = st.integers(1, DELAY_MAX_S)


@given(SECONDS, SECONDS, st.integers(1, 10_000), st.floats(0, 1), st.none() | st.integers(0, 10**9))
def test_pause_keeps_its_bounds(
    backoff_s: int, backoff_max_s: int, attempt: int, jitter: float, retry_after_s: int | None
) -> None:
    settings = WebhookSettings(url=URL, backoff_s=backoff_s, backoff_max_s=backoff_max_s)

    pause_ms = delay_ms(settings, attempt=attempt, jitter=jitter, retry_after_s=retry_after_s)

    assert 500 <= min(backoff_s, backoff_max_s) * 500 <= pause_ms <= DELAY_MAX_S * 1000
    assert pause_ms <= max(backoff_max_s, min(retry_after_s or 0, DELAY_MAX_S)) * 1000
    assert pause_ms >= min(retry_after_s or 0, DELAY_MAX_S) * 1000


def test_pause_doubles_up_to_its_end_and_jitter_takes_up_to_half() -> None:
    settings = WebhookSettings(url=URL, backoff_s=5, backoff_max_s=30)
    pauses = [
        [
            delay_ms(settings, attempt=attempt, jitter=jitter, retry_after_s=None)
            for attempt in (1, 2, 3, 4, 99)
        ]
        for jitter in (0, 1)
    ]

    assert pauses == [
        [5_000, 10_000, 20_000, 30_000, 30_000],
        [2_500, 5_000, 10_000, 15_000, 15_000],
    ]


def test_rest_doubles_up_to_its_end_and_one_success_ends_it() -> None:
    health, now_ms, rests = Health(), 0, []
    for _ in range(20):
        health = health_after(health, Verdict.FAILED, now_ms=now_ms)
        rests.append(max(0, health.rests_until_ms - now_ms))
        now_ms = max(now_ms, health.rests_until_ms)

    assert rests[: FAILURES_MAX + 2] == [
        *[0] * (FAILURES_MAX - 1),
        REST_MIN_MS,
        2 * REST_MIN_MS,
        4 * REST_MIN_MS,
    ]
    assert rests[-1] == REST_MAX_MS
    assert health_after(health, Verdict.DELIVERED, now_ms=now_ms) == Health()


def test_failures_during_a_rest_are_of_the_same_try() -> None:
    resting = Health(failures=FAILURES_MAX, rests_until_ms=1_000)

    assert health_after(resting, Verdict.FAILED, now_ms=999) == resting


def test_answers_mean_what_the_specification_says() -> None:
    def verdict(status: int | None, error: str | None = None) -> Verdict:
        return Answer(status=status, error=error).verdict

    assert {verdict(status) for status in range(200, 300)} == {Verdict.DELIVERED}
    assert {verdict(status) for status in (301, 400, 404, 429, 500, 503)} == {Verdict.FAILED}
    assert verdict(None, "no answer") is Verdict.FAILED
    assert verdict(410) is Verdict.GONE
