"""The cache: values under tags, stale-free by tag versions."""

from workers.cache.tagged import Read, TaggedCache

__all__ = ["Read", "TaggedCache"]
