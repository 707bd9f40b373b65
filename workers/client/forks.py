"""What must begin anew in a forked child: locks that nobody there holds, connections that are the parent's."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Told in the child, before anything else runs there."""

    def forked(self) -> None:
        """Begin anew."""


def watch(thing: Forkable) -> None:
    """Tell this thing, as long as it lives, when it finds itself in a child."""
    _living.add(thing)


def _forked() -> None:
    for thing in list(_living):
        thing.forked()


_living: weakref.WeakSet[Forkable] = weakref.WeakSet()

os.register_at_fork(after_in_child=_forked)
