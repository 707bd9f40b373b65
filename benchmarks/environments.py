"""Where each system's programs are: made on first use in the user's cache folder, by the registries' own clients."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "luna-benchmarks"
NODE = CACHE / "node"
NODE_PACKAGES = {"bullmq": "6.7.0", "ioredis": "6.0.0"}


class AbsentError(Exception):
    """This system cannot run here; the text says why."""


def own() -> Path:
    """The environment this runs in."""
    return Path(sys.executable).parent


def virtual(name: str) -> Callable[[], Path]:
    """A virtual environment with requirements/NAME.txt; made again when that changes."""

    def prepare() -> Path:
        requirements, folder = HERE / "requirements" / f"{name}.txt", CACHE / f"{name}-3.{sys.version_info.minor}"
        made_of = folder / "requirements.txt"
        if not made_of.exists() or made_of.read_bytes() != requirements.read_bytes():
            print(f"installing {name} into {folder}", file=sys.stderr)
            pip = [str(folder / "bin" / "pip"), "install", "-qq", "--disable-pip-version-check"]
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([*pip, "--requirement", requirements], check=True)
            shutil.copy(requirements, made_of)
        return folder / "bin"

    return prepare


def sidekiq() -> Path:
    """Debian's package, where it is installed."""
    program = shutil.which("sidekiq")
    if not program or not shutil.which("ruby"):
        raise AbsentError("not installed: apt-get install ruby-sidekiq")
    return Path(program).parent


def bullmq() -> Path:
    """The npm packages, where there is npm."""
    npm = shutil.which("npm")
    if not npm:
        raise AbsentError("not installed: it needs Node.js and npm")
    if {name: _installed(name) for name in NODE_PACKAGES} != NODE_PACKAGES:
        print(f"installing bullmq into {NODE}", file=sys.stderr)
        NODE.mkdir(parents=True, exist_ok=True)
        (NODE / "package.json").write_text(json.dumps({"private": True, "dependencies": NODE_PACKAGES}))
        install = [npm, "install", "--silent", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=NODE, capture_output=True, check=False)
        if done.returncode:
            raise AbsentError("npm could not install it")
    return Path(npm).parent


def _installed(name: str) -> str | None:
    package = NODE / "node_modules" / name / "package.json"
    return json.loads(package.read_text())["version"] if package.exists() else None
