"""Runs processes side by side: prefixes their output, starts again what dies, stops all together."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape

STOP_TIMEOUT_S = 15.0
POLL_S = 0.05
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 30.0  # a process that lived this long starts again after the first pause
COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan")
STILL_THERE = 0  # kill(2): no signal is sent, but errors are reported
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(slots=True)
class Process:
    """One supervised process."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    foundation: bool = False
    """whether the others rest on it: then it stops after them"""
    handle: asyncio.subprocess.Process | None = None
    last_line: str = ""


class Supervisor:
    """Starts, watches and stops processes. Before `steady` is set, the end of one is the end of all."""

    def __init__(self, console: Console) -> None:
        self.steady = False
        self.failed: Process | None = None
        self.stopping = asyncio.Event()
        self._console = console
        self._watching: list[tuple[Process, asyncio.Task[None]]] = []

    async def start(self, process: Process) -> None:
        """Start a process and keep it running until `stop`."""
        await self._spawn(process)
        self._watching.append((process, asyncio.create_task(self._watch(process))))

    async def stop(self) -> None:
        """Stop all, the foundations last: SIGTERM, and SIGKILL for what has not ended in time."""
        self.stopping.set()
        for foundation in (False, True):
            mine = [pair for pair in self._watching if pair[0].foundation is foundation]
            await asyncio.gather(*(self._stop(process, watcher) for process, watcher in mine))

    async def _stop(self, process: Process, watcher: asyncio.Task[None]) -> None:
        if process.handle is not None and process.handle.returncode is None:
            process.handle.terminate()  # it alone: it tells its own children, and a second word would kill them
        try:
            await asyncio.wait_for(asyncio.shield(watcher), STOP_TIMEOUT_S)
        except TimeoutError:
            self.say(f"{process.name} does not stop; it is killed", style="red")
            _signal_group(process, signal.SIGKILL)
            await watcher

    def say(self, text: str, style: str = "bold") -> None:
        """One line of our own among theirs."""
        self._console.print(f"[{style}]luna[/]      {escape(text)}")

    async def _spawn(self, process: Process) -> None:
        process.handle = await asyncio.create_subprocess_exec(
            *process.command,
            env=dict(process.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone; we pass it on, in order
            preexec_fn=_die_with_parent(),
        )

    async def _watch(self, process: Process) -> None:
        pause = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            status = await self._until_end(process)
            if self.stopping.is_set():
                return
            if not self.steady:
                self.failed = process
                self.stopping.set()
                return
            pause = FIRST_PAUSE_S if time.monotonic() - began > STEADY_AFTER_S else pause
            self.say(f"{process.name} ended with status {status}; it starts again in {pause:g} s", style="yellow")
            try:
                await asyncio.wait_for(self.stopping.wait(), pause)
            except TimeoutError:
                await self._spawn(process)
            else:
                return
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _until_end(self, process: Process) -> int:
        """Show what the process says until it has ended, with all that it started; the exit status."""
        handle = process.handle
        if handle is None or handle.stdout is None:
            raise RuntimeError(f"{process.name} was never started")
        relay = asyncio.create_task(self._relay(process, handle.stdout))
        # neither `wait` nor the end of output tells: children of its own hold the pipe open
        while handle.returncode is None:  # noqa: ASYNC110 asyncio offers nothing to wait on
            await asyncio.sleep(POLL_S)
        await _end_group(process)
        await relay
        return handle.returncode

    async def _relay(self, process: Process, stdout: asyncio.StreamReader) -> None:
        colour = COLOURS[sum(process.name.encode()) % len(COLOURS)]
        while line := await _line(stdout):
            process.last_line = line.decode(errors="replace").rstrip()
            self._console.print(f"[{colour}]{process.name:<9}[/] {escape(process.last_line)}")


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line, or as much of an over-long one as the stream holds; empty at the end."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await stream.read(error.consumed)


async def _end_group(process: Process) -> None:
    """Stop what a process left behind, such as the children of a killed parent."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    number: int = signal.SIGTERM
    while _signal_group(process, number):
        await asyncio.sleep(POLL_S)
        number = signal.SIGKILL if time.monotonic() > deadline else STILL_THERE


def _signal_group(process: Process, number: int) -> bool:
    """Signal the process's whole group; whether there was anyone."""
    if process.handle is None:
        return False
    try:
        os.killpg(process.handle.pid, number)
    except ProcessLookupError:
        return False
    return True


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux: the child gets SIGTERM when we die, even by SIGKILL. The library is loaded before the fork."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
