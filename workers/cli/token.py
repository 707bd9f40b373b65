"""`luna token`: credentials for callers."""

from __future__ import annotations

from typing import Annotated

import typer

from workers import settings
from workers.cli.operator import seconds
from workers.cli.output import print_json
from workers.security.callers import SCOPES
from workers.security.tokens import Tokens
from workers.settings import Settings

app = typer.Typer(help="Tokens for callers of the gateway.", no_args_is_help=True)


@app.callback()
def token() -> None:
    """Tokens for callers of the gateway."""


@app.command()
def create(
    sub: Annotated[str, typer.Option(help="Who the token stands for: a service, or a user's id.")],
    scope: Annotated[
        str, typer.Option(help="What it may do, separated by spaces or commas.")
    ] = "events:write events:read",
    ttl: Annotated[str, typer.Option(help="How long it is good for: 90s, 15m, 12h, 30d.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a signed token.

    Example: luna token create --sub shop --scope "events:write events:read" --ttl 12h
    """
    if not sub.strip() or not sub.isprintable():
        raise typer.BadParameter("the subject must be printable text", param_hint="--sub")
    made = issue(settings.load(), sub, _scopes(scope), seconds(ttl))
    if as_json:
        print_json({"token": made, "sub": sub, "scope": sorted(_scopes(scope)), "ttl_s": seconds(ttl)})
    else:
        print(made)


def issue(loaded: Settings, sub: str, scopes: frozenset[str], ttl_s: int) -> str:
    """A token signed with this installation's first secret. Raises SettingsError when there is none."""
    return Tokens.configured(loaded).issue(sub, scopes, ttl_s)


def _scopes(text: str) -> frozenset[str]:
    scopes = frozenset(text.replace(",", " ").split())
    if unknown := scopes - SCOPES:
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}. These are: {', '.join(sorted(SCOPES))}")
    return scopes
