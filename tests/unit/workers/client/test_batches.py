from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workers.client.batches import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, first, split
from workers.client.event import MAX_EVENT_BYTES, NewEvent

sizes = st.lists(st.integers(1, MAX_EVENT_BYTES), max_size=100) | st.lists(st.integers(1, 2_000), max_size=3_000)


def itself(size: int) -> int:
    return size


@given(sizes, st.integers(1, MAX_BATCH_EVENTS))
def test_no_batch_is_above_a_limit_and_the_order_is_kept(sizes: list[int], most: int) -> None:
    batches = list(split(sizes, itself, most))
    assert [size for batch in batches for size in batch] == sizes
    assert all(1 <= len(batch) <= most for batch in batches)
    assert all(sum(batch) + len(batch) - 1 + len("[]") <= MAX_BATCH_BYTES for batch in batches)


@given(sizes)
def test_batches_are_as_few_as_the_order_allows(sizes: list[int]) -> None:
    batches = list(split(sizes, itself))
    for batch, after in pairwise(batches):
        more = [*batch, after[0]]
        assert len(more) > MAX_BATCH_EVENTS or sum(more) + len(more) + len("[]") > MAX_BATCH_BYTES


def test_a_batch_of_events_is_as_long_on_the_wire_as_it_was_reckoned() -> None:
    events = [NewEvent("a.b", {"text": "x" * 250_000}) for _ in range(30)]
    batch = first(events, lambda event: len(event.outgoing.body))
    body = b"[" + b",".join(event.outgoing.body for event in batch) + b"]"
    assert MAX_BATCH_BYTES - 260_000 < len(body) <= MAX_BATCH_BYTES


def test_one_that_is_too_large_for_any_batch_goes_alone() -> None:
    assert list(split([MAX_BATCH_BYTES * 2, 1], itself)) == [[MAX_BATCH_BYTES * 2], [1]]
