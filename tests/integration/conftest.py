from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway import Gateway, settings
from tests.servers import Valkey
from workers.database import Database


@pytest.fixture
def gateway(valkey: Valkey, database: Database) -> Iterator[Gateway]:
    """The application over a real Valkey and a migrated SQLite file, both empty."""
    with Gateway(settings(valkey.url), database) as gateway:
        yield gateway
