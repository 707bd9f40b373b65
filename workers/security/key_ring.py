"""The API keys that a gateway process has met: so that the database is asked about them once a second, not per request.

Only what was found is kept, so it is never larger than the table. `Credentials` owns it and calls it from its loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from workers.security.api_keys import ApiKey

FRESH_S = 2.0
"""How long what was read is acted on without another look."""
KEPT_S = 300.0
"""How long it is acted on while the database is away; and how long a key that nobody shows is still looked at."""
USE_NOTED_EVERY_S = 60.0


@dataclass(slots=True)
class Held:
    """A key and when it was read, shown, used, and its use written down; in seconds since the epoch."""

    key: ApiKey
    read_at: float
    shown_at: float
    used_at: float | None = None
    noted_at: float = 0.0


class KeyRing:
    """Keys by id, each as it was last read."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[str, Held] = {}

    def get(self, key_id: str, *, within_s: float = FRESH_S) -> Held | None:
        """The key, if it was read within that time."""
        held, now = self._held.get(key_id), self._clock()
        if held is None or now - held.read_at >= within_s:
            return None
        held.shown_at = now
        return held

    def shown_lately(self) -> list[str]:
        """The ids of those that are worth another look; the others are forgotten."""
        since = self._clock() - KEPT_S
        self._held = {key_id: held for key_id, held in self._held.items() if held.shown_at > since}
        return list(self._held)

    def learn(self, asked: Iterable[str], found: Mapping[str, ApiKey], read_at: float) -> set[str]:
        """Take in what the database said at `read_at`; the ids of those keys that are not as they were."""
        changed = set()
        for key_id in asked:
            held, key = self._held.get(key_id), found.get(key_id)
            if held and held.read_at > read_at:
                continue  # another look was later
            if held and held.key != key:
                changed.add(key_id)
            if key is None:
                self._held.pop(key_id, None)
            elif held:
                held.key, held.read_at = key, read_at
            else:
                self._held[key_id] = Held(key, read_at, shown_at=read_at)
        return changed

    def uses_to_note(self) -> dict[str, datetime]:
        """When which keys were last used, for those about which nothing was written down for a minute."""
        return {
            key_id: datetime.fromtimestamp(held.used_at, UTC)
            for key_id, held in self._held.items()
            if held.used_at is not None and held.used_at - held.noted_at >= USE_NOTED_EVERY_S
        }

    def noted(self, uses: Mapping[str, datetime]) -> None:
        """These uses are written down."""
        for key_id, used_at in uses.items():
            if held := self._held.get(key_id):
                held.noted_at = used_at.timestamp()
