"""Batches within the gateway's limits, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

MAX_BATCH_EVENTS = 1000
MAX_BATCH_BYTES = 5_000_000
"""The gateway's limits for one request."""

T = TypeVar("T")


def first(things: Iterable[T], size: Callable[[T], int], most: int = MAX_BATCH_EVENTS) -> list[T]:
    """The first things that fit into one batch, as JSON list; at least one if there is one."""
    batch: list[T] = []
    total = len(b"[]")
    for thing in things:
        total += size(thing) + len(b",")
        if batch and total > MAX_BATCH_BYTES:
            break
        batch.append(thing)
        if len(batch) >= most:
            break
    return batch


def split(things: list[T], size: Callable[[T], int], most: int = MAX_BATCH_EVENTS) -> Iterator[list[T]]:
    """All of them, in as few batches as their order allows."""
    begin = 0
    while batch := first(things[begin : begin + most], size, most):
        yield batch
        begin += len(batch)


def halves(things: list[T]) -> tuple[list[T], list[T]]:
    """Two lists in place of one that was too much."""
    middle = len(things) // 2
    return things[:middle], things[middle:]
