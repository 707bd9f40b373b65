"""The `luna` command. One module per group of commands; each calls `operations` or the gateway, never Redis."""

from __future__ import annotations

import typer

from workers import __version__
from workers.cli import dead, doctor, events, keys, migrate, publish, queues, token, up
from workers.cli.output import one_line_errors

app = typer.Typer(
    help="Luna, the event backbone. `luna up` starts everything on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up.up)
app.command()(migrate.migrate)
app.command()(publish.publish)
app.command()(doctor.doctor)
app.add_typer(events.app, name="events")
app.add_typer(queues.app, name="queues")
app.add_typer(dead.app, name="dead")
app.add_typer(token.app, name="token")
app.add_typer(keys.app, name="keys")


@app.callback(invoke_without_command=True)
def luna(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version and end.")
) -> None:
    """The root: only `--version` is its own."""
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """The console script."""
    with one_line_errors():
        app()
