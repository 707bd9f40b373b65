"""Importing does no I/O, and `scheduler.py` keeps to its floor: import-linter holds packages, not a lone module."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("workers", "actors", "api_gateway")

GUARD = """
import importlib, os, sys

FORBIDDEN = ("socket.", "sqlite3.", "subprocess.", "os.mkdir", "os.rename", "os.remove", "os.posix_spawn", "os.fork")

def guard(event, args):
    writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event.startswith(FORBIDDEN):
        raise RuntimeError(f"{event} {args} while {module} was imported")

sys.dont_write_bytecode = True
sys.addaudithook(guard)
for module in sys.argv[1:]:
    importlib.import_module(module)
"""


def import_guarded(folder: Path, *modules: str) -> str:
    """Import them in a process without a single variable; what it says on standard error."""
    ran = subprocess.run(
        [sys.executable, "-c", GUARD, *modules],
        check=False,
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert bool(ran.returncode) == bool(ran.stderr)
    return ran.stderr


def modules() -> list[str]:
    found = [
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}.")
    ]
    return [*PACKAGES, *found, "scheduler"]


def imported(path: Path) -> Iterator[str]:
    """Every module that the file imports, at its top or inside of a function, with the name taken from it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, *packages: str) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def test_importing_any_module_does_no_io_and_needs_no_environment() -> None:
    assert len(modules()) > 50
    assert import_guarded(ROOT, *modules()) == ""


@pytest.mark.parametrize(
    "line",
    [
        "import socket; socket.socket()",
        "import sqlite3; sqlite3.connect(':memory:')",
        "open('note', 'w')",
        "import os; os.mkdir('var')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.environ['LUNA_ENV']",
    ],
)
def test_io_at_import_would_be_seen(tmp_path: Path, line: str) -> None:
    (tmp_path / "offending.py").write_text(line)
    assert "offending.py" in import_guarded(tmp_path, "offending")


def test_a_service_that_imports_the_client_loads_no_part_of_the_server() -> None:
    program = "import sys, workers.client; print(*{name.split('.')[0] for name in sys.modules if name[0] != '_'})"
    names = "import sys, workers.client; print(*(name for name in sys.modules if name.startswith('workers.')))"
    packages, ours = (subprocess.check_output([sys.executable, "-c", line], text=True) for line in (program, names))
    assert {
        name for name in ours.split() if not within(name, "workers.client", "workers.event", "workers.errors")
    } == set()
    assert "httpx" in packages.split()
    assert {"dramatiq", "fastapi", "pydantic", "redis", "sqlalchemy", "structlog"} & set(packages.split()) == set()


def test_the_scheduler_imports_the_kernel_contracts_and_routes_and_nothing_else_of_ours() -> None:
    ours = {module for module in imported(ROOT / "scheduler.py") if within(module, *PACKAGES, "scheduler", "tests")}
    assert {module for module in ours if not within(module, "workers", "actors.events", "actors.routes")} == set()
    assert {module for module in ours if within(module, "workers.cli")} == set()
    assert "actors.routes.ROUTES" in ours


def test_nothing_imports_the_scheduler() -> None:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert {path for path in paths if any(within(module, "scheduler") for module in imported(path))} == set()
