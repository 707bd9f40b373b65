from __future__ import annotations

import pytest

from workers.errors import LunaError, PermanentError, SettingsError, TransientError, UnavailableError


def test_unavailable_names_the_service_and_is_worth_another_attempt() -> None:
    error = UnavailableError("the database", "connection refused")
    assert (str(error), error.service) == ("the database cannot be reached: connection refused", "the database")
    assert isinstance(error, TransientError)


@pytest.mark.parametrize("error", [SettingsError, PermanentError, TransientError, UnavailableError])
def test_every_error_of_ours_has_one_root(error: type[Exception]) -> None:
    assert issubclass(error, LunaError)


def test_no_error_is_permanent_and_transient_at_once() -> None:
    assert not issubclass(PermanentError, TransientError)
    assert not issubclass(TransientError, PermanentError)
