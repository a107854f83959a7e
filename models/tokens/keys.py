"""One key: how it is made, signs, checks and shows its public half."""

import json
import secrets
from dataclasses import dataclass
from typing import Any, Final, cast

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

# ES256 signs in a tenth of the time; RS256 is what the waiting rooms' contract shows.
ALGORITHMS: Final = ("ES256", "RS256")
_RSA_BITS: Final = 2048
_RSA_EXPONENT: Final = 65_537

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key as it lies in the database."""

    kid: str
    algorithm: str
    private_pem: str
    public_jwk: str
    created_at_ms: int
    signs_from_ms: int


class SigningKey:
    """A key in use."""

    def __init__(self, stored: StoredKey) -> None:
        self.kid: Final = stored.kid
        self.algorithm: Final = stored.algorithm
        self.signs_from_ms: Final = stored.signs_from_ms
        self.public_jwk: Final[dict[str, Any]] = json.loads(stored.public_jwk)
        self._private: Final = cast(
            "_PrivateKey", load_pem_private_key(stored.private_pem.encode(), password=None)
        )
        self._public: Final = self._private.public_key()

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a token that says what `claims` say."""
        headers = {"kid": self.kid}
        return jwt.encode(claims, self._private, algorithm=self.algorithm, headers=headers)

    def check(self, token: str) -> dict[str, Any]:
        """Return what a token of this key says, whatever the time; raises jwt.PyJWTError."""
        options: Any = {
            "verify_exp": False,  # time is an argument, and the ring's to compare
            "verify_nbf": False,
            "verify_iat": False,
            "verify_aud": False,
        }
        return jwt.decode(token, self._public, algorithms=[self.algorithm], options=options)


def make_key(algorithm: str, *, now_ms: int, signs_from_ms: int) -> StoredKey:
    """Make a key of one of ALGORITHMS; blocks, some 0.1 s for RS256."""
    private: _PrivateKey
    if algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    else:
        private = rsa.generate_private_key(_RSA_EXPONENT, _RSA_BITS)
    kid = secrets.token_hex(8)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return StoredKey(
        kid=kid,
        algorithm=algorithm,
        private_pem=pem.decode(),
        public_jwk=json.dumps(_public_jwk(private, algorithm, kid)),
        created_at_ms=now_ms,
        signs_from_ms=signs_from_ms,
    )


def _public_jwk(private: _PrivateKey, algorithm: str, kid: str) -> dict[str, Any]:
    if isinstance(private, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "kid": kid, "use": "sig", "alg": algorithm}
