from __future__ import annotations

import pytest

from tests.builders import NOBODY_LISTENS
from tests.servers import Valkey
from workers import startup
from workers.database import Database
from workers.database.migrate import downgrade
from workers.errors import SettingsError, UnavailableError
from workers.settings import Settings


def settings(redis_url: str) -> Settings:
    return Settings.model_validate({"REDIS_URL": redis_url})


def test_a_process_starts_when_everything_is_there(valkey: Valkey, database: Database) -> None:
    startup.check(settings(valkey.url), database)


def test_a_process_does_not_start_without_redis(database: Database) -> None:
    with pytest.raises(UnavailableError, match=r"^Redis at "):
        startup.check(settings(NOBODY_LISTENS), database)


def test_a_process_does_not_start_on_an_older_schema(valkey: Valkey, database: Database) -> None:
    downgrade(database, "base")
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: .*run `luna migrate`$"):
        startup.check(settings(valkey.url), database)


def test_an_error_of_ours_ends_the_process_in_one_line() -> None:
    with pytest.raises(SystemExit, match=r"^luna: LUNA_PORT: is taken$"):
        startup.refuse(SettingsError("LUNA_PORT: is taken"))


def test_a_worker_process_makes_its_checks_before_its_first_message(database: Database) -> None:
    checks = startup.StartChecks(settings(NOBODY_LISTENS), database)
    with pytest.raises(SystemExit, match=r"^luna: Redis at redis://127\.0\.0\.1:1/0 cannot be reached"):
        checks.after_process_boot(None)  # type: ignore[arg-type]  # it needs no broker
