from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.errors import SettingsError
from workers.settings import Files, load

ROOT = Path(__file__).parents[3]


@pytest.fixture
def files() -> Files:
    return Files(Path(os.environ["LUNA_DATA_DIR"]))


def test_development_makes_its_own_key_and_keeps_it(files: Files) -> None:
    first = load().jwt_secrets
    assert load().jwt_secrets == first
    assert len(first[0]) == 64
    assert files.jwt_secret.read_text() == first[0]


def test_the_key_is_for_its_owner_only_and_leaves_no_draft(files: Files) -> None:
    load()
    assert files.jwt_secret.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in files.jwt_secret.parent.iterdir()] == ["jwt-secret"]


def test_all_processes_that_start_together_share_the_key_of_the_first() -> None:
    show = "from workers.settings import load; print(load().jwt_secrets[0])"
    started = [
        subprocess.Popen([sys.executable, "-c", show], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ROOT})
        for _ in range(4)
    ]
    keys = {process.communicate(timeout=30)[0] for process in started}
    assert len(keys) == 1
    assert keys != {b""}


def test_a_process_that_comes_second_leaves_the_first_ones_key_alone(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def overtaken(draft: Path, path: Path) -> None:
        path.write_text("the other's")
        link(draft, path)

    monkeypatch.setattr(os, "link", overtaken)
    assert load().jwt_secrets == ("the other's",)
    assert [path.name for path in files.jwt_secret.parent.iterdir()] == ["jwt-secret"]


def test_production_makes_no_key(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNA_ENV", "production")
    monkeypatch.setenv("REDIS_URL", "redis://queue")
    secret = "0123456789abcdefghijklmnopqrstuv"
    monkeypatch.setenv("JWT_SECRET", secret)
    assert load().jwt_secrets == (secret,)
    assert not files.jwt_secret.exists()


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LUNA_DATA_DIR", str(tmp_path / "file" / "var"))
    with pytest.raises(SettingsError, match=r"^LUNA_DATA_DIR: cannot write to "):
        load()


def test_the_embedded_server_of_the_data_folder_is_found(files: Files) -> None:
    files.valkey_url.parent.mkdir()
    files.valkey_url.write_text("unix://:pw@/tmp/valkey.sock\n")
    assert load().redis == "unix://:pw@/tmp/valkey.sock"


def test_a_server_that_is_set_goes_before_the_embedded_one(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.valkey_url.parent.mkdir()
    files.valkey_url.write_text("unix://:pw@/tmp/valkey.sock")
    monkeypatch.setenv("REDIS_URL", "redis://queue")
    assert load().redis == "redis://queue"


def test_without_any_server_the_error_says_what_starts_one() -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL: .*`luna up` starts one"):
        _ = load().redis


def test_the_embedded_database_lies_in_the_data_folder(files: Files) -> None:
    assert load().database == f"sqlite:///{files.lock.parent / 'luna.db'}"
