"""Hostile claims: times, issuer, audience, subject, scope and id."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.hostile_credentials.forge import JSON, Row, resigned, second_form, signed, with_claim, with_text
from workers.security.tokens import END_OF_TIME, LEEWAY_S, MAX_ID_CHARS

NO_NUMBER = ('"4102444800"', '"2100-01-01T00:00:00Z"', "true", "null", "[]", "[4102444800]", "{}", '""', '"NaN"')
NO_MOMENT = (
    "1e400",
    "-1e400",
    "1e308",
    "9" * 400,
    str(2**63),
    str(END_OF_TIME + 1),
    "253402300800.5",
    "-1",
    "-0.5",
    "-1e10",
)


def times() -> Iterator[Row]:
    for name in ("exp", "nbf", "iat"):
        for text in NO_NUMBER:
            yield Row(f"{name} {text}", f"{name} is not a number", with_text(name, text))
        for text in NO_MOMENT:
            yield Row(f"{name} {text[:20]}", f"{name} is no moment", with_text(name, text))
        for text in ("NaN", "Infinity", "-Infinity"):
            yield Row(f"{name} {text}", JSON, with_text(name, text))
        yield Row(
            f"{name} in milliseconds",
            f"{name} is no moment",
            lambda w, n=name: signed(w, claims={n: int(time.time() * 1000)}),
        )
    yield Row("no exp", "exp is missing", lambda w: signed(w, without="exp"))
    yield Row("exp in capitals", "exp is missing", lambda w: signed(w, without="exp", claims={"EXP": 4102444800}))
    for text in ("0", "-0.0", "1", "1e9"):
        yield Row(f"exp {text}", "has expired", with_text("exp", text))
    yield Row("expired a year ago", "has expired", lambda w: signed(w, claims={"exp": time.time() - 365 * 86400}))
    yield Row(
        "expired just beyond the leeway", "has expired", lambda w: signed(w, claims={"exp": time.time() - LEEWAY_S - 1})
    )
    for name in ("nbf", "iat"):
        yield Row(
            f"{name} in an hour", f"{name} has not come", lambda w, n=name: signed(w, claims={n: time.time() + 3600})
        )
        yield Row(
            f"{name} beyond the leeway",
            f"{name} has not come",
            lambda w, n=name: signed(w, claims={n: time.time() + LEEWAY_S + 30}),
        )
        yield Row(f"{name} at the end of time", f"{name} has not come", with_claim(name, END_OF_TIME))


def parties() -> Iterator[Row]:
    for value in (
        "moon",
        "Luna",
        "LUNA",
        "luna/",
        "luna ",
        " luna",
        "luna\0",
        "lun",
        "lunaa",
        "https://luna",
        "",
        "lüna",
        None,
        0,
        True,
        ["luna"],
        {"luna": 1},
    ):
        yield Row(f"iss {value!r}", "^iss is not", with_claim("iss", value))
    yield Row("no iss", "^iss is not", lambda w: signed(w, without="iss"))
    for value in (
        "moon",
        "Luna",
        "luna/",
        "luna ",
        "",
        "luna moon",
        "luna,moon",
        "*",
        ["moon"],
        ["moon", "sun"],
        [],
        ["Luna"],
        ["luna/"],
        [""],
    ):
        yield Row(f"aud {value!r}", "^aud does not name us", with_claim("aud", value))
    for value in (
        None,
        0,
        True,
        {"luna": 1},
        ["luna", 1],
        ["luna", None],
        [["luna"]],
        [{"luna": 1}, "luna"],
        ["luna", True],
    ):
        yield Row(f"aud {value!r}", "^aud is neither", with_claim("aud", value))
    yield Row("no aud", "^aud is neither", lambda w: signed(w, without="aud"))
    for value in (
        "",
        None,
        0,
        7,
        True,
        ["shop"],
        {"shop": 1},
        "shop\0",
        "\0",
        "sh\nop",
        "sh\rop",
        "sh\top",
        "shop\x7f",
        "\ud800",
        "shop\udfff",
        "sh\u202eop",
        "sh\u200bop",
        "sh\u2028op",
        "sh\u00a0op",
        "x" * 256,
    ):
        yield Row(f"sub {str(value)[:20]!r}", "^sub is not", with_claim("sub", value))
    yield Row("no sub", "^sub is not", lambda w: signed(w, without="sub"))
    for value in (None, 1, True, ["admin"], [], {"admin": True}):
        yield Row(f"scope {value!r}", "^scope is not", with_claim("scope", value))
    for value in ("", None, 7, True, ["revoked"], {}, "a\0", "\ud800", "a\nb", "x" * (MAX_ID_CHARS + 1)):
        yield Row(f"jti {str(value)[:20]!r}", "^jti is not", with_claim("jti", value))
    yield Row("a revoked jti", "token is revoked", with_claim("jti", "revoked"))
    yield Row(
        "a revoked jti under another key", "token is revoked", lambda w: signed(w, "ES256", claims={"jti": "revoked"})
    )
    yield Row("a revoked token without jti", "token is revoked", lambda w: w.nameless)
    yield Row("the same in its second form", "token is revoked", lambda w: resigned(w.nameless, second_form))
