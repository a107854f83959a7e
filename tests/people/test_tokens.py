"""Tokens and the keys that sign them: what is accepted, what never, and how keys follow keys."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from models.database import Database
from models.people import jobs
from models.tokens.issuer import Issuer
from models.tokens.keys import ALGORITHMS, make_key
from models.tokens.ring import ExpiredTokenError, InvalidTokenError, KeyRing, UnknownKeyError
from models.tokens.rotation import PUBLISHED_BEFORE_MS, read_keys

NOW_MS = 1_000_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def ring_of(algorithm: str = "ES256") -> KeyRing:
    return KeyRing([make_key(algorithm, now_ms=NOW_MS, signs_from_ms=NOW_MS)])


def sign(ring: KeyRing, algorithm: str = "ES256", **claims: Any) -> str:
    return ring.sign("access", claims, algorithm=algorithm, now_ms=NOW_MS, life_ms=60_000)


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_says_what_was_signed(algorithm: str) -> None:
    ring = ring_of(algorithm)

    claims = ring.check(sign(ring, algorithm, sub="7"), "access", now_ms=NOW_MS)

    now_s = NOW_MS // 1000
    times = {"iat": now_s, "nbf": now_s, "exp": now_s + 60}
    assert claims == {"sub": "7", "typ": "access"} | times


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_anybody_can_check_a_token_with_the_published_key(algorithm: str) -> None:
    ring = ring_of(algorithm)
    token = sign(ring, algorithm, sub="7")

    keys = jwt.PyJWKSet.from_dict(json.loads(json.dumps(ring.jwks())))
    key = keys[jwt.get_unverified_header(token)["kid"]]

    options = {"verify_exp": False}
    assert jwt.decode(token, key, algorithms=[algorithm], options=options)["sub"] == "7"
    assert "d" not in ring.jwks()["keys"][0]


def test_a_token_ends() -> None:
    ring = ring_of()
    token = sign(ring)

    ring.check(token, "access", now_ms=NOW_MS + 59_999)
    with pytest.raises(ExpiredTokenError):
        ring.check(token, "access", now_ms=NOW_MS + 60_000)


def test_a_token_of_another_kind_is_refused() -> None:
    ring = ring_of()

    with pytest.raises(InvalidTokenError):
        ring.check(sign(ring), "queue", now_ms=NOW_MS)


def test_a_changed_token_is_refused() -> None:
    ring = ring_of()
    header, claims, signature = sign(ring, sub="7").split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    other = segment(json.dumps(said | {"sub": "1"}).encode())

    with pytest.raises(InvalidTokenError):
        ring.check(f"{header}.{other}.{signature}", "access", now_ms=NOW_MS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("claimed", ["none", "None", "HS256", "HS512", "RS256", "ES256", "PS256"])
def test_the_algorithm_is_the_keys_and_not_the_tokens(algorithm: str, claimed: str) -> None:
    ring = ring_of(algorithm)
    if claimed == algorithm:
        return
    [public] = ring.jwks()["keys"]
    header = segment(json.dumps({"alg": claimed, "kid": public["kid"], "typ": "JWT"}).encode())
    exp = NOW_MS // 1000 + 60
    claims = segment(json.dumps({"sub": "1", "ver": 1, "typ": "access", "exp": exp}).encode())
    # What who knows the public key can make: an HMAC keyed with it, or no signature at all.
    secrets = [b"", json.dumps(public).encode(), jwt.PyJWK(public).key.public_bytes(*PEM)]
    signed = f"{header}.{claims}".encode()
    digest = hashlib.sha512 if claimed == "HS512" else hashlib.sha256
    forged = [segment(hmac.new(secret, signed, digest).digest()) for secret in secrets]

    for signature in (*forged, ""):
        with pytest.raises(InvalidTokenError):
            ring.check(f"{header}.{claims}.{signature}", "access", now_ms=NOW_MS)


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "..", "é.é.é", "x" * 5_000, "e30.e30.e30", "\x00", "bnVsbA.e30."]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        ring_of().check(token, "access", now_ms=NOW_MS)


def test_a_token_of_another_house_is_refused() -> None:
    with pytest.raises(UnknownKeyError):
        ring_of().check(sign(ring_of()), "access", now_ms=NOW_MS)


# Keys after keys -----------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


def rotate(database: Database, now_ms: int) -> tuple[int, int]:
    return jobs.rotate(database, rotate_after_ms=3 * DAY_MS, token_ms=DAY_MS, now_ms=now_ms)


async def test_the_first_key_is_made_when_it_is_needed(database: Database) -> None:
    clock = Clock()
    issuer = Issuer(database, clock=clock)

    assert await issuer.jwks() == {"keys": []}
    token = await issuer.issue("access", {"sub": "7"}, life_ms=60_000)

    other_process = Issuer(database, clock=clock)
    assert (await other_process.check(token, "access"))["sub"] == "7"


async def test_a_process_learns_of_a_new_key_by_a_token_of_it(database: Database) -> None:
    clock = Clock()
    late = Issuer(database, clock=clock)
    await late.jwks()
    token = await Issuer(database, clock=clock).issue("access", {}, life_ms=60_000)
    with pytest.raises(InvalidTokenError):  # it has asked this very second
        await late.check(token, "access")

    clock.now_ms += 1_000

    await late.check(token, "access")


async def test_keys_follow_each_other_and_no_token_falls_between(database: Database) -> None:
    clock = Clock()
    issuer = Issuer(database, clock=clock)
    await issuer.issue("access", {}, life_ms=DAY_MS)
    tokens: list[tuple[int, str]] = []
    published: set[str] = set()
    for _ in range(24 * 9):  # nine days, hour by hour
        rotate(database, clock.now_ms)
        ahead = {key["kid"] for key in (await Issuer(database, clock=clock).jwks())["keys"]}
        token = await issuer.issue("access", {}, life_ms=DAY_MS)
        if len(tokens) > 0:
            # Whoever read the set an hour ago can check what is signed now.
            assert jwt.get_unverified_header(token)["kid"] in published
        published = ahead
        tokens = [(end, each) for end, each in tokens if end > clock.now_ms]
        for _, each in (*tokens[:1], *tokens[-1:]):
            await issuer.check(each, "access")
        tokens.append((clock.now_ms + DAY_MS, token))
        assert len(ahead) <= 2
        clock.now_ms += HOUR_MS

    with database.begin() as connection:
        [newest] = read_keys(connection)[-1:]
    assert newest.created_at_ms > NOW_MS + 6 * DAY_MS


def test_rotation_makes_no_key_where_nobody_signs(database: Database) -> None:
    assert rotate(database, NOW_MS) == (0, 0)


async def test_a_successor_is_published_before_it_signs(database: Database) -> None:
    clock = Clock()
    issuer = Issuer(database, clock=clock)
    await issuer.issue("access", {}, life_ms=60_000)
    clock.now_ms += 3 * DAY_MS

    assert rotate(database, clock.now_ms) == (1, 0)
    assert rotate(database, clock.now_ms) == (0, 0)
    jwks = await issuer.jwks()
    old = await issuer.issue("access", {}, life_ms=60_000)
    clock.now_ms += PUBLISHED_BEFORE_MS
    new = await issuer.issue("access", {}, life_ms=60_000)

    kids = [jwt.get_unverified_header(token)["kid"] for token in (new, old)]
    assert [key["kid"] for key in jwks["keys"]] == kids
