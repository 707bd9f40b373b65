"""Hostile documents and spellings: what lenient readers would mend."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.hostile_credentials.forge import (
    ALG,
    CANON,
    FORM,
    JSON,
    OBJECT,
    Row,
    World,
    b64,
    changed,
    good_claims,
    hs256,
    parts,
    raw,
    rs256,
    with_claim,
    with_header,
    with_members,
    with_payload,
)
from workers.security.compact import MAX_TOKEN_CHARS


def documents() -> Iterator[Row]:
    for member in (
        '"alg":"HS256"',
        '"alg":"none"',
        '"typ":"JWT","typ":"JWT"',
        '"kid":"rsa","kid":"rsa"',
        r'"\u0061lg":"none"',
    ):
        yield Row(f"a header that goes on with {member}", JSON, with_header(f'{{"alg":"HS256",{member}}}'))
    yield Row(
        "kid twice",
        JSON,
        lambda _: raw(b'{"alg":"RS256","kid":"unknown","kid":"rsa"}', json.dumps(good_claims()).encode(), rs256),
    )
    for member in (
        '"sub": "admin"',
        '"exp": 4102444800',
        '"scope": "admin"',
        '"iss": "luna"',
        '"aud": "luna"',
        r'"\u0073ub": "admin"',
        '"x": {"y": 1, "y": 2}',
        '"x": [{"y": 1, "y": 1}]',
        '"x": NaN',
        '"x": Infinity',
        '"x": -Infinity',
        '"x": 01',
        '"x": .5',
        '"x": +1',
        '"x": 0x1',
        "'x': 1",
        '"x": 1,',
        '"x"',
        '"x": undefined',
        '"x": 1 /* a comment */',
        '"x": "\t"',
        '"x": "\\x"',
        f'"x": {"9" * 5000}',
        f'"x": {"[" * 5000}',
        f'"x": {"{" * 5000}',
    ):
        yield Row(f"claims that go on with {member[:30]}", JSON, with_members(member))
    for payload in (b"[]", b'"shop"', b"7", b"null", b"true"):
        yield Row(f"the claims {payload!r}", OBJECT, with_payload(payload))
        yield Row(f"the header {payload!r}", OBJECT, with_header(payload.decode()))
    whole = json.dumps(good_claims())
    for name, payload in (
        ("a byte order mark", b"\xef\xbb\xbf" + whole.encode()),
        ("UTF-16", whole.encode("utf-16")),
        ("UTF-16 without a mark", whole.encode("utf-16-be")),
        ("UTF-32", whole.encode("utf-32")),
        ("Latin-1", whole.replace("shop", "sh\u00f6p").encode("latin-1")),
        ("a byte that is no UTF-8", whole.replace("shop", "sh?p").encode().replace(b"?", b"\xff")),
        ("a letter in two bytes too many", whole.replace("shop", "sh?p").encode().replace(b"?", b"\xc1\xaf")),
        ("half a character in UTF-8", whole.replace("shop", "sh?p").encode().replace(b"?", b"\xed\xa0\x80")),
        ("something after the claims", whole.encode() + b"x"),
        ("a NUL after the claims", whole.encode() + b"\0"),
        ("two objects", whole.encode() * 2),
        ("half of the claims", whole[: len(whole) // 2].encode()),
        ("single quotes", whole.replace('"', "'").encode()),
        ("nothing but space", b" "),
    ):
        yield Row(f"claims: {name}", JSON, with_payload(payload))
    for name, header in (
        ("something behind it", '{"alg":"HS256"}x'),
        ("a mark before it", '\ufeff{"alg":"HS256"}'),
        ("two", '{"alg":"HS256"}{}'),
        ("nested without end", '{"alg":"HS256","x":' + "[" * 5000),
        ("half", '{"alg":"HS256"'),
    ):
        yield Row(f"header: {name}", JSON, with_header(header))
    yield Row("header: empty", ALG, with_header("{}"))


def spellings() -> Iterator[Row]:
    yield from (
        Row(name, FORM, build)
        for name, build in {
            "nothing": changed(lambda _: ""),
            "a word": changed(lambda _: "nonsense"),
            "a dot": changed(lambda _: "."),
            "two dots": changed(lambda _: ".."),
            "no header": parts(lambda _, payload, signature: f".{payload}.{signature}"),
            "no signature": parts(lambda header, payload, _: f"{header}.{payload}."),
            "no signature and no dot": parts(lambda header, payload, _: f"{header}.{payload}"),
            "one part": parts(lambda header, *_: header),
            "four parts": changed(lambda token: f"{token}.AA"),
            "four parts, the first empty": changed(lambda token: f".{token}"),
            "five parts": changed(lambda token: f"{token}.AA.AA"),
            "an encrypted token": changed(lambda _: b64(b'{"alg":"dir","enc":"A256GCM"}') + "..AAAA.AAAA.AAAA"),
            "a dot at the end": changed(lambda token: f"{token}."),
            "space before": changed(lambda token: f" {token}"),
            "space behind": changed(lambda token: f"{token} "),
            "a line end behind": changed(lambda token: f"{token}\n"),
            "a line end and a return behind": changed(lambda token: f"{token}\r\n"),
            "a tab within": changed(lambda token: token.replace(".", "\t.", 1)),
            "a line end within": changed(lambda token: f"{token[:9]}\n{token[9:]}"),
            "a NUL behind": changed(lambda token: f"{token}\0"),
            "quotes around it": changed(lambda token: f'"{token}"'),
            "the scheme twice": changed(lambda token: f"Bearer {token}"),
            "two tokens": changed(lambda token: f"{token},{token}"),
            "a non-breaking space behind": changed(lambda token: f"{token}\u00a0"),
            "wide letters": changed(lambda token: token.replace("e", "\uff45")),
            "wide dots": changed(lambda token: token.replace(".", "\uff0e")),
            "half a character": changed(lambda token: f"{token}\ud800"),
            "percent signs": changed(lambda token: token.replace(".", "%2E")),
            "padding of the header": changed(lambda token: token.replace(".", "=.", 1)),
            "padding of the claims": parts(lambda header, payload, signature: f"{header}.{payload}==.{signature}"),
            "padding of the signature": changed(lambda token: f"{token}="),
            "padding alone": parts(lambda header, payload, _: f"{header}.{payload}.===="),
            "base64 with +": parts(lambda header, payload, signature: f"{header}.{payload}.+{signature[1:]}"),
            "base64 with /": parts(lambda header, payload, signature: f"{header}./{payload[1:]}.{signature}"),
            "the JSON serialization": parts(
                lambda header, payload, signature: json.dumps(
                    {"protected": header, "payload": payload, "signature": signature}
                )
            ),
        }.items()
    )
    yield Row("a letter too many in the signature", "base64url|canonical", parts(lambda h, p, s: f"{h}.{p}.{s}AA"))
    yield Row("a signature of one letter", "base64url", parts(lambda h, p, _: f"{h}.{p}.A"))
    yield Row("a second spelling of the signature", CANON, parts(lambda h, p, s: f"{h}.{p}.{second_spelling(s)}"))
    yield Row("a second spelling of the header", CANON, lambda w: respelled(w, 0))
    yield Row("a second spelling of the claims", CANON, lambda w: respelled(w, 1))
    yield Row("too long by its claims", "too long", with_claim("x", "x" * MAX_TOKEN_CHARS))
    yield Row("too long by its signature", "too long", changed(lambda token: token + "A" * MAX_TOKEN_CHARS))
    yield Row("a million letters", "too long", changed(lambda _: "a" * 1_000_000))
    yield Row("a million dots", "too long", changed(lambda _: "." * 1_000_000))


def second_spelling(part: str) -> str:
    """The same bytes, but for the bits that no byte uses."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(part) % 4, "every bit of this part is used"
    return part[:-1] + letters[letters.index(part[-1]) | 1]


def respelled(world: World, which: int) -> str:
    """Signed over the second spelling, so that only the spelling is wrong."""
    header = b'{"alg":"HS256"}'
    header += b" " * (header_padding(len(header)))
    payload = json.dumps(good_claims()).encode()
    payload += b" " * header_padding(len(payload))
    pieces = [b64(header), b64(payload)]
    pieces[which] = second_spelling(pieces[which])
    message = ".".join(pieces)
    return f"{message}.{b64(hs256(world.secrets[0])(message.encode()))}"


def header_padding(length: int) -> int:
    """How many spaces make a length that leaves bits over."""
    return 1 if length % 3 == 0 else 0
