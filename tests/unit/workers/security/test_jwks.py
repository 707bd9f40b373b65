from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from structlog.testing import capture_logs

from workers.errors import SettingsError
from workers.security.callers import InvalidCredentialError
from workers.security.jwks import KeyFile
from workers.security.tokens import Tokens
from workers.settings import Settings

RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
WEAK_RSA = rsa.generate_private_key(65537, 1024)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PRIVATE: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}
CLAIMS = {"sub": "shop", "iss": "luna", "aud": "luna", "exp": time.time() + 600}


def jwk(key: Any, kid: str = "k", **members: Any) -> dict[str, Any]:
    """The key as a set holds it; None leaves a member out."""
    kind = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256", ed25519.Ed25519PrivateKey: "EdDSA"}
    algorithm = next((name for type_, name in kind.items() if isinstance(key, type_)), "RS256")
    made: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    whole = {**made, "kid": kid, **members}
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jwks.json"


def write(path: Path, *keys: Any, **others: Any) -> Path:
    path.write_text(json.dumps({"keys": list(keys), **others}))
    return path


def tokens(path: Path) -> Tokens:
    return Tokens(["s" * 32], issuer="luna", audience="luna", jwks=path)


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_token_of_each_kind_of_key_holds(path: Path, algorithm: str) -> None:
    write(path, *(jwk(key, name) for name, key in PRIVATE.items()))
    token = jwt.encode(CLAIMS, PRIVATE[algorithm], algorithm, {"kid": algorithm})
    assert tokens(path).verify(token).caller.subject == "shop"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_a_key_is_for_one_algorithm_whatever_else_it_could_do(path: Path, algorithm: str) -> None:
    write(path, jwk(RSA))
    with pytest.raises(InvalidCredentialError, match="alg is not that of the key"):
        tokens(path).verify(jwt.encode(CLAIMS, RSA, algorithm, {"kid": "k"}))


def test_another_key_of_the_set_is_not_tried(path: Path) -> None:
    write(path, jwk(RSA, "one"), jwk(OTHER_RSA, "two"))
    with pytest.raises(InvalidCredentialError, match="signature"):
        tokens(path).verify(jwt.encode(CLAIMS, RSA, "RS256", {"kid": "two"}))


def test_a_token_without_kid_is_for_our_own_secrets_only(path: Path) -> None:
    write(path, jwk(RSA))
    with pytest.raises(InvalidCredentialError, match="alg is not that of the key"):
        tokens(path).verify(jwt.encode(CLAIMS, RSA, "RS256"))
    assert tokens(path).verify(jwt.encode(CLAIMS, "s" * 32, "HS256")).caller.subject == "shop"


def test_one_of_our_own_with_a_kid_is_for_the_key_of_that_name_only(path: Path) -> None:
    write(path, jwk(RSA))
    for kid in ("k", "unknown"):
        with pytest.raises(InvalidCredentialError, match=r"alg is not|no key of this kid"):
            tokens(path).verify(jwt.encode(CLAIMS, "s" * 32, "HS256", {"kid": kid}))


