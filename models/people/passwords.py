"""Passwords, as argon2id keeps them."""

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# 19 MiB, two passes, one lane: some 20 ms. Source: OWASP's password storage cheat sheet.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Of no password that anybody can send; so an unknown user takes as long as a known one.
_NOBODY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$TnVsbGl0eSBoYXMgbm8ga2V5$"
    "3QKkG5kQv3rYcXbJ6Jr7Jz0Gm6b5uWnJ1mX0yqv8Y1s"
)


def hash_password(password: str) -> str:
    """Return what is stored of a password; blocks some 20 ms."""
    return _HASHER.hash(password)


def is_password(password_hash: str | None, password: str) -> bool:
    """Say whether a password is the one that was hashed; takes as long when there is none."""
    try:
        matches = _HASHER.verify(password_hash or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return matches and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Say whether a hash was made with less effort than today's."""
    return _HASHER.check_needs_rehash(password_hash)
