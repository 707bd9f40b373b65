"""Public keys of whoever else issues tokens: a file with a JSON Web Key Set (RFC 7517), read again when it changes.

The operator puts it there; nothing is fetched. Each key is bound to one algorithm by its own kind, never by a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import structlog
from jwt.algorithms import Algorithm

from workers.errors import SettingsError
from workers.security.callers import InvalidCredentialError
from workers.security.compact import json_object

ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""The one algorithm of each kind (`kty`, `crv`) of key."""
MIN_RSA_BITS = 2048
MAX_FILE_BYTES = 1_000_000
SECRET_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}  # RFC 7518, 6: what only a private key has, or a secret

log = structlog.get_logger(__name__)


class Key(NamedTuple):
    """A key that verifies, and the one algorithm it is for."""

    algorithm: str
    verifier: Algorithm
    key: Any

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's."""
        return self.verifier.verify(message, self.key, signature)


class KeyFile:
    """The keys of a JWKS file by `kid`; without a path there are none. Building one reads the file.

    Raises SettingsError for a file with a key that must not be there or no usable one.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._state()
        self.keys: Mapping[str, Key] = read(path) if path else {}

    def refresh(self) -> bool:
        """Read the file again if it has changed; whether the keys are other ones now.

        A file that cannot be used leaves the keys as they were, and is logged once.
        """
        state = self._state()
        if self._path is None or state == self._seen:
            return False
        self._seen = state
        try:
            self.keys = read(self._path)
        except SettingsError as error:
            log.warning("jwks.refused", reason=str(error))
            return False
        log.info("jwks.read", kids=sorted(self.keys))
        return True

    def _state(self) -> tuple[int, ...] | None:
        """What changes when the file does, also when it is replaced by one of the same age."""
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None


def read(path: Path) -> dict[str, Key]:
    """The keys in the file. Raises SettingsError. Keys for other ends than these signatures are left out."""
    try:
        with path.open("rb") as file:
            document = json_object(file.read(MAX_FILE_BYTES), "file")
    except OSError as error:
        raise _wrong(f"{path} cannot be read ({error.strerror})") from None
    except InvalidCredentialError as error:
        raise _wrong(f"{path}: {error}") from None
    listed = document.get("keys")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise _wrong(f"{path} is not a JSON Web Key Set, an object whose `keys` is a list of objects")
    for each in listed:
        _refuse_secret(each)
    used = [each for each in listed if _is_for_us(each)]
    keys = {_kid(each): _key(each) for each in used}
    if len(keys) != len(used):
        raise _wrong("two keys have the same kid")
    if not keys:
        raise _wrong(f"{path} holds no key for RS256, ES256 or EdDSA signatures")
    return keys


def _refuse_secret(jwk: Mapping[str, Any]) -> None:
    if SECRET_MEMBERS & jwk.keys():
        raise _wrong("a key in it is private or symmetric; it must hold public keys only")


def _is_for_us(jwk: Mapping[str, Any]) -> bool:
    """Whether it verifies signatures of a kind that we take; sets hold others too (RFC 7517, 5)."""
    algorithm = _algorithm(jwk)
    operations = jwk.get("key_ops", ["verify"])
    return (
        algorithm is not None
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _algorithm(jwk: Mapping[str, Any]) -> str | None:
    kty, crv = jwk.get("kty"), jwk.get("crv")
    return ALGORITHMS.get((kty, crv)) if isinstance(kty, str) and isinstance(crv, str | None) else None


def _kid(jwk: Mapping[str, Any]) -> str:
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise _wrong("a key has no kid; tokens name their key by it")
    return kid


def _key(jwk: Mapping[str, Any]) -> Key:
    algorithm = str(_algorithm(jwk))
    try:
        made = jwt.PyJWK(dict(jwk), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):  # the reason repeats the key
        raise _wrong(f"the key {_kid(jwk)!r} is no valid {jwk['kty']} key") from None
    if algorithm == "RS256" and made.key.key_size < MIN_RSA_BITS:
        raise _wrong(f"the key {_kid(jwk)!r} is shorter than {MIN_RSA_BITS} bits")
    return Key(algorithm, made.Algorithm, made.key)


def _wrong(detail: str) -> SettingsError:
    return SettingsError(f"JWT_JWKS_FILE: {detail}")
