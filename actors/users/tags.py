"""The cache keys and tags of a user: what is cached about it, and what makes that stale."""

from __future__ import annotations


def of_user(user_id: object) -> str:
    """The tag that every entry about this user is under."""
    return f"user:{user_id}"


def profile(user_id: object) -> str:
    """The cache key of the profile."""
    return f"user:{user_id}:profile"


def metrics(user_id: object) -> str:
    """The cache key of the counters."""
    return f"user:{user_id}:metrics"
