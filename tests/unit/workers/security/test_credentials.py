from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from tests.hostile_credentials import forge
from workers.database import Database
from workers.errors import UnavailableError
from workers.rates import Rate
from workers.security import api_keys, credentials, revocations
from workers.security.api_keys import ApiKey
from workers.security.callers import Caller, InvalidCredentialError
from workers.security.credentials import MAX_REMEMBERED, REMEMBERED_S, Credentials
from workers.security.key_ring import FRESH_S, KEPT_S, USE_NOTED_EVERY_S, KeyRing
from workers.security.tokens import LEEWAY_S, Tokens

SCOPES = frozenset({"events:read", "events:write"})
RATE = Rate(7, 60)


class Clock:
    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)


class Switch(Database):
    """A database that can be away."""

    away = False
    reads = 0

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self.reads += 1
        if self.away:
            raise UnavailableError("the database", "it is switched off")
        with super().read() as connection:
            yield connection


class Gateway:
    """One process's credentials over a database, on a clock that stands until it is moved."""

    def __init__(self, database: Database) -> None:
        self.clock, self.database = Clock(), Switch(database.url.render_as_string(hide_password=False))
        self.tokens = Tokens(["s" * 32], issuer="luna", audience="luna", clock=self.clock)
        self.credentials = Credentials(self.tokens, self.database, clock=self.clock)
        self._runner = asyncio.Runner()

    def close(self) -> None:
        self.run(self.credentials.settled())
        self._runner.close()
        self.database.close()

    def run(self, awaitable: Any) -> Any:
        return self._runner.run(awaitable)

    def verify(self, credential: str) -> Caller:
        caller: Caller = self.run(self.credentials.verify(credential))
        return caller

    def look(self) -> None:
        self.run(self.credentials.look())

    def remembered(self, credential: str) -> Caller | None:
        return self.credentials.remembered(credential)

    def token(self, ttl_s: int = 600) -> str:
        return self.tokens.issue("shop", SCOPES, ttl_s)

    def revoke_token(self, token: str) -> None:
        known = self.tokens.verify(token)
        with self.database.write() as connection:
            expires_at = datetime.fromtimestamp(known.expires_at, UTC)
            revocations.revoke(connection, known.id, expires_at, self.clock.moment)

    def new_key(self, ttl_s: float = 3600, rate: Rate | None = None) -> tuple[str, str]:
        with self.database.write() as connection:
            expires_at = self.clock.moment + timedelta(seconds=ttl_s)
            return api_keys.create(connection, "shop", SCOPES, rate, expires_at, self.clock.moment)

    def stored(self, key_id: str) -> ApiKey:
        with self.database.write() as connection:
            return api_keys.find(connection, [key_id])[key_id]

    def rotate(self, key_id: str, overlap_s: float) -> str:
        with self.database.write() as connection:
            until = self.clock.moment + timedelta(seconds=overlap_s)
            return api_keys.rotate(connection, key_id, until, self.clock.moment)

    def revoke_key(self, key_id: str) -> None:
        with self.database.write() as connection:
            api_keys.revoke(connection, key_id, self.clock.moment)


@pytest.fixture
def gateway(any_database: Database) -> Iterator[Gateway]:
    gateway = Gateway(any_database)
    yield gateway
    gateway.close()


def test_a_verified_token_is_remembered_for_a_minute(gateway: Gateway) -> None:
    token = gateway.token()
    assert gateway.remembered(token) is None
    caller = gateway.verify(token)
    assert caller == Caller("shop", SCOPES)
    gateway.clock.now += REMEMBERED_S - 1
    assert gateway.remembered(token) == caller
    gateway.clock.now += 1
    assert gateway.remembered(token) is None
    assert gateway.verify(token) == caller


def test_no_token_is_remembered_past_its_expiry(gateway: Gateway) -> None:
    token = gateway.token(ttl_s=5)
    gateway.verify(token)
    gateway.clock.now += 5
    assert gateway.remembered(token) is None
    assert gateway.verify(token).subject == "shop", "a clock may be a little off"
    assert gateway.remembered(token) is None
    gateway.clock.now += LEEWAY_S
    with pytest.raises(InvalidCredentialError, match="expired"):
        gateway.verify(token)


def test_what_is_refused_is_not_remembered(gateway: Gateway) -> None:
    with pytest.raises(InvalidCredentialError):
        gateway.verify("nonsense")
    assert gateway.remembered("nonsense") is None


def test_a_revoked_token_is_forgotten_at_the_next_look_and_refused(gateway: Gateway) -> None:
    token, other = gateway.token(), gateway.token()
    gateway.verify(token), gateway.verify(other)
    gateway.revoke_token(token)
    gateway.look()
    assert gateway.remembered(token) is None
    with pytest.raises(InvalidCredentialError, match="revoked"):
        gateway.verify(token)
    assert gateway.remembered(other) is not None


