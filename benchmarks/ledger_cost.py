"""What once-keys and the ledger cost: time for each message, and bytes for each event, beside the same messages plain.

`python -m benchmarks.ledger_cost`. Once-keys live a day, ledgers a week; both lie in the same Redis as the queue.
"""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from statistics import median

from benchmarks.catalogue import LUNA_ENVELOPES, LUNA_EVENTS, System
from benchmarks.cells import Sizes, drain_by_one, drain_by_two
from benchmarks.server import Server

ROUNDS = 3
SIZES = Sizes(share=0.5)


def seconds(system: System, server: Server) -> dict[str, float]:
    """Time for each message, one after the other: to enqueue it one by one, in bulk, and to work it off."""
    server.empty()
    figures = drain_by_two(system, server, SIZES)
    server.empty()
    figures |= drain_by_one(system, server, SIZES)
    return {name: 1 / figures[name] for name in ("enqueue", "bulk", "drain1", "drain2")}


def kept_bytes(server: Server) -> dict[str, float]:
    """What Redis keeps for each event that is done."""
    server.empty()
    before = server.info("memory")["used_memory"]
    drain_by_one(LUNA_EVENTS, server, SIZES)
    events = int(LUNA_EVENTS.jobs * SIZES.share) // 2
    ledgers = list(server.jobs.scan_iter("luna:*:event:*", count=1000))
    once = list(server.jobs.scan_iter("luna:*:seen:*", count=1000))
    return {
        "its ledger": median(server.jobs.memory_usage(name) or 0 for name in ledgers[:1000]),
        "its once-key": median(server.jobs.memory_usage(name) or 0 for name in once[:1000]),
        "all in all": (server.info("memory")["used_memory"] - before) / events,
    }


def main() -> None:
    """The command."""
    ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter).parse_args()
    with Server() as server:
        plain, followed = [], []
        for _ in range(ROUNDS):
            plain.append(seconds(LUNA_ENVELOPES, server))
            followed.append(seconds(LUNA_EVENTS, server))
        print("| step | plain, µs a message | with once-key and ledger | more |\n| --- | --- | --- | --- |")
        for name in plain[0]:
            without, with_ = (median(round_[name] for round_ in rounds) * 1e6 for rounds in (plain, followed))
            print(f"| {name} | {without:.0f} | {with_:.0f} | {with_ - without:+.0f} |")
        sizes = kept_bytes(server)
        print("\nBytes kept for each event: " + ", ".join(f"{what} {size:.0f}" for what, size in sizes.items()) + ".")


if __name__ == "__main__":
    main()
