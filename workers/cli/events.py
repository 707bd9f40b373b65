"""`luna events`: the catalogue, and the tree of one event."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from workers import settings
from workers.cli.contracts import contracts, queues
from workers.cli.output import console, print_json, print_trace
from workers.connection import connect
from workers.errors import LunaError
from workers.operations import Operations

app = typer.Typer(help="What events there are, and what became of one.", no_args_is_help=True)


@app.command()
def types(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with schemas.")] = False) -> None:
    """List the types of events, each with an example of its data.

    Example: luna events types
    """
    known = sorted(contracts().items())
    if as_json:
        print_json(
            [
                {
                    "type": name,
                    "external": contract.external,
                    "description": contract.__doc__,
                    "data_schema": contract.model_json_schema(),
                    "example": contract.example,
                }
                for name, contract in known
            ]
        )
        return
    table = Table("type", "from outside", "data", "example", "meaning", box=None)
    for name, contract in known:
        fields = ", ".join(
            field if info.is_required() else f"{field}?" for field, info in contract.model_fields.items()
        )
        meaning = (contract.__doc__ or "").partition("\n")[0]
        example = json.dumps(contract.example, ensure_ascii=False)
        table.add_row(name, "yes" if contract.external else "no", fields, example, meaning)
    console.print(table, soft_wrap=False)


@app.command()
def trace(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    source: Annotated[str | None, typer.Option(help="Picks one where ids of several sources collide.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how far an event is: its actors, their attempts, and all that came of it.

    Example: luna events trace 0b8f3a52-6a0e-4f0e-9f6f-1d4a3c1b7e11
    """
    operations = Operations(connect(settings.load().redis), queues())
    found = operations.trace(event_id, source=source)
    if found is None:
        raise LunaError(f"there is no event {event_id!r}, or it is past its retention of 7 days")
    document = found.model_dump(mode="json")
    print_json(document) if as_json else print_trace(document)
