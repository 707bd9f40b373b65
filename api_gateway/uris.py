"""What a URI is (RFC 3986, appendix A), for attributes that must be one."""

from __future__ import annotations

import re

_ESCAPED = "%[0-9A-Fa-f]{2}"
_IN_HOST = rf"(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_ESCAPED})"
_IN_USER = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_ESCAPED})"
_IN_FIRST_SEGMENT = rf"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|{_ESCAPED})"  # no colon: that would end a scheme
_CHAR = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_ESCAPED})"
_PATH = rf"(?:/|{_CHAR})*"
_AUTHORITY = rf"//(?:{_IN_USER}*@)?(?:{_IN_HOST}*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?(?:/{_PATH})?"
_TAIL = rf"(?:\?(?:[/?]|{_CHAR})*)?(?:#(?:[/?]|{_CHAR})*)?"
_ABSOLUTE = rf"[A-Za-z][A-Za-z0-9+.-]*:(?:{_AUTHORITY}|/?{_CHAR}{_PATH}|/?)"
_RELATIVE = rf"{_AUTHORITY}|{_IN_FIRST_SEGMENT}+(?:/{_PATH})?|/{_CHAR}{_PATH}|/?"

_URI = re.compile(rf"{_ABSOLUTE}{_TAIL}")
_URI_REFERENCE = re.compile(rf"(?:{_ABSOLUTE}|{_RELATIVE}){_TAIL}")


def is_uri(text: str) -> bool:
    """Whether this is a URI, with its scheme."""
    return _URI.fullmatch(text) is not None


def is_uri_reference(text: str) -> bool:
    """Whether this is a URI, or a relative reference such as `/shop`."""
    return _URI_REFERENCE.fullmatch(text) is not None