def test_revocations_are_known_before_the_first_token_is_let_in(gateway: Gateway) -> None:
    token = gateway.token()
    gateway.revoke_token(token)
    with pytest.raises(InvalidCredentialError, match="revoked"):
        gateway.verify(token)
    gateway.database.reads = 0
    with pytest.raises(InvalidCredentialError, match="revoked"):
        gateway.verify(token)
    assert gateway.database.reads == 0


def test_no_token_is_let_in_while_revocations_were_never_read(gateway: Gateway) -> None:
    gateway.database.away = True
    with pytest.raises(UnavailableError):
        gateway.verify(gateway.token())
    with pytest.raises(InvalidCredentialError):
        gateway.verify("nonsense")


def test_while_the_database_is_away_tokens_are_held_against_what_was_read_last(gateway: Gateway) -> None:
    good, revoked = gateway.token(), gateway.token()
    gateway.revoke_token(revoked)
    gateway.look()
    gateway.database.away = True
    gateway.clock.now += 300
    assert gateway.verify(good).subject == "shop"
    with pytest.raises(InvalidCredentialError, match="revoked"):
        gateway.verify(revoked)


def test_memory_is_bounded_and_the_oldest_goes_first(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_REMEMBERED <= 10_000
    monkeypatch.setattr(credentials, "MAX_REMEMBERED", 3)
    tokens = [gateway.token() for _ in range(5)]
    for token in tokens:
        gateway.verify(token)
    assert [gateway.remembered(token) is not None for token in tokens] == [False, False, True, True, True]


def test_what_is_past_its_time_takes_no_memory(gateway: Gateway) -> None:
    gateway.verify(gateway.token())
    gateway.clock.now += REMEMBERED_S
    gateway.look()
    assert not gateway.credentials._remembered  # noqa: SLF001 what a process holds shows nowhere else


def test_a_key_is_its_owner_with_its_scopes_and_its_own_rate(gateway: Gateway) -> None:
    key_id, shown = gateway.new_key(rate=RATE)
    caller = gateway.verify(shown)
    assert caller == Caller("shop", SCOPES, key_id, RATE)
    assert gateway.remembered(shown) == caller


def test_a_key_that_is_revoked_is_forgotten_at_the_next_look_and_refused(gateway: Gateway) -> None:
    key_id, shown = gateway.new_key()
    gateway.verify(shown)
    gateway.revoke_key(key_id)
    gateway.look()
    assert gateway.remembered(shown) is None
    with pytest.raises(InvalidCredentialError, match="revoked"):
        gateway.verify(shown)


def test_a_key_that_is_deleted_is_forgotten_at_the_next_look(gateway: Gateway) -> None:
    _, shown = gateway.new_key()
    gateway.verify(shown)
    with gateway.database.write() as connection:
        api_keys.purge(connection, gateway.clock.moment + timedelta(days=1))
    gateway.look()
    assert gateway.remembered(shown) is None
    with pytest.raises(InvalidCredentialError, match="no API key"):
        gateway.verify(shown)


def test_what_was_read_of_a_key_is_not_believed_for_longer_than_two_seconds(gateway: Gateway) -> None:
    assert FRESH_S <= 2
    key_id, shown = gateway.new_key()
    gateway.verify(shown)
    gateway.revoke_key(key_id)
    gateway.clock.now += FRESH_S
    with pytest.raises(InvalidCredentialError, match="revoked"):
        gateway.verify(shown)
    assert gateway.remembered(shown) is None


def test_an_expired_key_is_refused_and_not_remembered_past_its_end(gateway: Gateway) -> None:
    _, shown = gateway.new_key(ttl_s=10)
    gateway.verify(shown)
    gateway.clock.now += 10
    assert gateway.remembered(shown) is None
    with pytest.raises(InvalidCredentialError, match="expired"):
        gateway.verify(shown)


def test_after_a_rotation_both_secrets_work_until_the_overlap_ends(gateway: Gateway) -> None:
    key_id, old = gateway.new_key()
    gateway.verify(old)
    new = gateway.rotate(key_id, overlap_s=30)
    gateway.look()
    assert gateway.verify(new) == gateway.verify(old)
    gateway.clock.now += 30
    assert gateway.remembered(old) is None
    assert gateway.remembered(new) is not None
    with pytest.raises(InvalidCredentialError):
        gateway.verify(old)


def test_a_new_secret_works_at_once(gateway: Gateway) -> None:
    key_id, old = gateway.new_key()
    gateway.verify(old)
    assert gateway.verify(gateway.rotate(key_id, overlap_s=0)).key == key_id
    assert gateway.remembered(old) is None, "what was read on the way counts for the old one too"


def test_without_the_database_nobody_says_that_a_new_secret_is_wrong(gateway: Gateway) -> None:
    key_id, old = gateway.new_key()
    gateway.verify(old)
    new = gateway.rotate(key_id, overlap_s=60)
    gateway.database.away = True
    with pytest.raises(UnavailableError):
        gateway.verify(new)
    assert gateway.verify(old).key == key_id


def test_an_overlap_does_not_outlive_the_key(gateway: Gateway) -> None:
    key_id, old = gateway.new_key(ttl_s=10)
    gateway.rotate(key_id, overlap_s=3600)
    gateway.clock.now += 10
    with pytest.raises(InvalidCredentialError):
        gateway.verify(old)


def test_the_secret_before_the_last_one_is_over(gateway: Gateway) -> None:
    key_id, oldest = gateway.new_key()
    old = gateway.rotate(key_id, overlap_s=600)
    new = gateway.rotate(key_id, overlap_s=600)
    assert gateway.verify(old) == gateway.verify(new)
    with pytest.raises(InvalidCredentialError):
        gateway.verify(oldest)


def test_a_known_key_works_for_five_minutes_without_the_database_and_no_longer(gateway: Gateway) -> None:
    _, shown = gateway.new_key()
    caller = gateway.verify(shown)
    gateway.database.away = True
    gateway.clock.now += KEPT_S - 1
    assert gateway.remembered(shown) is None
    assert gateway.verify(shown) == caller
    assert gateway.remembered(shown) == caller
    gateway.clock.now += 1
    assert gateway.remembered(shown) is None
    with pytest.raises(UnavailableError):
        gateway.verify(shown)


def test_an_unknown_key_cannot_be_judged_without_the_database(gateway: Gateway) -> None:
    _, shown = gateway.new_key()
    gateway.database.away = True
    with pytest.raises(UnavailableError):
        gateway.verify(shown)


def test_a_key_in_use_is_looked_at_once_a_second_and_not_with_every_request(gateway: Gateway) -> None:
    _, shown = gateway.new_key()
    gateway.look()
    gateway.verify(shown)
    gateway.database.reads = 0
    for _ in range(3):
        gateway.clock.now += 1
        gateway.look()
        gateway.verify(shown)
    assert gateway.database.reads == 3


def test_a_key_that_nobody_shows_is_not_looked_at_for_ever(gateway: Gateway) -> None:
    _, shown = gateway.new_key()
    gateway.verify(shown)
    gateway.clock.now += KEPT_S
    gateway.look()
    assert not gateway.credentials._ring._held  # noqa: SLF001 what a process holds shows nowhere else


def test_a_key_that_is_shown_goes_on_being_looked_at(gateway: Gateway) -> None:
    key_id, shown = gateway.new_key()
    gateway.verify(shown)
    gateway.clock.now += KEPT_S - 1
    gateway.look()
    gateway.verify(shown)
    gateway.clock.now += 2
    gateway.look()
    assert gateway.remembered(shown) is not None
    gateway.revoke_key(key_id)
    gateway.look()
    assert gateway.remembered(shown) is None


def test_a_look_that_began_earlier_does_not_undo_a_later_one(gateway: Gateway) -> None:
    key_id, _ = gateway.new_key()
    ring, before = KeyRing(gateway.clock), gateway.stored(key_id)
    gateway.revoke_key(key_id)
    now = gateway.clock.now
    ring.learn([key_id], {key_id: gateway.stored(key_id)}, now)
    assert ring.learn([key_id], {key_id: before}, now - 0.5) == set()
    held = ring.get(key_id)
    assert held
    assert held.key.revoked_at


def used(gateway: Gateway, key_id: str) -> datetime | None:
    gateway.run(gateway.credentials._note_uses())  # noqa: SLF001 what `run` does once a second
    return gateway.stored(key_id).last_used_at


def test_the_last_use_is_written_down_once_a_minute(gateway: Gateway) -> None:
    key_id, shown = gateway.new_key()
    assert used(gateway, key_id) is None
    gateway.verify(shown)
    first = gateway.clock.moment
    assert used(gateway, key_id) == first
    gateway.clock.now += USE_NOTED_EVERY_S - 1
    gateway.verify(shown)
    assert used(gateway, key_id) == first
    gateway.clock.now += 1
    gateway.verify(shown)
    assert used(gateway, key_id) == gateway.clock.moment


def test_a_use_written_down_changes_nothing_about_the_key(gateway: Gateway) -> None:
    key_id, shown = gateway.new_key()
    gateway.verify(shown)
    assert used(gateway, key_id)
    gateway.look()
    assert gateway.remembered(shown) is not None


def test_a_refused_key_was_not_used(gateway: Gateway) -> None:
    key_id, shown = gateway.new_key()
    with pytest.raises(InvalidCredentialError):
        gateway.verify(shown[:-3] + ("AAA" if shown[-3:] != "AAA" else "BBB"))
    assert used(gateway, key_id) is None


def test_a_use_written_down_by_another_process_later_stays(gateway: Gateway) -> None:
    key_id, shown = gateway.new_key()
    gateway.verify(shown)
    later = gateway.clock.moment + timedelta(seconds=5)
    with gateway.database.write() as connection:
        api_keys.note_use(connection, {key_id: later})
    assert used(gateway, key_id) == later


def test_it_keeps_itself_fresh_and_survives_a_database_that_is_away(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "LOOK_EVERY_S", 0.01)
    token, (key_id, shown) = gateway.token(), gateway.new_key()

    async def until(condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 what it waits for is in the database
                await asyncio.sleep(0.01)

    async def story() -> None:
        running = asyncio.create_task(gateway.credentials.run())
        for credential in (token, shown):
            await gateway.credentials.verify(credential)
        await until(lambda: gateway.stored(key_id).last_used_at)
        gateway.database.away = True
        reads = gateway.database.reads
        await until(lambda: gateway.database.reads > reads + 5)
        assert gateway.remembered(token)
        assert gateway.remembered(shown)
        gateway.database.away = False
        gateway.revoke_token(token)
        gateway.revoke_key(key_id)
        await until(lambda: not gateway.remembered(token) and not gateway.remembered(shown))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with capture_logs() as lines:
        gateway.run(story())
    assert [line["event"] for line in lines] == ["credentials.stale", "credentials.fresh"]


def test_a_database_that_hangs_holds_no_request_for_long(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    go, token = threading.Event(), gateway.token()
    monkeypatch.setattr(credentials, "DEADLINE_S", 0.05)
    monkeypatch.setattr(revocations, "read", lambda *_: go.wait(20))
    with pytest.raises(UnavailableError, match="no answer within"):
        gateway.verify(token)
    go.set()


def test_a_database_without_our_tables_is_one_that_cannot_be_used(gateway: Gateway) -> None:
    _, shown = gateway.new_key()
    with gateway.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE api_keys RENAME TO elsewhere")
    try:
        with pytest.raises(UnavailableError):
            gateway.verify(shown)
    finally:
        with gateway.database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO api_keys")


def test_a_key_file_that_changed_is_read_and_forgets_what_the_old_one_signed(gateway: Gateway, tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"
    public = [forge.public_jwk("ES256", forge.EC, "ec"), forge.public_jwk("EdDSA", forge.ED, "ed")]
    jwks.write_text(json.dumps({"keys": public}))
    gateway.credentials = Credentials(
        Tokens(["s" * 32], issuer="luna", audience="luna", jwks=jwks), gateway.database, clock=gateway.clock
    )
    claims = json.dumps(forge.good_claims()).encode()
    token = forge.raw(b'{"alg":"EdDSA","kid":"ed"}', claims, forge.ED.sign)
    gateway.verify(token)
    jwks.write_text(json.dumps({"keys": public[:1]}))
    gateway.database.away = True
    with pytest.raises(UnavailableError):
        gateway.look()
    assert gateway.remembered(token) is None
    with pytest.raises(InvalidCredentialError, match="no key of this kid"):
        gateway.verify(token)


def test_revocations_are_read_whole_once_a_minute(gateway: Gateway) -> None:
    token = gateway.token(ttl_s=86400)
    gateway.revoke_token(token)
    gateway.look()
    with gateway.database.write() as connection:
        connection.execute(revocations.revoked_tokens.delete())
    gateway.clock.now += credentials.READ_ALL_EVERY_S - 1
    gateway.look()
    with pytest.raises(InvalidCredentialError, match="revoked"):
        gateway.verify(token)
    gateway.clock.now += 1
    gateway.look()
    assert gateway.verify(token).subject == "shop"


def test_nothing_that_is_printed_holds_a_secret(gateway: Gateway) -> None:
    key_id, shown = gateway.new_key()
    token = gateway.token()
    callers = gateway.verify(shown), gateway.verify(token)
    printed = repr((callers, gateway.credentials, gateway.tokens, gateway.tokens.verify(token), gateway.stored(key_id)))
    for secret in (shown.rpartition("_")[2], api_keys.digest_of(shown), token.rpartition(".")[2], "s" * 32):
        assert secret not in printed
