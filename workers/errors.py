"""The error tree. The type of an exception is its verdict: Permanent is never tried again, anything else is.

LunaError
├── SettingsError         a setting is wrong: the process refuses to start
├── NotFoundError         an operator named something that is not there
├── RefusedError          an operator asked for something that must not be done
│   └── BrokenContractError  the data is not what its event's contract asks for
├── PermanentError        no retry can help: straight to the dead letters
└── TransientError        worth another attempt, with backoff
    └── UnavailableError  something this process needs (Redis, database, mail server) cannot be reached
"""

from typing import Any


class LunaError(Exception):
    """The root of all errors that Luna raises on purpose; its text says what to do."""


class SettingsError(LunaError):
    """A setting is missing or wrong; the text names the variable."""


class NotFoundError(LunaError):
    """There is no such queue, dead letter or operation."""


class RefusedError(LunaError):
    """What was asked for would break a rule; the text says which."""


class BrokenContractError(RefusedError):
    """The data breaks the contract of its event; `errors` are pydantic's, with their places in `data`."""

    def __init__(self, type_: str, data: dict[str, Any], errors: list[Any]) -> None:
        places = "; ".join(f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}" for wrong in errors)
        super().__init__(f"the data breaks the contract of {type_}: {places}")
        self.data, self.errors = data, errors


class PermanentError(LunaError):
    """Trying again cannot help: the message becomes a dead letter at once."""


class TransientError(LunaError):
    """Another attempt may help: the message is retried with exponential backoff."""


class UnavailableError(TransientError):
    """A service that Luna rests on cannot be reached just now."""

    def __init__(self, service: str, detail: str) -> None:
        super().__init__(f"{service} cannot be reached: {detail}")
        self.service = service
