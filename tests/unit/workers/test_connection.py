from __future__ import annotations

import pytest

from tests.builders import NOBODY_LISTENS
from tests.servers import Valkey
from workers.connection import connect, masked, ping
from workers.errors import UnavailableError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://queue:6379/0", "redis://queue:6379/0"),
        ("redis://:hunter2@queue:6379/0", "redis://:***@queue:6379/0"),
        ("rediss://luna:hunter2@queue/1", "rediss://luna:***@queue/1"),
        ("redis://luna:hunter2@[::1]:6379", "redis://luna:***@[::1]:6379"),
        ("redis://luna:hunt@er2@queue", "redis://luna:***@queue"),
        ("unix://:hunter2@/run/valkey.sock", "unix://:***@/run/valkey.sock"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock"),
        ("redis://queue/0?db=1&password=hunter2", "redis://queue/0?db=1&password=***"),
    ],
)
def test_a_password_is_hidden_and_nothing_else(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_a_server_that_answers_is_fine(valkey: Valkey) -> None:
    ping(valkey.url)


def test_opening_a_client_does_no_io() -> None:
    connect(NOBODY_LISTENS).close()


def test_a_server_that_is_away_is_unavailable_and_named() -> None:
    with pytest.raises(UnavailableError, match=r"^Redis at redis://127\.0\.0\.1:1/0 cannot be reached: "):
        ping(NOBODY_LISTENS)


def test_a_refused_password_is_not_shown(valkey: Valkey) -> None:
    wrong = valkey.url.replace(valkey.password, "hunter2")
    with pytest.raises(UnavailableError) as refusal:
        ping(wrong)
    assert "hunter2" not in str(refusal.value)
    assert "\n" not in str(refusal.value)
