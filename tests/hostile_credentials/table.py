"""All hostile credentials, and some good ones, so that refusing everything is no answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from tests.hostile_credentials.claims import parties, times
from tests.hostile_credentials.documents import documents, spellings
from tests.hostile_credentials.forge import (
    SIGNERS,
    Row,
    good_claims,
    hs256,
    second_form,
    signed,
    with_claim,
    with_header,
    with_payload,
    with_signature,
)
from tests.hostile_credentials.headers import algorithms, headers, kids
from tests.hostile_credentials.keys import keys
from tests.hostile_credentials.signatures import signatures
from workers.security.tokens import END_OF_TIME, LEEWAY_S


def friendly() -> Iterator[Row]:
    yield Row("HS256", "", signed)
    yield Row("HS256 by the second secret", "", lambda w: signed(w, sign=hs256(w.secrets[1])))
    for algorithm in SIGNERS:
        yield Row(algorithm, "", lambda w, a=algorithm: signed(w, a))
    yield Row("ES256 in its second form", "", with_signature("ES256", second_form))
    for kind in ("JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"):
        yield Row(f"typ {kind}", "", lambda w, k=kind: signed(w, header={"typ": k}))
    yield Row("no typ", "", with_header('{"alg":"HS256"}'))
    for name in ("jku", "x5u", "jwk", "x5c", "x5t", "unknown"):
        yield Row(f"{name} is ignored", "", lambda w, n=name: signed(w, "RS256", header={n: "http://127.0.0.1:1/"}))
    yield Row("several audiences", "", with_claim("aud", ["moon", "luna"]))
    yield Row("exp with a fraction", "", lambda w: signed(w, claims={"exp": time.time() + 60.5}))
    yield Row("exp within the leeway", "", lambda w: signed(w, claims={"exp": time.time() - LEEWAY_S / 2}))
    yield Row("exp at the end of time", "", with_claim("exp", END_OF_TIME))
    yield Row("nbf and iat long ago", "", lambda w: signed(w, claims={"nbf": 0, "iat": 0}))
    yield Row("iat just ahead", "", lambda w: signed(w, claims={"iat": time.time() + LEEWAY_S / 2}))
    yield Row(
        "no iat and no scope",
        "",
        with_payload(
            json.dumps({name: value for name, value in good_claims().items() if name not in {"iat", "scope"}}).encode()
        ),
    )
    yield Row("a jti", "", with_claim("jti", "REVOKED"))
    yield Row("other claims", "", with_claim("https://example.com/x", {"y": [1, None, 1.5]}))
    yield Row("space between members", "", with_header(' { "alg" :\n"HS256" }\t'))
    yield Row("a subject of other letters", "", with_claim("sub", "Zoë 李 🌙"))
    yield Row("a subject as long as may be", "", with_claim("sub", "x" * 255))
    yield Row("an API key", "", lambda w: w.good)
    yield Row("a rotated API key", "", lambda w: w.rotated)
    yield Row("an API key within its overlap", "", lambda w: w.within)


HOSTILE = [
    *algorithms(),
    *kids(),
    *headers(),
    *documents(),
    *spellings(),
    *signatures(),
    *times(),
    *parties(),
    *keys(),
]
FRIENDLY = list(friendly())
