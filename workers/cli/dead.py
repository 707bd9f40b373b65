"""`luna dead`: read, mend, retry and discard what could not be done."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import click
import typer
from rich.progress import Progress

from workers.cli.contracts import contracts
from workers.cli.operator import console_user, operations, since_ms
from workers.cli.output import console, print_json
from workers.errors import LunaError, RefusedError
from workers.event import timestamp
from workers.operations import Filter, Found, Operations
from workers.operations.bulk import Kind

app = typer.Typer(help="Dead letters: what could not be done, and why.", no_args_is_help=True)

POLL_S = 0.5

Id = Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.")]
OptionalId = Annotated[str | None, typer.Argument(metavar="[ID]", help="One dead letter; or filters, or --all.")]
Queue = Annotated[str | None, typer.Option("--queue", help="Only those of this queue.")]
Actor = Annotated[str | None, typer.Option("--actor", help="Only those of this actor.")]
Error = Annotated[str | None, typer.Option("--error", help="Only those with this in the last error.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only those dead for this reason.")]
Like = Annotated[str | None, typer.Option("--fingerprint", help="Only those with this fingerprint.")]
Since = Annotated[
    str | None, typer.Option("--since", help="Only those that died in the last 30m, 12h, 7d, or since a moment.")
]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how many there are, and do nothing.")]
Rate = Annotated[float, typer.Option("--rate", min=0, help="At most this many per second; 0 for no limit.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_letters(
    queue: Queue = None,
    actor: Actor = None,
    error: Error = None,
    reason: Reason = None,
    fingerprint: Like = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last page ended.")] = None,
    as_json: Json = False,
) -> None:
    """List dead letters, newest first.

    Example: luna dead list --actor email.deliver --error timeout --since 1h
    """
    found = operations().dead(
        Filter(queue, actor, reason, fingerprint, error, since_ms(since)), limit=limit, cursor=cursor
    )
    more = found[-1].cursor if len(found) == limit else None
    if as_json:
        print_json({"letters": [_document(each) for each in found], "cursor": more})
        return
    if not found:
        print("no dead letters")
        return
    for each in found:
        letter, attempts = each.letter, each.letter.body["attempts"]
        died = datetime.fromtimestamp(each.died_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        print(f"{letter.id}  {died}  {letter.queue}  {letter.actor}  {letter.reason}  like {letter.fingerprint}")
        if attempts:
            print(f"    attempt {attempts[-1]['number']}: {attempts[-1]['type']}: {attempts[-1]['message']}")
    if more:
        print(f"more: --cursor {more}")


@app.command()
def show(letter_id: Id, as_json: Json = False) -> None:
    """Show one dead letter: its message, and every attempt with its error.

    Example: luna dead show 0b8f3a52-6a0e-4f0e-9f6f-1d4a3c1b7e11
    """
    found = operations().letter(letter_id)
    if as_json:
        print_json(_document(found))
        return
    letter = found.letter
    print(f"{letter.id}  {letter.reason}  queue {letter.queue}  actor {letter.actor}  like {letter.fingerprint}")
    print(json.dumps({"args": letter.body["message"]["args"], **letter.body["message"]["kwargs"]}, indent=2))
    for attempt in letter.body["attempts"]:
        took = "" if attempt["ms"] is None else f"  {attempt['ms']:g} ms"
        began = timestamp(datetime.fromtimestamp(attempt["at"] / 1000, UTC))
        print(f"\nattempt {attempt['number']}  {began}{took}  on {attempt['worker']}")
        print(attempt["traceback"].rstrip() or f"{attempt['type']}: {attempt['message']}")


def _acts(kind: Kind, done: str, text: str) -> None:
    """The command that does `kind` to one dead letter, or to many as a stored operation."""

    def act(
        letter_id: OptionalId = None,
        queue: Queue = None,
        actor: Actor = None,
        error: Error = None,
        reason: Reason = None,
        fingerprint: Like = None,
        since: Since = None,
        everything: All = False,
        dry_run: DryRun = False,
        rate: Rate = 0,
        yes: Yes = False,
    ) -> None:
        wanted = Filter(queue, actor, reason, fingerprint, error, since_ms(since))
        if letter_id is None:
            _many(kind, wanted, everything=everything, dry_run=dry_run, rate=rate, yes=yes)
            return
        api = operations(audited=True)
        (api.retry if kind == "retry" else api.discard)(letter_id, console_user())
        print(f"{letter_id} is {done}")

    app.command(kind, help=text)(act)


_acts(
    "retry",
    "back on its queue",
    "Put messages back on their queues, for as many attempts as a new one has. Of many, five go first, to see.\n\n"
    "Example: luna dead retry --actor email.deliver --since 2h --rate 20",
)
_acts(
    "discard",
    "discarded",
    "Throw dead letters away.\n\nExample: luna dead discard --fingerprint 9076b716334c",
)


@app.command()
def edit(
    letter_id: Id,
    data: Annotated[
        str | None, typer.Argument(metavar="[JSON]", help="The new data; your editor opens without.")
    ] = None,
) -> None:
    """Change a message's data and put it back; what you leave out stays, and the original travels along.

    Example: luna dead edit 0b8f3a52-6a0e-4f0e-9f6f-1d4a3c1b7e11
    """
    api = operations(audited=True)
    kwargs = api.letter(letter_id).letter.body["message"]["kwargs"]
    before = kwargs["event"]["data"] if "event" in kwargs else kwargs
    text = data if data is not None else _edited(before)
    if text is None:
        print("nothing was changed")
        return
    try:
        after = json.loads(text)
    except json.JSONDecodeError as error:
        raise RefusedError(f"the data is not JSON: {error}") from None
    if not isinstance(after, dict):
        raise RefusedError("the data must be a JSON object")
    api.edit(letter_id, after, console_user(), contracts())
    print(f"{letter_id} is back on its queue, with the new data")


@app.command()
def export(
    queue: Queue = None,
    actor: Actor = None,
    error: Error = None,
    reason: Reason = None,
    fingerprint: Like = None,
    since: Since = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; standard output without.")] = None,
) -> None:
    """Write dead letters as JSON lines.

    Example: luna dead export --since 24h -o dead.jsonl
    """
    wanted = Filter(queue, actor, reason, fingerprint, error, since_ms(since))
    lines = (json.dumps(_document(found), ensure_ascii=False) for found in operations().all_dead(wanted))
    if output is None:
        for line in lines:
            print(line)
        return
    with output.open("w") as file:
        count = sum(bool(file.write(f"{line}\n")) for line in lines)
    print(f"{count} dead letters written to {output}")


def _edited(before: dict[str, Any]) -> str | None:
    try:
        return click.edit(json.dumps(before, indent=2, ensure_ascii=False), extension=".json")
    except click.ClickException as error:
        raise LunaError(f"the editor does not start: {error.message}; set EDITOR, or give the JSON") from None


def _document(found: Found) -> dict[str, Any]:
    died = timestamp(datetime.fromtimestamp(found.died_ms / 1000, UTC))
    return {**found.letter.body, "died_at": died}


def _many(kind: Kind, wanted: Filter, *, everything: bool, dry_run: bool, rate: float, yes: bool) -> None:
    """Count, ask, store the operation, and watch it to its end; Ctrl-C leaves it running."""
    if not any(wanted) and not everything:
        raise RefusedError("name a dead letter, give a filter, or say --all")
    api = operations(audited=True)
    count = api.count_dead(wanted)
    if dry_run or not count:
        print(f"{count} dead letters")
        return
    if not yes:
        typer.confirm(f"{kind} {count} dead letters?", abort=True)
    _watch(api, api.start_bulk(kind, wanted, rate, console_user()))


def _watch(api: Operations, operation: UUID) -> None:
    progress = api.operation(operation)
    with Progress(console=console) as bar:
        task = bar.add_task(progress.kind, total=progress.total)
        while progress.state == "running":
            time.sleep(POLL_S)
            progress = api.operation(operation)
            bar.update(task, completed=progress.done)
    print(f"{progress.state}: {progress.done} of {progress.total}{f'; {progress.note}' if progress.note else ''}")
    if progress.state == "stopped":
        raise LunaError(f"the operation {operation} did not finish")
