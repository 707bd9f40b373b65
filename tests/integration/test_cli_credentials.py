"""Credentials by the command line, and what a gateway that runs all the while makes of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.gateway import ADA, SECRET, SIGNED_UP, WebProcess, bearer
from tests.hostile_credentials import forge
from tests.servers import eventually
from workers.cli import app
from workers.database import Database
from workers.errors import LunaError

FELT_WITHIN_S = 2.0
SLACK_S = 3.0  # for a machine that is busy with other tests


@pytest.fixture(autouse=True)
def _installation(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("JWT_SECRET", SECRET)


def luna(*words: str, given: str | None = None) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, list(words), input=given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*words: str) -> str:
    """Why the command refuses, and that it says no more than that."""
    with pytest.raises(LunaError) as refusal:
        CliRunner().invoke(app, list(words), catch_exceptions=False)
    return str(refusal.value)


def document(*words: str) -> Any:
    return json.loads(luna(*words, "--json"))


def audit_log(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql('SELECT "by", action FROM audit_log ORDER BY id')]


def test_no_keys_is_said_so() -> None:
    assert luna("keys", "list") == "no API keys\n"
    assert document("keys", "list") == {"keys": []}


def test_a_key_is_printed_once_and_listed_without_it() -> None:
    key = luna("keys", "create", "--sub", "shop", "--scope", "events:write, events:read", "--rate", "3000/1m").strip()
    assert key.startswith("luna_")
    listed = luna("keys", "list")
    assert listed.startswith(f"{key.split('_')[1]}  active  shop  events:read events:write  rate 3000/1m\n")
    assert "last used never" in listed
    assert key.split("_")[2] not in listed + json.dumps(document("keys", "list"))


def test_the_key_alone_is_on_standard_output_and_what_to_know_beside_it() -> None:
    done = CliRunner().invoke(app, ["keys", "create", "--sub", "shop"])
    assert len(done.stdout.split()) == 1
    assert done.stderr.endswith("; it is shown this once\n")


def test_a_keys_life_shows_in_the_list(database: Database) -> None:
    made = document("keys", "create", "--sub", "shop", "--ttl", "30d")
    (key,) = document("keys", "list")["keys"]
    assert (key["id"], key["state"], key["sub"], key["rate"]) == (made["id"], "active", "shop", None)
    assert key["expires_at"] == made["expires_at"]
    rotated = document("keys", "rotate", made["id"], "--overlap", "15m")
    assert rotated["key"] != made["key"]
    (key,) = document("keys", "list")["keys"]
    assert key["overlap_until"] > key["rotated_at"] >= key["created_at"]
    assert luna("keys", "revoke", made["id"]) == f"{made['id']} is revoked\n"
    (key,) = document("keys", "list")["keys"]
    assert (key["state"], bool(key["revoked_at"])) == ("revoked", True)
    assert [action for _, action in audit_log(database)] == ["key.create", "key.rotate", "key.revoke"]
    assert all(by.startswith("cli:") for by, _ in audit_log(database))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["keys", "create", "--sub", "shop", "--rate", "many"], "'many' is not a rate such as 600/1m"),
        (["keys", "create", "--sub", "shop", "--scope", "root"], "unknown: root. These are: "),
        (["keys", "create", "--sub", " "], "the subject must be printable text"),
        (["keys", "create", "--sub", "shop", "--ttl", "soon"], "'soon' is not a duration"),
        (["keys", "rotate", "k", "--overlap", "-1s"], "'-1s' is not a duration"),
        (["token", "revoke", "luna_abc"], "this is an API key; `luna keys revoke ID` ends it"),
        (["token", "revoke", "7b0c"], "a jti does not say when its token expires: add --ttl"),
    ],
)
def test_a_wrong_word_is_refused_with_what_to_do(words: list[str], says: str) -> None:
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert says in done.output


def test_a_key_that_is_not_there_is_one_sentence() -> None:
    assert refused("keys", "revoke", "nothing").startswith("there is no API key 'nothing'; `luna keys list`")


def test_a_database_that_was_not_migrated_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    assert refused("keys", "list").endswith("run `luna migrate`")


def test_a_token_is_revoked_by_itself_by_its_jti_and_from_standard_input(database: Database) -> None:
    tokens = [document("token", "create", "--sub", "shop")["token"] for _ in range(3)]
    ids = [luna("token", "revoke", tokens[0]), luna("token", "revoke", "-", given=f"Bearer {tokens[1]}\n")]
    ids.append(luna("token", "revoke", "7b0c-11", "--ttl", "12h"))
    assert ids[2] == "7b0c-11 is revoked\n"
    assert not any(part in "".join(ids) for token in tokens for part in token.split("."))
    with database.read() as connection:
        stored = connection.exec_driver_sql("SELECT token FROM revoked_tokens ORDER BY number").scalars().all()
    assert [f"{token} is revoked\n" for token in stored] == ids
    assert {action for _, action in audit_log(database)} == {"token.revoke"}


def test_a_token_of_somebody_else_is_refused_without_repeating_it() -> None:
    foreign = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzaG9wIn0.c2lnbmF0dXJl"
    assert refused("token", "revoke", foreign) == (
        "the gateway does not take this token anyway: the signature is not that of the key"
    )


@pytest.mark.parametrize("command", ["keys create", "keys list", "keys rotate", "keys revoke", "token revoke"])
def test_every_command_shows_an_example(command: str) -> None:
    assert f"Example: luna {command}" in luna(*command.split(), "--help")


def statuses(web: WebProcess, *all_headers: dict[str, str]) -> list[int]:
    return [web.http.get("/v1/event-types", headers=headers).status_code for headers in all_headers]


def felt(condition: Callable[[], bool]) -> None:
    """It comes to be in the time that is promised, and what a busy machine adds."""
    eventually(condition, within=FELT_WITHIN_S + SLACK_S, every=0.05, what="what the operator did")


def test_a_running_gateway_feels_every_change_within_two_seconds(web: WebProcess) -> None:
    made = document("keys", "create", "--sub", "shop", "--scope", "events:read")
    old, as_bearer = {"X-API-Key": made["key"]}, {"Authorization": f"Bearer {made['key']}"}
    assert statuses(web, old, as_bearer) == [200, 200]

    new = {"X-API-Key": document("keys", "rotate", made["id"], "--overlap", "1h")["key"]}
    assert statuses(web, new, old) == [200, 200]
    newer = {"X-API-Key": document("keys", "rotate", made["id"], "--overlap", "0s")["key"]}
    felt(lambda: statuses(web, newer, new, old) == [200, 401, 401])

    luna("keys", "revoke", made["id"])
    felt(lambda: statuses(web, newer) == [401])

    token = document("token", "create", "--sub", "shop", "--scope", "events:read")["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert statuses(web, headers, ADA) == [200, 200]
    luna("token", "revoke", token)
    felt(lambda: statuses(web, headers, ADA) == [401, 200])
    text = web.log.read_text()
    for secret in (token, *(headers["X-API-Key"] for headers in (old, new, newer))):
        assert not any(part in text for part in secret.replace("_", ".").split(".") if len(part) > 12)


def test_the_last_use_of_a_key_shows_in_the_list(web: WebProcess) -> None:
    made = document("keys", "create", "--sub", "shop", "--scope", "events:read")
    assert statuses(web, {"X-API-Key": made["key"]}) == [200]
    eventually(lambda: document("keys", "list")["keys"][0]["last_used_at"], what="a last use")


def test_a_key_is_its_owner_and_may_what_its_scopes_say(web: WebProcess) -> None:
    writer = document("keys", "create", "--sub", "ada", "--scope", "events:write")["key"]
    answer = web.post(SIGNED_UP, {"X-API-Key": writer})
    assert (answer.status_code, answer.json()["source"]) == (202, "/callers/ada")
    assert statuses(web, {"X-API-Key": writer}) == [403]


def test_keys_of_another_issuer_come_and_go_without_a_restart(valkey: Any, database: Database, tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"
    kept = forge.public_jwk("ES256", forge.EC, "ec")
    jwks.write_text(json.dumps({"keys": [kept]}))
    claims = {"sub": "idp", "iss": "luna", "aud": "luna", "exp": time.time() + 600, "scope": "events:read"}
    header = {"alg": "EdDSA", "kid": "ed"}
    token = forge.raw(json.dumps(header).encode(), json.dumps(claims).encode(), forge.ED.sign)
    idp = {"Authorization": f"Bearer {token}"}
    url = database.url.render_as_string(hide_password=False)
    with WebProcess(tmp_path, REDIS_URL=valkey.url, DATABASE_URL=url, JWT_JWKS_FILE=str(jwks)) as web:
        assert statuses(web, idp, bearer("ada", "events:read")) == [401, 200]
        jwks.write_text(json.dumps({"keys": [kept, forge.public_jwk("EdDSA", forge.ED, "ed")]}))
        felt(lambda: statuses(web, idp) == [200])
        jwks.write_text("{")
        eventually(lambda: "jwks.refused" in web.log.read_text(), what="a word about the broken file")
        assert statuses(web, idp) == [200]
        jwks.write_text(json.dumps({"keys": [kept]}))
        felt(lambda: statuses(web, idp) == [401])


def test_a_key_file_that_must_not_be_used_keeps_the_gateway_from_starting(
    valkey: Any, database: Database, tmp_path: Path
) -> None:
    jwks = tmp_path / "jwks.json"
    jwks.write_text('{"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}]}')
    url = database.url.render_as_string(hide_password=False)
    web = WebProcess(tmp_path, REDIS_URL=valkey.url, DATABASE_URL=url, JWT_JWKS_FILE=str(jwks))
    assert web.process.wait(20) == 1
    assert web.log.read_text().startswith("luna: JWT_JWKS_FILE: a key in it is private or symmetric")
