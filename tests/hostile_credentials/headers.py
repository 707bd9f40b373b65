"""Hostile headers: the algorithm, the key's name, and what else a header can say."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.hostile_credentials.forge import (
    ALG,
    EC,
    ED,
    FOREIGN_RSA,
    FORM,
    JSON,
    KID,
    RSA,
    SIGNATURE,
    Row,
    Signer,
    World,
    b64,
    der,
    foreign,
    good_claims,
    hs256,
    parts,
    pem,
    public_jwk,
    signed,
    with_header,
    with_payload,
)


def algorithms() -> Iterator[Row]:
    for letters in itertools.product("nN", "oO", "nN", "eE"):
        name = "".join(letters)
        yield Row(f"alg {name}, no signature", FORM, lambda w, n=name: signed(w, n, sign=lambda _: b""))
        yield Row(f"alg {name}, some signature", ALG, lambda w, n=name: signed(w, n, sign=lambda _: b"\0" * 32))
    for name in (
        "none ",
        " none",
        "none\0",
        "NoNe\n",
        "",
        "hs256",
        "HS256 ",
        "HS384",
        "HS512",
        "RS256",
        "ES256",
        "EdDSA",
    ):
        yield Row(f"alg {name!r} under our secret", ALG, lambda w, n=name: signed(w, header={"alg": n}))
    for value in (None, 256, True, ["HS256"], {"HS256": 1}):
        yield Row(f"alg {value!r}", ALG, lambda w, v=value: signed(w, header={"alg": v}))
    yield Row("no alg", ALG, with_header('{"typ": "JWT"}'))
    yield Row("alg none with our kid", ALG, lambda w: signed(w, "RS256", header={"alg": "none"}))
    for algorithm in ("HS384", "HS512"):
        digest = algorithm.replace("HS", "sha")
        yield Row(
            f"our secret used for {algorithm}",
            ALG,
            lambda w, a=algorithm, d=digest: signed(w, a, sign=hs256(w.secrets[0], d)),
        )
    for label, kid, secret in (
        ("the RSA key's PEM", "rsa", pem(RSA)),
        ("the RSA key's PEM without its last line end", "rsa", pem(RSA).rstrip()),
        ("the RSA key's DER", "rsa", der(RSA)),
        ("the EC key's PEM", "ec", pem(EC)),
        ("the EC key's DER", "ec", der(EC)),
        ("the Ed25519 key's PEM", "ed", pem(ED)),
        ("the Ed25519 key itself", "ed", ED.public_key().public_bytes_raw()),
        ("the RSA key's JWK", "rsa", json.dumps(public_jwk("RS256", RSA, "rsa")).encode()),
    ):
        yield Row(f"HS256 with {label}", ALG, lambda w, k=kid, s=secret: signed(w, header={"kid": k}, sign=hs256(s)))
        yield Row(f"HS256 with {label}, no kid", SIGNATURE, lambda w, s=secret: signed(w, sign=hs256(s)))
    for algorithm, kid in (("RS256", "ec"), ("ES256", "rsa"), ("EdDSA", "ec"), ("ES256", "ed"), ("RS256", "ed")):
        yield Row(
            f"{algorithm} with the kid of {kid}", ALG, lambda w, a=algorithm, k=kid: signed(w, a, header={"kid": k})
        )
    for name, scheme, digest in (
        ("PS256", padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
        ("RS512", padding.PKCS1v15(), hashes.SHA512()),
        ("RS384", padding.PKCS1v15(), hashes.SHA384()),
    ):
        by: Signer = lambda message, s=scheme, d=digest: RSA.sign(message, s, d)  # type: ignore[misc]  # noqa: E731
        yield Row(
            f"{name} by the key for RS256", ALG, lambda w, n=name, b=by: signed(w, "RS256", header={"alg": n}, sign=b)
        )
        yield Row(f"a {name} signature said to be RS256", SIGNATURE, lambda w, b=by: signed(w, "RS256", sign=b))
    yield Row("an ES384 header for the P-256 key", ALG, lambda w: signed(w, "ES256", header={"alg": "ES384"}))
    yield Row(
        "RS256 of the right key without kid",
        ALG,
        lambda w: signed(w, "RS256", header={"kid": "rsa"}).replace(
            b64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": "rsa"}).encode()), b64(b'{"alg": "RS256"}')
        ),
    )


def kids() -> Iterator[Row]:
    texts = (
        "unknown",
        "",
        "RSA",
        "rsa ",
        " rsa",
        "rsa\0",
        "../../../../dev/null",
        "/dev/null",
        "/etc/passwd",
        "rsa/../rsa",
        "' OR '1'='1",
        "rsa'; DROP TABLE api_keys;--",
        "| id",
        "$(id)",
        "http://127.0.0.1/jwks.json",
        "file:///etc/passwd",
        "x" * 2000,
        "__class__",
        "keys",
        "\ud800",
        "\uff52sa",
    )
    for kid in texts:
        yield Row(f"RS256, kid {kid[:30]!r}", KID, lambda w, k=kid: signed(w, "RS256", header={"kid": k}))
    for kid in ("", "0", "unknown", "../../../../dev/null"):
        yield Row(f"our secret, kid {kid!r}", KID, lambda w, k=kid: signed(w, header={"kid": k}))
        yield Row(f"an empty secret, kid {kid!r}", KID, lambda w, k=kid: signed(w, header={"kid": k}, sign=hs256("")))
    for value in (None, 0, 1, 1.5, True, ["rsa"], {"rsa": 1}, []):
        yield Row(f"kid {value!r}", KID, lambda w, v=value: signed(w, "RS256", header={"kid": v}))
    yield Row("our secret with the kid of a public key", ALG, lambda w: signed(w, header={"kid": "rsa"}))
    yield Row("a foreign key under our kid", SIGNATURE, lambda w: signed(w, "RS256", sign=foreign))


def headers() -> Iterator[Row]:
    embedded = public_jwk("RS256", FOREIGN_RSA, "mine")
    for name, value in (
        ("jwk", embedded),
        ("jku", "http://127.0.0.1/jwks.json"),
        ("x5u", "http://127.0.0.1/cert.pem"),
        ("x5c", [base64.b64encode(der(FOREIGN_RSA)).decode()]),
    ):
        for kid, reason in (("mine", KID), ("rsa", SIGNATURE)):
            extra = {name: value, "kid": kid}
            yield Row(
                f"a foreign key brought along as {name}, kid {kid}",
                reason,
                lambda w, e=extra: signed(w, "RS256", header=e, sign=foreign),
            )
    for value in ([], ["exp"], ["b64"], ["alg"], ["unknown"], "exp", None, {}, 1, [1], ["exp", "exp"]):
        yield Row(f"crit {value!r}", "header holds.*crit", lambda w, v=value: signed(w, header={"crit": v}))
    yield Row("crit naming what is there", "header holds.*crit", lambda w: signed(w, header={"crit": ["x"], "x": 1}))
    for value in (False, True, None, "false"):
        yield Row(f"b64 {value!r}", "header holds b64", lambda w, v=value: signed(w, header={"b64": v}))
    yield Row(
        "b64 false and critical", "header holds b64, crit", lambda w: signed(w, header={"b64": False, "crit": ["b64"]})
    )
    yield Row("an unencoded payload", FORM, unencoded)
    yield Row("a detached payload", FORM, parts(lambda header, _, signature: f"{header}..{signature}"))
    yield Row("compressed", "header holds zip", lambda w: signed(w, header={"zip": "DEF"}))
    yield Row("encrypted by its header", "header holds enc", lambda w: signed(w, header={"enc": "A256GCM"}))
    yield Row("nested by its header", "header holds cty", lambda w: signed(w, header={"cty": "JWT"}))
    yield Row("nested", JSON, lambda w: with_payload(signed(w).encode())(w))
    kinds = (
        "JWE",
        "JOSE",
        "JOSE+JSON",
        "secevent+jwt",
        "logout+jwt",
        "dpop+jwt",
        "id+jwt",
        "",
        " ",
        "JWT ",
        " JWT",
        "JWT\0",
        "at+jwt;v=1",
        "application/",
        "application/jose",
        "application/application/jwt",
        "text/jwt",
        "x/at+jwt",
        "at jwt",
        None,
        7,
        True,
        ["JWT"],
        {"typ": "JWT"},
    )
    for value in kinds:
        yield Row(f"typ {value!r}", "^typ is that of something else", lambda w, v=value: signed(w, header={"typ": v}))


def unencoded(world: World) -> str:
    """RFC 7797, 3: the payload as it is, with its dots and braces."""
    message = b64(b'{"alg":"HS256","b64":false,"crit":["b64"]}') + "." + json.dumps(good_claims())
    return f"{message}.{b64(hs256(world.secrets[0])(message.encode()))}"
