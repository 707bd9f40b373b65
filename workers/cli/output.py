"""What every command shares: errors in one line, and answers as text or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.tree import Tree

from workers.errors import LunaError

STYLES = {"done": "green", "dead": "bold red", "retrying": "yellow", "running": "cyan", "queued": "dim"}

WIDE = 10_000  # columns of an output that is no terminal: lines stay whole for grep and log files

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """An error of ours is one line on standard error and exit status 1."""
    try:
        yield
    except LunaError as error:
        sys.exit(f"luna: {error}")


def print_json(document: Any) -> None:
    """The document, indented, on standard output."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_trace(trace: dict[str, Any]) -> None:
    """An event's tree: its actors, their attempts, its follow-ups."""
    console.print(_tree(trace), soft_wrap=False)  # on a terminal a long error is wrapped, not cut off


def _tree(trace: dict[str, Any], parent: Tree | None = None) -> Tree:
    label = f"{trace['type']}  [{STYLES[trace['status']]}]{trace['status']}[/]  [dim]{trace['id']}[/]"
    tree = parent.add(label) if parent else Tree(label)
    for actor in trace["actors"]:
        tree.add(_actor(actor))
    for child in trace["follow_ups"]:
        _tree(child, tree)
    return tree


def _actor(actor: dict[str, Any]) -> str:
    attempts, style = actor["attempts"], STYLES[actor["status"]]
    label = f"{actor['actor']}  [{style}]{actor['status']}[/]"
    if attempts:
        last = attempts[-1]
        took = f"  {last['duration_ms']:g} ms" if last.get("duration_ms") is not None else ""
        label += f"  attempt {last['number']}{took}"
        if last.get("error"):
            label += f"  [red]{last['error']['type']}: {last['error']['message']}[/]"
    return label
