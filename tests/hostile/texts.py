"""Bodies that are not JSON (RFC 8259), or are JSON but no event. Ideas: JSONTestSuite by Nicolas Seriot."""

from __future__ import annotations

import gzip

from tests.hostile.rows import BATCH, STRUCTURED, TOKEN, Row

EVENT = '{"type": "user.signed_up", "data": {"email": "ada@example.com", "name": "Ada"}}'

NOT_JSON: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \t\r\n ",
    "one brace": b"{",
    "one bracket": b"[",
    "a closing brace": b"}",
    "half an event": EVENT[:40].encode(),
    "an event without its last brace": EVENT[:-1].encode(),
    "a second brace at the end": EVENT.encode() + b"}",
    "two events": EVENT.encode() * 2,
    "an event and a comma": EVENT.encode() + b",",
    "an event and a NUL": EVENT.encode() + b"\0",
    "lines of JSON": EVENT.encode() + b"\n" + EVENT.encode(),
    "a NUL before the event": b"\0" + EVENT.encode(),
    "a byte order mark": b"\xef\xbb\xbf" + EVENT.encode(),
    "UTF-16 with a mark": EVENT.encode("utf-16"),
    "UTF-16, little endian": EVENT.encode("utf-16-le"),
    "UTF-16, big endian": EVENT.encode("utf-16-be"),
    "UTF-32": EVENT.encode("utf-32"),
    "UTF-32, big endian": EVENT.encode("utf-32-be"),
    "UTF-7": b"{+ACI-type+ACI-: 1}",
    "EBCDIC": EVENT.encode("cp500"),
    "gzip without saying so": gzip.compress(EVENT.encode()),
    "NaN": b'{"type": NaN}',
    "Infinity": b'{"type": Infinity}',
    "minus Infinity": b'{"type": -Infinity}',
    "a number beyond all doubles": b'{"type": 1e400}',
    "a number of 100,000 digits": b'{"type": ' + b"9" * 100_000 + b"}",
    "a leading zero": b'{"type": 01}',
    "a plus sign": b'{"type": +1}',
    "a number without digits before the point": b'{"type": .5}',
    "a number without digits after the point": b'{"type": 5.}',
    "a number without an exponent": b'{"type": 1e}',
    "a hexadecimal number": b'{"type": 0x10}',
    "two minus signs": b'{"type": --1}',
    "digits that are not ASCII": '{"type": ١}'.encode(),
    "single quotes": b"{'type': 'user.signed_up'}",
    "a name without quotes": b'{type: "user.signed_up"}',
    "a number for a name": b'{1: "user.signed_up"}',
    "a comma at the end of an object": b'{"type": "user.signed_up",}',
    "a comma at the end of a list": b'{"type": [1,]}',
    "a comma at the beginning": b'{,"type": 1}',
    "two commas": b'{"type": 1,,"data": 2}',
    "no comma": b'{"type": 1 "data": 2}',
    "no colon": b'{"type" "user.signed_up"}',
    "two colons": b'{"type":: 1}',
    "an equals sign": b'{"type" = 1}',
    "a name without a value": b'{"type"}',
    "a comment": b'/* */ {"type": 1}',
    "a comment to the end of the line": b'{"type": 1} // done',
    "a comment with a hash": b'# one\n{"type": 1}',
    "True": b'{"type": True}',
    "nul": b'{"type": nul}',
    "undefined": b'{"type": undefined}',
    "a string that does not end": b'{"type": "user',
    "a string over two lines": b'{"type": "user\n.signed_up"}',
    "a tab in a string": b'{"type": "user\t.signed_up"}',
    "a NUL in a string": b'{"type": "user\0.signed_up"}',
    "an escape that does not exist": b'{"type": "\\x41"}',
    "an escape cut short": b'{"type": "\\u12"}',
    "an escape that is no number": b'{"type": "\\uzzzz"}',
    "a backslash at the end": b'{"type": "\\',
    "a lone high surrogate": b'{"type": "\\ud800"}',
    "a lone low surrogate": b'{"type": "\\udc00"}',
    "surrogates the wrong way round": b'{"type": "\\udc00\\ud800"}',
    "a lone surrogate in a name": b'{"\\ud800": 1}',
    "a lone surrogate in the data": EVENT.replace("Ada", "\\ud800").encode(),
    "a surrogate in UTF-8": b'{"type": "\xed\xa0\x80"}',
    "an overlong slash": b'{"type": "\xc0\xaf"}',
    "an overlong NUL": b'{"type": "\xc0\x80"}',
    "a continuation without a beginning": b'{"type": "\x80"}',
    "a beginning without a continuation": b'{"type": "\xe2\x82"}',
    "a code point beyond Unicode": b'{"type": "\xf4\x90\x80\x80"}',
    "five bytes of UTF-8": b'{"type": "\xf8\x88\x80\x80\x80"}',
    "Latin-1": '{"type": "é"}'.encode("latin-1"),
    "a no-break space between": '{"type":\u00a01}'.encode(),
    "a form feed between": b'{"type":\x0c1}',
    "lists 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 100,000 deep": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "lists 200,000 deep that do not end": b"[" * 200_000,
    "a form": b"type=user.signed_up&data=1",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "YAML": b"type: user.signed_up\ndata: !!python/object/apply:os.system ['true']",
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "MessagePack": b"\x82\xa4type\xa1x\xa4data\x80",
    "an HTTP request": b"POST /v1/events HTTP/1.1\r\nHost: gateway\r\n\r\n",
}

NO_EVENT: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "a number": b"0",
    "a string": b'"user.signed_up"',
    "a string with an event in it": b'"{\\"type\\": \\"user.signed_up\\"}"',
}

ROWS = [
    *(Row(name=f"not JSON: {name}", right=(400,), body=body) for name, body in NOT_JSON.items()),
    *(
        Row(name=f"not JSON, {mode}: {name}", right=(400,), headers=(TOKEN, media_type), body=NOT_JSON[name])
        for mode, media_type in {"structured": STRUCTURED, "batch": BATCH}.items()
        for name in ("nothing", "one bracket", "NaN", "a byte order mark", "a lone high surrogate", "two events")
    ),
    *(Row(name=f"no event: {name}", right=(422,), body=body, pointer="") for name, body in NO_EVENT.items()),
    *(
        Row(name=f"no event, structured: {name}", right=(422,), headers=(TOKEN, STRUCTURED), body=body, pointer="")
        for name, body in {**NO_EVENT, "a list": b"[]"}.items()
    ),
]
