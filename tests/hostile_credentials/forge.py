"""The installation under attack, and what credentials are forged with: all is right but what a row makes wrong."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from workers.database import Database
from workers.security import api_keys, revocations
from workers.security.tokens import Tokens

FORM, CANON = "not three parts", "not canonical"
JSON, OBJECT = "not UTF-8 JSON with unique names", "not a JSON object"
ALG, KID, SIGNATURE = "^alg is not", "no key of this kid", "^the signature"

RSA, EC, ED = (
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    ed25519.Ed25519PrivateKey.generate(),
)

FOREIGN_RSA, FOREIGN_EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())

KIDS = {"RS256": "rsa", "ES256": "ec", "EdDSA": "ed"}

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493

Signer = Callable[[bytes], bytes]


class Row(NamedTuple):
    """A credential's name, why it is refused (empty for one that is let in), and how it is made.

    `reason` is a pattern of what the refusal says in our logs: no row passes for another reason than its own.
    """

    name: str
    reason: str
    build: Callable[[World], str]


class World:
    """An installation with its secrets, its key file, and API keys of every fate."""

    def __init__(self, database: Database, secrets: tuple[str, ...], jwks: Path) -> None:
        self.secrets, self.jwks = secrets, jwks
        keys = {"RS256": RSA, "ES256": EC, "EdDSA": ED}
        public = [public_jwk(algorithm, key, KIDS[algorithm]) for algorithm, key in keys.items()]
        jwks.write_text(json.dumps({"keys": public}))
        self.tokens = Tokens(secrets, issuer="luna", audience="luna", jwks=jwks)
        now = datetime.now(UTC)
        hour, second = timedelta(hours=1), timedelta(seconds=1)
        scopes = frozenset({"events:write"})
        with database.write() as connection:

            def key(expires_at: datetime = now + hour) -> tuple[str, str]:
                return api_keys.create(connection, "shop", scopes, None, expires_at, now)

            self.good, (_, self.expired) = key()[1], key(now - second)
            revoked, self.revoked = key()
            api_keys.revoke(connection, revoked, now)
            over, self.over = key()
            api_keys.rotate(connection, over, now - second, now - hour)
            within, self.within = key()
            self.rotated = api_keys.rotate(connection, within, now + hour, now)
            twice, self.before_last = key()
            for _ in range(2):
                api_keys.rotate(connection, twice, now + hour, now)
            self.deleted = key(now - hour)[1]
            api_keys.purge(connection, now - hour + second)
            revocations.revoke(connection, "revoked", now + hour, now)
            self.nameless = signed(self, "ES256", claims={"sub": "nameless"})
            revocations.revoke(connection, self.tokens.verify(self.nameless).id, now + hour, now)


def public_jwk(algorithm: str, key: Any, kid: str) -> dict[str, Any]:
    made: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid}


def b64(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def hs256(secret: str | bytes, digest: str = "sha256") -> Signer:
    key = secret.encode() if isinstance(secret, str) else secret
    return lambda message: hmac.digest(key, message, digest)


def rs256(message: bytes) -> bytes:
    return RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())


def es256(message: bytes) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(es256_der(message)))


def es256_der(message: bytes) -> bytes:
    return EC.sign(message, ec.ECDSA(hashes.SHA256()))


SIGNERS: dict[str, Signer] = {"RS256": rs256, "ES256": es256, "EdDSA": ED.sign}


def good_claims() -> dict[str, Any]:
    now = int(time.time())
    return {"sub": "shop", "iss": "luna", "aud": "luna", "iat": now, "exp": now + 600, "scope": "events:write"}


def raw(header: bytes, payload: bytes, sign: Signer) -> str:
    """A token of exactly these bytes, signed."""
    message = f"{b64(header)}.{b64(payload)}"
    return f"{message}.{b64(sign(message.encode()))}"


def signed(
    world: World,
    algorithm: str = "HS256",
    *,
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    without: str = "",
    sign: Signer | None = None,
) -> str:
    """A good token but for these members and this signature."""
    named: dict[str, Any] = {"alg": algorithm, "typ": "JWT"}
    if algorithm in KIDS:
        named["kid"] = KIDS[algorithm]
    whole = {**good_claims(), **(claims or {})}
    whole.pop(without, None)
    by = sign or SIGNERS.get(algorithm) or hs256(world.secrets[0])
    return raw(json.dumps({**named, **(header or {})}).encode(), json.dumps(whole).encode(), by)


def with_header(members: str) -> Callable[[World], str]:
    """Signed with our secret, the header being this text."""
    return lambda world: raw(members.encode(), json.dumps(good_claims()).encode(), hs256(world.secrets[0]))


def with_payload(payload: bytes) -> Callable[[World], str]:
    """Signed with our secret, the payload being these bytes."""
    return lambda world: raw(b'{"alg":"HS256"}', payload, hs256(world.secrets[0]))


def with_members(members: str) -> Callable[[World], str]:
    """Good claims, and this text at their end, so that a member can be wrong JSON or stand twice."""
    return with_payload(json.dumps(good_claims())[:-1].encode() + f", {members}}}".encode())


def with_claim(name: str, value: Any) -> Callable[[World], str]:
    return lambda world: signed(world, claims={name: value})


def with_text(name: str, text: str) -> Callable[[World], str]:
    """A claim whose value is this piece of JSON text."""

    def build(world: World) -> str:
        claims = {each: value for each, value in good_claims().items() if each != name}
        return with_payload(f"{json.dumps(claims)[:-1]}, {json.dumps(name)}: {text}}}".encode())(world)

    return build


def with_signature(algorithm: str, change: Callable[[bytes], bytes]) -> Callable[[World], str]:
    """The right signature, changed."""
    return lambda world: resigned(signed(world, algorithm), change)


def resigned(token: str, change: Callable[[bytes], bytes]) -> str:
    """The token with its signature changed."""
    message, _, signature = token.rpartition(".")
    right = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    return f"{message}.{b64(change(right))}"


def second_form(right: bytes) -> bytes:
    """The other signature that is as right: (r, n - s) for (r, s)."""
    return right[:32] + (P256_ORDER - int.from_bytes(right[32:], "big")).to_bytes(32, "big")


def changed(change: Callable[[str], str]) -> Callable[[World], str]:
    """A good token, changed as a text."""
    return lambda world: change(signed(world))


def changed_key(change: Callable[[str], str]) -> Callable[[World], str]:
    """A good API key, changed as a text."""
    return lambda world: change(world.good)


def parts(change: Callable[[str, str, str], str]) -> Callable[[World], str]:
    return changed(lambda token: change(*token.split(".")))


def pem(key: Any) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    written: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, spki)
    return written


def der(key: Any) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    written: bytes = key.public_key().public_bytes(serialization.Encoding.DER, spki)
    return written


def foreign(message: bytes) -> bytes:
    return FOREIGN_RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())