SECRET_JWK = {"kty": "oct", "kid": "k", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
REFUSED: dict[str, tuple[list[Any], str]] = {
    "a weak key": ([jwk(WEAK_RSA)], "shorter than 2048 bits"),
    "a weak key beside a good one": ([jwk(RSA, "good"), jwk(WEAK_RSA)], "shorter than 2048 bits"),
    "a private RSA key": ([jwk(RSA, d="AQAB")], "private or symmetric"),
    "a private EC key": ([json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(EC))], "private or symmetric"),
    "a private Ed25519 key": ([json.loads(jwt.get_algorithm_by_name("EdDSA").to_jwk(ED))], "private or symmetric"),
    "a private key for another end": ([jwk(EC, use="enc", d="AQAB"), jwk(RSA, "good")], "private or symmetric"),
    "a secret": ([SECRET_JWK], "private or symmetric"),
    "a secret beside a good key": ([jwk(RSA, "good"), SECRET_JWK], "private or symmetric"),
    "two of one name": ([jwk(RSA), jwk(EC)], "same kid"),
    "one without a name": ([jwk(RSA, kid=None)], "no kid"),
    "an empty name": ([jwk(RSA, kid="")], "no kid"),
    "a name that is a number": ([jwk(RSA, kid=1)], "no kid"),
    "an exponent of one": ([jwk(RSA, e="AQ")], "no valid RSA key"),
    "an even exponent": ([jwk(RSA, e="Ag")], "no valid RSA key"),
    "no modulus": ([jwk(RSA, n=None)], "no valid RSA key"),
    "a modulus that is a number": ([jwk(RSA, n=7)], "no valid RSA key"),
    "a point off the curve": ([jwk(EC, y="A" * 43)], "no valid EC key"),
    "a short point": ([jwk(ED, x="AAAA")], "no valid OKP key"),
    "nothing": ([], "holds no key"),
    "only keys for other ends": ([jwk(RSA, use="enc"), jwk(EC, "e", alg="ES512")], "holds no key"),
    "what is no key": (["k"], "not a JSON Web Key Set"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_must_not_be_used_is_refused_by_the_name_of_its_variable(path: Path, name: str) -> None:
    keys, reason = REFUSED[name]
    with pytest.raises(SettingsError, match=f"^JWT_JWKS_FILE: .*{reason}"):
        tokens(write(path, *keys))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [], "keys": []}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_key_set_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^JWT_JWKS_FILE: "):
        tokens(path)


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^JWT_JWKS_FILE: .* cannot be read \(No such file"):
        tokens(path)


def test_a_refusal_repeats_no_key(path: Path) -> None:
    for keys in ([SECRET_JWK], [jwk(RSA, d="hunter2")], [jwk(ED, x="hunter2")]):
        with pytest.raises(SettingsError) as refusal:
            tokens(write(path, *keys))
        assert "hunter2" not in str(refusal.value)
        assert SECRET_JWK["k"] not in str(refusal.value)


@pytest.mark.parametrize(
    "other",
    [
        jwk(OTHER_RSA, "other", use="enc"),
        jwk(OTHER_RSA, "other", alg="RS512"),
        jwk(OTHER_RSA, "other", key_ops=["encrypt"]),
        jwk(OTHER_RSA, "other", key_ops="verify"),
        {"kty": "EC", "crv": "P-521", "kid": "other", "x": "", "y": ""},
        {"kty": "OKP", "crv": "X25519", "kid": "other", "x": ""},
        {"kty": ["RSA"], "kid": "other"},
        {"kid": "other"},
    ],
)
def test_keys_for_other_ends_are_left_out(path: Path, other: dict[str, Any]) -> None:
    assert set(KeyFile(write(path, jwk(RSA, use="sig", alg="RS256", key_ops=["verify"]), other)).keys) == {"k"}


def test_a_changed_file_changes_the_keys(path: Path) -> None:
    checked = tokens(write(path, jwk(RSA, "old")))
    old, new = (jwt.encode(CLAIMS, key, "RS256", {"kid": kid}) for key, kid in ((RSA, "old"), (OTHER_RSA, "new")))
    checked.verify(old)
    assert not checked.key_file.refresh()
    write(path, jwk(OTHER_RSA, "new"))
    assert checked.key_file.refresh()
    checked.verify(new)
    with pytest.raises(InvalidCredentialError, match="no key"):
        checked.verify(old)


def test_a_file_that_is_replaced_by_one_of_the_same_age_and_size_is_read(path: Path) -> None:
    file = KeyFile(write(path, jwk(RSA, "old")))
    before = path.stat()
    beside = write(path.with_suffix(".new"), jwk(RSA, "new"))
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    beside.replace(path)
    assert file.refresh()
    assert set(file.keys) == {"new"}


@pytest.mark.parametrize("breaks", ["broken", "weak", "gone"])
def test_a_broken_new_file_leaves_the_old_keys_and_is_logged_once(path: Path, breaks: str) -> None:
    file = KeyFile(write(path, jwk(RSA)))
    if breaks == "gone":
        path.unlink()
    else:
        path.write_text("{") if breaks == "broken" else write(path, jwk(WEAK_RSA))
    with capture_logs() as lines:
        assert not file.refresh()
        assert not file.refresh()
    assert set(file.keys) == {"k"}
    assert [line["event"] for line in lines] == ["jwks.refused"]
    assert lines[0]["reason"].startswith("JWT_JWKS_FILE: ")
    write(path, jwk(OTHER_RSA, "mended"))
    assert file.refresh()
    assert set(file.keys) == {"mended"}


def test_without_a_file_there_are_no_keys() -> None:
    file = KeyFile(None)
    assert (dict(file.keys), file.refresh()) == ({}, False)


@pytest.mark.parametrize("key", [RSA, EC, ED])
def test_a_public_key_is_no_secret(key: Any) -> None:
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem.decode(), json.dumps(jwk(key))):
        with pytest.raises(SettingsError, match=r"^JWT_SECRET: is a key or certificate"):
            Tokens([secret], issuer="luna", audience="luna")


def test_the_file_is_the_one_that_the_settings_name(path: Path) -> None:
    settings = Settings.model_validate({"JWT_SECRET": "s" * 32, "JWT_JWKS_FILE": str(write(path, jwk(RSA, "mine")))})
    assert set(Tokens.configured(settings).key_file.keys) == {"mine"}
