from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile_credentials import forge
from tests.hostile_credentials.forge import Row, World
from tests.hostile_credentials.table import FRIENDLY, HOSTILE
from workers.database import Database
from workers.database.migrate import upgrade
from workers.security import api_keys
from workers.security.credentials import Credentials, InvalidCredentialError


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('hostile') / 'luna.db'}")
    upgrade(database)
    yield database
    database.close()


@pytest.fixture(scope="module")
def world(database: Database, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(database, ("n" * 32, "o" * 32), tmp_path_factory.mktemp("keys") / "jwks.json")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def credentials(world: World, database: Database) -> Credentials:
    return Credentials(world.tokens, database)


def test_the_table_is_long_and_every_row_has_its_own_name() -> None:
    names = [row.name for row in [*HOSTILE, *FRIENDLY]]
    assert len(HOSTILE) >= 150
    assert len(set(names)) == len(names)
    assert all(row.reason for row in HOSTILE)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("row", HOSTILE, ids=lambda row: row.name[:60])
def test_a_hostile_credential_is_refused_for_its_own_reason(
    row: Row, world: World, credentials: Credentials, runner: asyncio.Runner
) -> None:
    credential = row.build(world)
    for _ in range(2):  # nor the second time, from memory
        assert credentials.remembered(credential) is None
        with pytest.raises(InvalidCredentialError, match=row.reason) as refusal:
            runner.run(credentials.verify(credential))
    assert len(str(refusal.value)) < 100
    assert not any(len(part) > 20 and part in str(refusal.value) for part in credential.replace("_", ".").split("."))


@pytest.mark.parametrize("row", FRIENDLY, ids=lambda row: row.name)
def test_a_credential_that_holds_is_let_in_and_remembered(
    row: Row, world: World, credentials: Credentials, runner: asyncio.Runner
) -> None:
    credential = row.build(world)
    caller = runner.run(credentials.verify(credential))
    assert caller.subject
    if row.name != "exp within the leeway":
        assert credentials.remembered(credential) == caller


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def judged(world: World, credential: str) -> bool:
    """Whether it is let in; that it is judged at all is what counts: any other error would be a defect of ours."""
    try:
        return bool(world.tokens.verify(credential))
    except InvalidCredentialError:
        return False


@settings(deadline=None)  # a busy machine is no defect
@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "x"]), JSON), name=st.text(max_size=5))
def test_any_header_is_judged(world: World, header: dict[str, Any], name: str) -> None:
    judged(world, forge.signed(world, header={**header, name: 1}))


@settings(deadline=None)  # a busy machine is no defect
@given(claims=st.dictionaries(st.sampled_from(sorted([*forge.good_claims(), "nbf", "jti"])), JSON, min_size=1))
def test_any_claims_are_judged(world: World, claims: dict[str, Any]) -> None:
    judged(world, forge.signed(world, claims=claims))


@settings(deadline=None)  # a busy machine is no defect
@given(text=st.text(st.characters(codec=None)) | st.from_regex(r"[\w-]{1,40}\.[\w-]{1,40}\.[\w-]{1,40}"))
def test_any_text_is_judged(world: World, text: str) -> None:
    assert not judged(world, text)
    with pytest.raises(InvalidCredentialError):
        api_keys.id_of(text)
