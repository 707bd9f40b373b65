from __future__ import annotations

import pytest

from workers.rates import Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [("600/1m", Rate(600, 60)), (" 3000/1m ", Rate(3000, 60)), ("1/1s", Rate(1, 1)), ("10/2h", Rate(10, 7200))],
)
def test_a_rate_is_read_from_its_text(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("rate", [Rate(600, 60), Rate(1, 1), Rate(10, 7200), Rate(5, 90), Rate(9, 86400)])
def test_a_rate_is_written_as_it_is_read(rate: Rate) -> None:
    assert Rate.parse(str(rate)) == rate


@pytest.mark.parametrize(
    "text", ["", "600", "600/m", "0/1m", "1/0s", "-1/1m", "600/1w", "1e3/1m", "6 00/1m", "20000000/1m", "1/31d", "٣/1m"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate|beyond"):
        Rate.parse(text)
