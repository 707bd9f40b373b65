"""`luna token`: credentials for callers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from workers import settings
from workers.cli.operator import access, console_user, seconds
from workers.cli.output import print_json
from workers.security.api_keys import PREFIX
from workers.security.callers import SCOPES, is_subject
from workers.security.compact import MAX_TOKEN_CHARS
from workers.security.tokens import Tokens
from workers.settings import Settings

TOKENS_BEGIN = "eyJ"  # base64url of `{"`

app = typer.Typer(help="Tokens for callers of the gateway.", no_args_is_help=True)


def _subject(text: str) -> str:
    if not text.strip() or not is_subject(text):
        raise typer.BadParameter("the subject must be printable text of at most 255 characters")
    return text


Subject = Annotated[str, typer.Option(help="Who it stands for: a service, or a user's id.", callback=_subject)]
Scope = Annotated[str, typer.Option(help="What it may do, separated by spaces or commas.")]


@app.callback()
def token() -> None:
    """Tokens for callers of the gateway."""


@app.command()
def create(
    sub: Subject,
    scope: Scope = "events:write events:read",
    ttl: Annotated[str, typer.Option(help="How long it is good for: 90s, 15m, 12h, 30d.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a signed token.

    Example: luna token create --sub shop --scope "events:write events:read" --ttl 12h
    """
    made = issue(settings.load(), sub, scopes(scope), seconds(ttl))
    if as_json:
        print_json({"token": made, "sub": sub, "scope": sorted(scopes(scope)), "ttl_s": seconds(ttl)})
    else:
        print(made)


@app.command()
def revoke(
    which: Annotated[
        str, typer.Argument(metavar="TOKEN|JTI|-", help="A token, its jti, or - to read one from standard input.")
    ],
    ttl: Annotated[str | None, typer.Option(help="With a jti: how long the token may still be good for.")] = None,
) -> None:
    """End a token before it expires; every gateway refuses it within two seconds.

    Read from standard input it stays out of the shell's history.

    Example: luna token revoke - < token.txt
    """
    shown = sys.stdin.read(MAX_TOKEN_CHARS * 2) if which == "-" else which
    text = shown.strip().removeprefix("Bearer ").strip()
    if text.startswith(PREFIX):
        raise typer.BadParameter("this is an API key; `luna keys revoke ID` ends it")
    if text.startswith(TOKENS_BEGIN):
        revoked = access().revoke_token(text, Tokens.configured(settings.load()), console_user())
    elif ttl is None:
        raise typer.BadParameter("a jti does not say when its token expires: add --ttl, such as 30d")
    else:
        access().revoke_token_id(revoked := text, seconds(ttl), console_user())
    print(f"{revoked} is revoked")


def issue(loaded: Settings, sub: str, scopes: frozenset[str], ttl_s: int) -> str:
    """A token signed with this installation's first secret. Raises SettingsError when there is none."""
    return Tokens.configured(loaded).issue(sub, scopes, ttl_s)


def scopes(text: str) -> frozenset[str]:
    """The scopes that are named. Raises typer.BadParameter."""
    named = frozenset(text.replace(",", " ").split())
    if unknown := named - SCOPES:
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}. These are: {', '.join(sorted(SCOPES))}")
    return named
