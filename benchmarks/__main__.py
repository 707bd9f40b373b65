"""Runs the cells of every system in turn, round by round, keeps each as a line of JSON, and prints the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from benchmarks.catalogue import SYSTEMS, System
from benchmarks.cells import CELLS, QUICK, Sizes
from benchmarks.environments import AbsentError
from benchmarks.report import markdown, read
from benchmarks.server import Server

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """The command."""
    options = _options()
    if options.report:
        print(markdown(*read(options.report)))
        return
    chosen = {system: version for system in SYSTEMS if system.name in options.systems if (version := _version(system))}
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / time.strftime("%Y-%m-%dT%H%M%S.jsonl")
    with Server(fsync=options.fsync, binary=options.server) as server, path.open("w") as results:
        facts = _facts(server, options, {system.name: version for system, version in chosen.items()})
        _keep(results, facts)
        for number in range(1, options.rounds + 1):
            for system in chosen:
                for cell in options.cells:
                    _keep(results, _measured(number, system, cell, server, QUICK if options.quick else Sizes()))
    print(f"kept in {path}\n", file=sys.stderr)
    print(markdown(*read(path)))


def _options() -> argparse.Namespace:
    names = [system.name for system in SYSTEMS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--systems", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS), metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a fifth of the work: for a look, not for a figure")
    parser.add_argument("--fsync", action="store_true", help="the server writes each command to disk first")
    parser.add_argument("--server", help="the server's program, instead of the embedded Valkey")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that keeps them")
    parser.add_argument("--report", type=Path, help="only print the table of these results")
    return parser.parse_args()


def _version(system: System) -> str:
    try:
        return system.version()
    except AbsentError as absent:
        print(f"{system.name} is skipped: {absent}", file=sys.stderr)
        return ""


def _measured(number: int, system: System, cell: str, server: Server, sizes: Sizes) -> dict[str, Any]:
    began = time.monotonic()
    server.empty()
    line: dict[str, Any] = {"round": number, "system": system.name, "cell": cell}
    try:
        line["figures"] = CELLS[cell](system, server, sizes)
    except (RuntimeError, subprocess.TimeoutExpired) as error:  # one system's failure is told, and stops no other
        line["error"] = str(error)
    took = time.monotonic() - began
    shown = line.get("error") or "  ".join(f"{key} {value:,.4g}" for key, value in line["figures"].items())
    print(f"{number} {system.name} {cell} ({took:.0f} s): {shown}", file=sys.stderr)
    return line


def _keep(results: TextIO, line: dict[str, Any]) -> None:
    results.write(json.dumps(line) + "\n")
    results.flush()


def _facts(server: Server, options: argparse.Namespace, versions: dict[str, str]) -> dict[str, Any]:
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "rounds": options.rounds,
        "cores": os.cpu_count(),
        "cpu": cpu[1] if cpu else platform.machine(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "server": server.name,
        "persistence": "each write synced to disk" if options.fsync else "no persistence",
        "versions": versions,
        "keeps": [system.name for system in SYSTEMS if system.keeps],
    }


if __name__ == "__main__":
    main()
