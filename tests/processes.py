"""Luna's processes under test: started as a supervisor would start them, always stopped by their own process id."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.servers import eventually
from workers.settings import Settings

ROOT = Path(__file__).parents[1]
SOURCES = ("Makefile", "Procfile", "README.md", "actors", "api_gateway", "scheduler.py", "workers")
SHOWN_LINES = 80


def project(folder: Path) -> Path:
    """The repository without what a developer keeps in it, such as `.env` and `var`."""
    folder.mkdir()
    for name in SOURCES:
        (folder / name).symlink_to(ROOT / name)
    return folder


def procfile() -> dict[str, list[str]]:
    """Process type to command, as a supervisor reads the Procfile."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.split() for name, _, command in (line.partition(": ") for line in lines)}


def environment(data_dir: Path, **variables: object) -> dict[str, str]:
    """What a process runs with: nothing of the developer's settings, and this Python's commands first."""
    ours = {str(field.alias) for field in Settings.model_fields.values()}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {name: str(value) for name, value in variables.items()}
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", "LUNA_DATA_DIR": str(data_dir), **given}


class Process:
    """One process, with its output in a file; `start` after `stop` starts it again."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], *, folder: Path, log: Path) -> None:
        self.command = list(command)
        self._variables = dict(variables)
        self._folder = folder
        self._log = log
        self._handle: subprocess.Popen[bytes] | None = None
        self._said_before = 0  # bytes that are in the log from earlier starts

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def alive(self) -> bool:
        return self._started.poll() is None

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> Self:
        with self._log.open("ab") as log:
            self._said_before = log.tell()
            self._handle = subprocess.Popen(
                self.command,
                env=self._variables,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def says(self, pattern: str, *, times: int = 1, within: float = 20.0) -> re.Match[str]:
        """Wait until the output holds `pattern`, `times` times; the last match. Fails at once when the process ends."""

        def found() -> re.Match[str] | None:
            ended = self._started.poll() is not None  # asked first: what it wrote before is in the output then
            matches = list(re.finditer(pattern, self.output, re.MULTILINE))
            if ended and len(matches) < times:
                raise AssertionError(f"{self} ended without saying {pattern!r}:\n{self.tail}")
            return matches[times - 1] if len(matches) >= times else None

        match: re.Match[str] = eventually(found, within=within, what=f"{pattern!r} in the output of {self}")
        return match

    def has_said(self, text: str) -> bool:
        """Whether the output since the last start holds `text`."""
        return text.encode() in self._log.read_bytes()[self._said_before :]

    def ends(self, *, within: float = 20.0) -> int:
        """Wait for the end; the exit status."""
        try:
            return self._started.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} does not end within {within} s:\n{self.tail}") from None

    def stop(self, number: int = signal.SIGTERM, *, within: float = 20.0) -> int:
        """Signal the process, and wait for its end; the exit status."""
        self._started.send_signal(number)
        return self.ends(within=within)

    def close(self) -> None:
        """Stop it if it still runs, by force if need be, and show its output if the test fails."""
        if self._handle is None:
            return
        if self._handle.poll() is None:
            self._handle.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._handle.wait(10)
            self._handle.kill()
            self._handle.wait(10)
        print(f"--- {self}, exit status {self._handle.returncode}\n{self.tail}")

    @property
    def tail(self) -> str:
        return "\n".join(self.output.splitlines()[-SHOWN_LINES:])

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        assert self._handle is not None, f"{self} was not started"
        return self._handle

    def __str__(self) -> str:
        return " ".join(Path(part).name if "/" in part else part for part in self.command[:4])


class Processes:
    """The processes of one test, in one project folder and with one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = project(folder / "project")
        self.data_dir = folder / "var"
        self._made: list[Process] = []

    def start(self, *command: str, **variables: object) -> Process:
        """Start a command with these variables."""
        log = self.folder / f"{len(self._made)}.log"
        given = environment(self.data_dir, **variables)
        self._made.append(Process(command, given, folder=self.project, log=log))
        return self._made[-1].start()

    def left(self) -> dict[int, str]:
        """What runs with this test's folders: process id to command line."""
        return {pid: line for pid in _pids() if (line := _command_line(pid, self.folder))}

    def close(self) -> None:
        """Stop all, and fail if one of them left something running."""
        for process in reversed(self._made):
            process.close()
        left = self.left()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert left == {}


def children(pid: int) -> dict[int, str]:
    """The living children of a process: process id to command line."""
    return {child: _read(child, "cmdline") for child in _pids() if _parent(child) == pid and _read(child, "cmdline")}


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command_line(pid: int, folder: Path) -> str:
    """The command line of a process that has to do with `folder`, else nothing."""
    if pid == os.getpid():
        return ""
    traces = [_read(pid, "environ"), _read(pid, "cmdline")]
    with suppress(OSError):
        traces.append(f"{Path(f'/proc/{pid}/cwd').readlink()}/")
    return _read(pid, "cmdline") if any(f"{folder}/" in trace for trace in traces) else ""


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _parent(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0
