"""Every Redis key, one function each. Keys of one queue share a hash tag, so a queue lives in one cluster slot."""

from __future__ import annotations

WORKERS = "luna:workers"
"""Sorted set: worker id by the time it was last seen, in ms."""


def seen(queue: str, identity: str, actor: str) -> str:
    """Publish once: string with expiry, the digest of the body as sent."""
    return f"luna:{{{queue}}}:seen:{identity}:{actor}"


def ledger(queue: str, event_digest: str) -> str:
    """Hash with expiry: what became of the events with this id on this queue."""
    return f"luna:{{{queue}}}:event:{event_digest}"


def worker(worker_id: str) -> str:
    """Hash with expiry: one living worker process."""
    return f"luna:worker:{worker_id}"


def cache_entry(key: str) -> str:
    """String with expiry: one cached value with the nonces its tags had before it was loaded."""
    return f"luna:cache:entry:{key}"


def cache_tag(tag: str) -> str:
    """String: the present nonce of a cache tag."""
    return f"luna:cache:tag:{tag}"


def dramatiq_queue(queue: str) -> str:
    """List of message ids; the stock Dramatiq broker's own name for it."""
    return f"dramatiq:{queue}"


def dramatiq_messages(queue: str) -> str:
    """Hash of message id to encoded message; the stock Dramatiq broker's own name for it."""
    return f"dramatiq:{queue}.msgs"
