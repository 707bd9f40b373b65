from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import Gateway, WebProcess, settings
from tests.servers import Valkey
from workers.database import Database


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
