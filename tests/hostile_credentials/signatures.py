"""Hostile signatures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tests.hostile_credentials.forge import (
    ED25519_ORDER,
    FOREIGN_EC,
    P256_ORDER,
    RSA,
    SIGNATURE,
    Row,
    b64,
    es256_der,
    hs256,
    parts,
    signed,
    with_signature,
)


def signatures() -> Iterator[Row]:
    for algorithm, size in (("HS256", 32), ("RS256", 256), ("ES256", 64), ("EdDSA", 64)):
        for name, change in {
            "one byte short": lambda right: right[:-1],
            "half": lambda right: right[: len(right) // 2],
            "twice": lambda right: right * 2,
            "one byte more": lambda right: right + b"\0",
            "one byte before": lambda right: b"\0" + right,
            "its last bit changed": lambda right: right[:-1] + bytes([right[-1] ^ 1]),
            "its first bit changed": lambda right: bytes([right[0] ^ 128]) + right[1:],
            "backwards": lambda right: right[::-1],
            "in hexadecimal": lambda right: right.hex().encode(),
            "zeros": lambda _, s=size: bytes(s),
            "ones": lambda _, s=size: b"\xff" * s,
            "one zero": lambda _: b"\0",
        }.items():
            yield Row(f"{algorithm} signature: {name}", SIGNATURE, with_signature(algorithm, change))
        yield Row(
            f"{algorithm} signature of another token",
            SIGNATURE,
            lambda w, a=algorithm: ".".join(
                (signed(w, a, claims={"sub": "root"}).rpartition(".")[0], signed(w, a).rpartition(".")[2])
            ),
        )
    yield Row("ES256 in DER", SIGNATURE, lambda w: signed(w, "ES256", sign=es256_der))
    yield Row(
        "ES256 by another key",
        SIGNATURE,
        lambda w: signed(
            w,
            "ES256",
            sign=lambda message: b"".join(
                n.to_bytes(32, "big") for n in decode_dss_signature(FOREIGN_EC.sign(message, ec.ECDSA(hashes.SHA256())))
            ),
        ),
    )
    for r, s in (
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (P256_ORDER, P256_ORDER),
        (P256_ORDER, 0),
        (0, P256_ORDER),
        (1, P256_ORDER),
    ):
        pair = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        yield Row(f"ES256 of ({r:x}, {s:x})", SIGNATURE, lambda w, p=pair: signed(w, "ES256", sign=lambda _: p))
    yield Row(
        "ES256 of (0, 0) in DER", SIGNATURE, lambda w: signed(w, "ES256", sign=lambda _: encode_dss_signature(0, 0))
    )
    yield Row("ES256, halves exchanged", SIGNATURE, with_signature("ES256", lambda right: right[32:] + right[:32]))
    for name, point in (
        ("identity", b"\1" + bytes(31)),
        ("zero", bytes(32)),
        ("order 2", b"\xec" + b"\xff" * 30 + b"\x7f"),
    ):
        yield Row(
            f"EdDSA of small order: {name}",
            SIGNATURE,
            lambda w, p=point: signed(w, "EdDSA", sign=lambda _: p + bytes(32)),
        )
    yield Row(
        "EdDSA, its number beyond the order",
        SIGNATURE,
        with_signature(
            "EdDSA",
            lambda right: right[:32] + (int.from_bytes(right[32:], "little") + ED25519_ORDER).to_bytes(32, "little"),
        ),
    )
    yield Row(
        "RS256 of a number beyond the modulus",
        SIGNATURE,
        with_signature(
            "RS256",
            lambda right: (int.from_bytes(right, "big") + RSA.public_key().public_numbers().n).to_bytes(257, "big"),
        ),
    )
    for name, garbage in (("one", 1), ("two", 2), ("the modulus less one", RSA.public_key().public_numbers().n - 1)):
        yield Row(
            f"RS256 of {name}",
            SIGNATURE,
            lambda w, g=garbage: signed(w, "RS256", sign=lambda _: g.to_bytes(256, "big")),
        )
    yield Row("RS256 padded by hand, with no key", SIGNATURE, lambda w: signed(w, "RS256", sign=unraised))
    yield Row(
        "RS256 over SHA-1",
        SIGNATURE,
        lambda w: signed(w, "RS256", sign=lambda message: RSA.sign(message, padding.PKCS1v15(), hashes.SHA1())),
    )  # what an attack would use
    yield Row("HS256 by another secret", SIGNATURE, lambda w: signed(w, sign=hs256("f" * 32)))
    yield Row("HS256 by an empty secret", SIGNATURE, lambda w: signed(w, sign=hs256("")))
    yield Row(
        "HS256 by all secrets with their comma", SIGNATURE, lambda w: signed(w, sign=hs256(",".join(w.secrets) + ","))
    )
    yield Row("HS256 by the start of our secret", SIGNATURE, lambda w: signed(w, sign=hs256(w.secrets[0][:-1])))
    yield Row("HS256 by our secret and a NUL", SIGNATURE, lambda w: signed(w, sign=hs256(w.secrets[0] + "\0x")))
    yield Row(
        "HS256 by the digest of our secret",
        SIGNATURE,
        lambda w: signed(w, sign=hs256(hashlib.sha256(w.secrets[0].encode()).digest())),
    )
    yield Row("HS256, cut to 128 bits", SIGNATURE, with_signature("HS256", lambda right: right[:16]))
    yield Row("HS512 said to be HS256", SIGNATURE, lambda w: signed(w, sign=hs256(w.secrets[0], "sha512")))
    yield Row(
        "a digest and no MAC", SIGNATURE, lambda w: signed(w, sign=lambda message: hashlib.sha256(message).digest())
    )
    yield Row(
        "signed before it was encoded",
        SIGNATURE,
        lambda w: signed(
            w, sign=lambda message: hs256(w.secrets[0])(base64.urlsafe_b64decode(message.split(b".")[1] + b"=="))
        ),
    )
    yield Row(
        "claims of another token",
        SIGNATURE,
        lambda w: parts(lambda h, _, s: f"{h}.{signed(w, claims={'scope': 'admin'}).split('.')[1]}.{s}")(w),
    )
    yield Row(
        "a header of another spelling", SIGNATURE, parts(lambda _, p, s: ".".join((b64(b'{"alg": "HS256"}'), p, s)))
    )


def unraised(message: bytes) -> bytes:
    """What a right signature is raised to: it is right only to who forgets to raise it."""
    digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(message).digest()
    return b"\0\1" + b"\xff" * (256 - 3 - len(digest)) + b"\0" + digest
