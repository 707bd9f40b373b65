"""`luna keys`: API keys for callers that cannot renew a token."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from workers.cli.operator import access, console_user, seconds
from workers.cli.output import print_json
from workers.cli.token import Scope, Subject, scopes
from workers.event import timestamp
from workers.operations.access import NewKey
from workers.rates import Rate
from workers.security.api_keys import ApiKey

app = typer.Typer(help="API keys: made, listed, rotated, revoked.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The key's id, the part between its underscores.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    sub: Subject,
    scope: Scope = "events:write events:read",
    ttl: Annotated[str, typer.Option(help="How long it is good for: 12h, 30d, 365d.")] = "365d",
    rate: Annotated[str | None, typer.Option(help="A limit of its own, such as 3000/1m.")] = None,
    as_json: Json = False,
) -> None:
    """Make an API key and print it. It cannot be read again: only its hash is kept.

    Example: luna keys create --sub shop --scope "events:write" --ttl 90d --rate 3000/1m
    """
    made = access().create_key(sub, scopes(scope), _rate(rate), seconds(ttl), console_user())
    _print_new(made, f"the key {made.id} of {sub} works until {timestamp(made.expires_at)}", as_json=as_json)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List API keys, newest first: whose, for what, until when, and when they were last used.

    Example: luna keys list
    """
    now, keys = datetime.now(UTC), access().keys()
    if as_json:
        print_json({"keys": [_document(key, now) for key in keys]})
        return
    if not keys:
        print("no API keys")
    for key in keys:
        rate = f"  rate {key.rate}" if key.rate else ""
        print(f"{key.id}  {key.state(now)}  {key.subject}  {' '.join(sorted(key.scopes))}{rate}")
        print(f"    expires {timestamp(key.expires_at)}, last used {_moment(key.last_used_at) or 'never'}")


@app.command()
def rotate(
    key_id: Id,
    overlap: Annotated[str, typer.Option(help="How long the secret before still works: 0s, 15m, 1h, 7d.")] = "1h",
    as_json: Json = False,
) -> None:
    """Give an API key a new secret and print it; the one before works until the overlap ends, an older one no longer.

    Example: luna keys rotate k3q7m2x5abcd --overlap 1h
    """
    overlap_s = 0 if overlap in {"0", "0s"} else seconds(overlap)
    made = access().rotate_key(key_id, overlap_s, console_user())
    before = f"the one before works for {overlap} more" if overlap_s else "the one before is over"
    _print_new(made, f"the key {made.id} has a new secret; {before}", as_json=as_json)


@app.command()
def revoke(key_id: Id) -> None:
    """End an API key; every gateway refuses it within two seconds.

    Example: luna keys revoke k3q7m2x5abcd
    """
    access().revoke_key(key_id, console_user())
    print(f"{key_id} is revoked")


def _print_new(made: NewKey, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": made.id, "key": made.key, "expires_at": timestamp(made.expires_at)})
        return
    print(made.key)
    typer.echo(f"{sentence}; it is shown this once", err=True)  # so that `luna keys create … > file` holds the key only


def _document(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "id": key.id,
        "state": key.state(now),
        "sub": key.subject,
        "scope": sorted(key.scopes),
        "rate": str(key.rate) if key.rate else None,
        "created_at": timestamp(key.created_at),
        "expires_at": timestamp(key.expires_at),
        "rotated_at": _moment(key.rotated_at),
        "overlap_until": _moment(key.old_until),
        "revoked_at": _moment(key.revoked_at),
        "last_used_at": _moment(key.last_used_at),
    }


def _moment(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None


def _rate(text: str | None) -> Rate | None:
    try:
        return Rate.parse(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--rate") from None
