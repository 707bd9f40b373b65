from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.servers import PostgreSQL
from workers.database import Database
from workers.errors import SettingsError


def test_building_one_does_no_io(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'new' / 'luna.db'}").close()
    assert not (tmp_path / "new").exists()


def test_checking_makes_the_folder_and_the_file(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new' / 'luna.db'}")
    database.check()
    database.close()
    assert (tmp_path / "new" / "luna.db").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: cannot create "):
        Database(f"sqlite:///{tmp_path / 'file' / 'luna.db'}").check()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader, " * 100)
    database = Database(f"sqlite:///{tmp_path / 'letter.txt'}")
    with pytest.raises(
        SettingsError, match=r"^DATABASE_URL: .*letter\.txt is not writable \(file is not a database\)$"
    ):
        database.check()
    database.close()


def test_a_file_that_may_only_be_read_is_refused(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'luna.db'}").check()
    database = Database(f"sqlite:///file:{tmp_path / 'luna.db'}?mode=ro&uri=true")
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: .* is not writable \(.*readonly database\)$"):
        database.check()
    database.close()


def test_a_server_that_may_only_be_read_is_refused(postgresql: PostgreSQL) -> None:
    database = Database(f"{postgresql.create()}?options=-c%20default_transaction_read_only%3Don")
    with closing(database), pytest.raises(SettingsError, match=r"^DATABASE_URL: .* is not writable \(.*read-only"):
        database.check()


def test_checking_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("PRAGMA user_version = 7")
    database.check()
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA user_version").scalar() == 7
