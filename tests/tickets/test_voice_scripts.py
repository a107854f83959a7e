"""What was spoken, in Redis: kept for displays, and bounded."""

import redis

from models.tickets import voice_scripts
from models.tickets.speech import Language, Phrase


def test_no_more_is_kept_than_may_be(redis_client: redis.Redis) -> None:
    phrases = [[Phrase(Language.VI, str(number))] for number in range(5)]

    for at_ms, each in enumerate(phrases):
        voice_scripts.keep(redis_client, each, b"RIFF", kept_max=3, now_ms=1_000 + at_ms)

    kept = [voice_scripts.kept(redis_client, each) for each in phrases]
    assert kept == [None, None, b"RIFF", b"RIFF", b"RIFF"]
    assert redis_client.zcard("tickets:voices") == 3


def test_what_could_not_be_spoken_is_no_sound(redis_client: redis.Redis) -> None:
    phrases = [Phrase(Language.VI, "một")]

    voice_scripts.keep(redis_client, phrases, None, kept_max=3, now_ms=1_000)

    assert voice_scripts.kept(redis_client, phrases) is None
    assert redis_client.zcard("tickets:voices") == 0
