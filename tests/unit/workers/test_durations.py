from __future__ import annotations

import time

import pytest

from workers import durations


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)])
def test_a_duration_is_read_in_its_unit(text: str, expected: int) -> None:
    assert durations.seconds(text) == expected


def test_since_a_duration_is_that_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 7_200.5)
    assert durations.since_ms("1h") == 3_600_500


@pytest.mark.parametrize("text", ["1970-01-01T01:00:00Z", "1970-01-01T02:00:00+01:00", "1970-01-01t01:00:00.000z"])
def test_since_a_moment_is_that_moment_whatever_its_offset(text: str) -> None:
    assert durations.since_ms(text) == 3_600_000


def test_a_moment_before_the_epoch_is_the_epoch() -> None:
    assert durations.since_ms("0001-01-01T00:00:00+23:59") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "h",
        "0h",
        "-1h",
        "1 h",
        "1w",
        "9999999d",
        "2026-01-31",
        "2026-01-31T09:00:00",
        "now",
        "20260131T090000Z",
        "2026-02-30T00:00:00Z",
    ],
)
def test_what_is_neither_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a duration such as 12h nor a moment"):
        durations.since_ms(text)
