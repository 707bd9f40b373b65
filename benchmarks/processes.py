"""Processes that the benchmark started, with all their children: ended by process id, weighed from /proc (Linux)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CLEAN_END_S = 3


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: asked first, then made to."""
    family = descendants([process.pid])
    process.terminate()
    try:
        process.wait(CLEAN_END_S)
    except subprocess.TimeoutExpired:
        for pid in family:
            _kill(pid)
        process.wait()


def kill(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """End processes and their children at once."""
    started = list(processes)
    for pid in descendants(process.pid for process in started):
        _kill(pid)
    for process in started:
        process.wait()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def descendants(pids: Iterable[int]) -> list[int]:
    """These processes and all below them."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _stat(int(folder.name)):
            children[int(fields[1])].append(int(folder.name))
    found, todo = [], list(pids)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children[pid]
    return found


def pss_mb(pids: Iterable[int]) -> float:
    """Their proportional set size: pages that n processes share count 1/n for each."""
    return sum(_pss_kb(pid) for pid in pids) / 1024


def _pss_kb(pid: int) -> int:
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time used so far, in user and system mode."""
    return sum(int(fields[11]) + int(fields[12]) for fields in map(_stat, pids) if fields) / TICKS


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (proc(5) counts from 1 and names: ours begin at its third)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
