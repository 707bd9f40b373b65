from __future__ import annotations

import pytest

from api_gateway.uris import is_uri, is_uri_reference

URIS = [  # RFC 3986, 1.1.2, and more
    *("ftp://ftp.is.co.za/rfc/rfc1808.txt", "http://www.ietf.org/rfc/rfc2396.txt"),
    "ldap://[2001:db8::7]/c=GB?objectClass?one",
    *("mailto:John.Doe@example.com", "news:comp.infosystems.www.servers.unix", "tel:+1-816-555-1212"),
    *("a:", "a:/", "a:b/c?d#e"),
    *("telnet://192.0.2.16:80/", "urn:oasis:names:specification:docbook:dtd:xml:4.1.2", "file:///x"),
    "http://a:b@c:1/%20?%41#%5b",
]  # fmt: skip
REFERENCES = [
    "/",
    "/shop",
    "shop/a:b",
    "//host",
    "//host/a",
    "?a=b",
    "#a",
    "../a",
    "./a:b",
    "/a//b",
    "a@b",
    "%41",
    "//h?a",
]
NEITHER = [
    *("http://[::1", "//a:b:c/", "1:", ":", "a b", "/a b"),
    *("/%", "/%zz", "/%2", "/<x>", '/"', "/a\\b", "/{a}", "/a|b", "/a^b"),
    *("/é", "/\0", "/a\n", "\n", "http://a b/", "http://[x]/", "#a#b", "1a:b", "http://a:b/", "[", "/[a]", "`"),
]  # fmt: skip


@pytest.mark.parametrize("text", URIS)
def test_a_uri_is_a_reference_too(text: str) -> None:
    assert is_uri(text)
    assert is_uri_reference(text)


@pytest.mark.parametrize("text", REFERENCES)
def test_a_relative_reference_is_no_uri(text: str) -> None:
    assert is_uri_reference(text)
    assert not is_uri(text)


@pytest.mark.parametrize("text", NEITHER)
def test_what_is_neither(text: str) -> None:
    assert not is_uri(text)
    assert not is_uri_reference(text)


@pytest.mark.parametrize("piece", ["a", "/", "a:", "@", "%41", "//", "?", "[", "a@"])
def test_a_long_text_is_no_long_work(piece: str) -> None:
    assert is_uri_reference(piece * 20_000 + "\0") is False
