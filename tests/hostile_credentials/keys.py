"""Hostile API keys."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile_credentials.forge import FORM, Row, b64, changed_key
from workers.security import api_keys


def keys() -> Iterator[Row]:
    other, form = "has another secret", "not of the form"
    yield Row("key: wrong secret", other, changed_key(lambda key: key[:18] + "A" * 43))
    yield Row(
        "key: its last letter changed", other, changed_key(lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"))
    )
    yield Row(
        "key: its first letter changed",
        other,
        changed_key(lambda key: key[:18] + ("A" if key[18] != "A" else "B") + key[19:]),
    )
    yield Row("key: secret in the other case", other, changed_key(lambda key: key[:18] + key[18:].swapcase()))
    yield Row("key: secret of another key", other, lambda w: w.good[:18] + w.rotated[18:])
    yield Row("key: id of another key", other, lambda w: w.rotated[:18] + w.good[18:])
    yield Row("key: unknown id", "no API key of this id", changed_key(lambda key: f"luna_aaaaaaaaaaaa_{key[18:]}"))
    yield Row("key: deleted", "no API key of this id", lambda w: w.deleted)
    yield Row("key: expired", "has expired", lambda w: w.expired)
    yield Row("key: revoked", "is revoked", lambda w: w.revoked)
    yield Row("key: after its overlap", "has expired", lambda w: w.over)
    yield Row("key: rotated twice within an overlap", other, lambda w: w.before_last)
    for name, change in {
        "the prefix alone": lambda _: "luna_",
        "two underscores": lambda _: "luna__",
        "no secret": lambda key: key[:18],
        "no secret and no underscore": lambda key: key[:17],
        "no id": lambda key: f"luna__{key[18:]}",
        "one letter short": lambda key: key[:-1],
        "one letter more": lambda key: f"{key}A",
        "an id one letter short": lambda key: key[:16] + key[17:],
        "an id one letter longer": lambda key: f"{key[:17]}a{key[17:]}",
        "a million letters": lambda key: key + "A" * 1_000_000,
        "a million underscores": lambda key: key + "_" * 1_000_000,
        "the id in capitals": lambda key: key[:5] + key[5:17].upper() + key[17:],
        "an underscore at its end": lambda key: f"{key}_",
        "an underscore within": lambda key: f"{key[:30]}_{key[31:]}",
        "a hyphen for an underscore": lambda key: f"luna_{key[5:17]}-{key[18:]}",
        "a space behind": lambda key: f"{key} ",
        "a line end behind": lambda key: f"{key}\n",
        "a NUL behind": lambda key: f"{key}\0",
        "a NUL within": lambda key: f"{key[:30]}\0{key[31:]}",
        "SQL in the id": lambda key: f"luna_' OR '1'='1_{key[18:]}",
        "SQL of the right length": lambda key: f"luna_'OR 1=1 --'_{key[18:]}",
        "a wildcard for the id": lambda key: f"luna_%%%%%%%%%%%%_{key[18:]}",
        "a path in the id": lambda key: f"luna_../../../../_{key[18:]}",
        "Arabic digits": lambda key: f"{key[:-2]}٣٤",
        "wide letters": lambda key: f"{key[:5]}\uff41{key[6:]}",
        "a Kelvin sign": lambda key: f"{key[:-1]}\u212a",
        "a long s": lambda key: f"{key[:5]}\u017f{key[6:]}",
        "half a character": lambda key: f"{key[:-1]}\ud800",
        "a digit that no id has": lambda key: f"{key[:5]}0{key[6:]}",
        "base64url in the secret": lambda key: f"{key[:-1]}-",
        "the digest for the secret": lambda key: f"{key[:18]}{api_keys.digest_of(key)}",
        "a token behind the prefix": lambda key: f"luna_{b64(key.encode())}",
        "two keys": lambda key: f"{key},{key}",
    }.items():
        yield Row(f"key: {name}", form, changed_key(change))
    for name, change in {
        "the prefix in capitals": lambda key: f"LUNA_{key[5:]}",
        "no prefix": lambda key: key[5:],
        "a space before": lambda key: f" {key}",
        "another prefix": lambda key: f"sk_{key[5:]}",
        "a mark before": lambda key: f"\ufeff{key}",
    }.items():
        yield Row(f"key: {name}", FORM, changed_key(change))
