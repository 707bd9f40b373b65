"""Asks one limiter for decisions, inside that limiter's environment: `decide.py MODULE WAY CLIENTS COUNT PORT`.

A module has `WAYS`: name to a context manager that takes a port and gives a coroutine function, and how many decisions
one call of it makes. Called with the number of a caller it tells whether all passed. Prints decisions a second.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time

import uvloop

CALLERS = 100


async def decisions_per_s(module: str, way: str, clients: int, count: int, port: int) -> float:
    connected, at_once = importlib.import_module(module).WAYS[way]
    async with connected(port) as take:
        await take(0)  # opens the connection and loads the script

        async def client(first: int) -> None:
            for number in range(first, first + count // clients // at_once):
                if not await take(number % CALLERS):
                    sys.exit("a request was refused")

        began = time.perf_counter()
        await asyncio.gather(*map(client, range(clients)))
        return count // clients // at_once * at_once * clients / (time.perf_counter() - began)


if __name__ == "__main__":
    module, way, *numbers = sys.argv[1:]
    print(uvloop.run(decisions_per_s(module, way, *map(int, numbers))))
