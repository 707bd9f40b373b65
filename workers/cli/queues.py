"""`luna queues`: how deep they are, how old, how fast, and who works on them; pausing and resuming."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from workers.cli.operator import console_user, operations
from workers.cli.output import console, print_json
from workers.operations import QueueState

app = typer.Typer(help="The queues: depth, age, rate, workers.", invoke_without_command=True)

REFRESH_S = 1.0


@app.callback()
def queues(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing them until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show all queues.

    Example: luna queues --watch
    """
    if context.invoked_subcommand is not None:
        return
    api = operations()
    if as_json:
        print_json([state._asdict() for state in api.queues()])
        return
    if not watch:
        console.print(_table(api.queues()))
        return
    with Live(_table(api.queues()), console=console, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(REFRESH_S)
                live.update(_table(api.queues()), refresh=True)
        except KeyboardInterrupt:
            pass


@app.command()
def pause(queue: Annotated[str, typer.Argument(metavar="QUEUE")]) -> None:
    """Let workers take nothing more from a queue; what they have begun they finish.

    Example: luna queues pause email
    """
    operations(audited=True).pause(queue, console_user())
    print(f"{queue} is paused; `luna queues resume {queue}` lets it go on")


@app.command()
def resume(queue: Annotated[str, typer.Argument(metavar="QUEUE")]) -> None:
    """Let workers take from a queue again.

    Example: luna queues resume email
    """
    operations(audited=True).resume(queue, console_user())
    print(f"{queue} goes on")


def _table(states: list[QueueState]) -> Table:
    table = Table(box=None)
    table.add_column("queue")
    for name in ("ready", "running", "delayed", "dead", "oldest", "per s", "workers"):
        table.add_column(name, justify="right")
    for state in states:
        dead = f"[bold red]{state.dead}[/]" if state.dead else "0"
        workers = str(state.workers) if state.workers else "[bold red]0[/]"
        name = f"{state.queue} [yellow]paused[/]" if state.paused else state.queue
        numbers = (state.ready, state.running, state.delayed)
        table.add_row(name, *map(str, numbers), dead, f"{state.oldest_age_s:g} s", f"{state.rate_1m:g}", workers)
    return table
