"""Every Redis key, one function each. Keys of one queue share a hash tag, so a queue lives in one cluster slot."""

from __future__ import annotations

WORKERS = "luna:workers"
"""Sorted set: worker id by the time it was last seen, in ms."""


def worker(worker_id: str) -> str:
    """Hash with expiry: one living worker process."""
    return f"luna:worker:{worker_id}"


def stream(queue: str) -> str:
    """Stream, group `workers`: messages ready or being worked on. One field, `m`: the encoded Dramatiq message."""
    return f"luna:{{{queue}}}:stream"


def delayed(queue: str) -> str:
    """Sorted set: name of a delayed message by when it is due, in ms of the server's clock."""
    return f"luna:{{{queue}}}:delayed"


def delayed_messages(queue: str) -> str:
    """Hash: name of a delayed message to the encoded message."""
    return f"luna:{{{queue}}}:delayed:messages"


def paused(queue: str) -> str:
    """String: there while the queue is paused; who paused it and when."""
    return f"luna:{{{queue}}}:paused"


def settled(queue: str) -> str:
    """Hash with expiry: tens of seconds since the epoch to how many messages were settled in them."""
    return f"luna:{{{queue}}}:settled"


def seen(queue: str, identity: str, actor: str) -> str:
    """Publish once: string with expiry, the digest of the body as sent."""
    return f"luna:{{{queue}}}:seen:{identity}:{actor}"


def ledger(queue: str, event_digest: str) -> str:
    """Hash with expiry: what became of the events with this id on this queue."""
    return f"luna:{{{queue}}}:event:{event_digest}"


def ledgers(queue: str) -> str:
    """List: the ledgers of this queue, oldest first, so that their number can be bounded."""
    return f"luna:{{{queue}}}:events"


def dead(queue: str) -> str:
    """Sorted set: dead letter by time of death, in ms."""
    return f"luna:{{{queue}}}:dead"


def letters(queue: str) -> str:
    """Hash: dead letter's id to the letter."""
    return f"luna:{{{queue}}}:dead:letters"


def dead_counts(queue: str) -> str:
    """Hash: `actor|NAME`, `reason|NAME` and `fingerprint|NAME` to how many dead letters have it."""
    return f"luna:{{{queue}}}:dead:counts"


def dead_by(queue: str, index: str, value: str) -> str:
    """Sorted set: the dead letters of one actor, reason or fingerprint by time of death, in ms."""
    return f"luna:{{{queue}}}:dead:{index}:{value}"


def cache_entry(key: str) -> str:
    """String with expiry: one cached value with the nonces its tags had before it was loaded."""
    return f"luna:cache:entry:{key}"


def cache_tag(tag: str) -> str:
    """String: the present nonce of a cache tag."""
    return f"luna:cache:tag:{tag}"


def limit(bucket_digest: str) -> str:
    """String with expiry: when this bucket is full again. All share a slot, so that one script decides all layers."""
    return f"luna:{{limits}}:{bucket_digest}"
