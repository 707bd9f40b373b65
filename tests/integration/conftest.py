"""What the tests of whole processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import Gateway, WebProcess, settings
from tests.luna_up import LunaUp
from tests.mailserver import MailServer
from tests.processes import Processes
from tests.servers import Valkey
from workers.database import Database


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LunaUp]:
    """One `luna up` that many tests share; each leaves it working."""
    started = Processes(tmp_path_factory.mktemp("up"))
    try:
        yield LunaUp(started)
    finally:
        started.close()


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server that this test alone uses, with every write on disk."""
    server = Valkey(tmp_path_factory.mktemp("valkey")).start()
    yield server
    server.stop()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """A mail server that takes everything."""
    with MailServer() as server:
        yield server


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes for a test, and stops what the test leaves."""
    started = Processes(tmp_path)
    yield started
    started.close()


@pytest.fixture
def gateway(valkey: Valkey, database: Database) -> Iterator[Gateway]:
    """The application over a real Valkey and a migrated SQLite file, both empty."""
    with Gateway(settings(valkey.url), database) as gateway:
        yield gateway


@pytest.fixture
def web(valkey: Valkey, database: Database, tmp_path: Path) -> Iterator[WebProcess]:
    """The process that serves it, over the same; as in production, so that its logs are JSON."""
    url = database.url.render_as_string(hide_password=False)
    with WebProcess(tmp_path, REDIS_URL=valkey.url, DATABASE_URL=url, LUNA_ENV="production") as web:
        yield web
