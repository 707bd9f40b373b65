"""Dead letters one by one: list, read, retry, mend, discard. Their ids may hold any character but a line break."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from actors.events import CONTRACTS
from api_gateway.bodies import REFUSALS, Responses, body, documented
from api_gateway.routes.ops.access import READS, Api, Operator
from api_gateway.routes.ops.filters import Wanted
from api_gateway.routes.ops.letters import DeadLetter, LettersPage, summary, whole

router = APIRouter(prefix="/v1/ops/dead")


class Listing(Wanted):
    """Which page of them."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str | None, Field(pattern=r"^[0-9]{1,16}\.", description="`next` of the page before")] = None


class Edit(BaseModel):
    """What to change before the message goes back."""

    model_config = ConfigDict(extra="forbid")

    data: Annotated[
        dict[str, Any] | None, Field(description="New data of the event; fields that it leaves out stay as they are")
    ] = None


class Done(BaseModel):
    """What was done to one dead letter."""

    id: str
    done: Literal["retried", "edited", "discarded"]


UNKNOWN: Responses = {404: {"description": "There is no such dead letter"}}
NO_QUEUE: Responses = {404: {"description": "There is no queue of that name"}}


@router.get("", dependencies=READS, responses=NO_QUEUE)
def get_dead_letters(wanted: Annotated[Listing, Query()], api: Api) -> LettersPage:
    """Dead letters, newest first. What died while one reads on stands on no later page."""
    found = api.dead(wanted.filter(), limit=wanted.limit, cursor=wanted.cursor)
    more = found[-1].cursor if len(found) == wanted.limit else None
    return LettersPage(items=[summary(each) for each in found], next=more)


@router.get("/{letter_id:path}", dependencies=READS, responses=UNKNOWN)
def get_dead_letter(letter_id: str, api: Api) -> DeadLetter:
    """One dead letter: its message, and every attempt with its traceback."""
    return whole(api.letter(letter_id))


@router.post(
    "/{letter_id:path}/retry",
    responses=UNKNOWN | REFUSALS | {422: {"description": "The new data breaks the contract of the event"}},
    openapi_extra=documented(Edit, required=False),
)
def retry_dead_letter(caller: Operator, letter_id: str, api: Api, edit: Annotated[Edit, Depends(body(Edit))]) -> Done:
    """Put the message back on its queue, for as many attempts as a new one has; with `data`, changed."""
    if edit.data is None:
        api.retry(letter_id, caller.subject)
        return Done(id=letter_id, done="retried")
    api.edit(letter_id, edit.data, caller.subject, CONTRACTS)
    return Done(id=letter_id, done="edited")


@router.delete("/{letter_id:path}", responses=UNKNOWN)
def discard_dead_letter(letter_id: str, api: Api, caller: Operator) -> Done:
    """Throw the dead letter away."""
    api.discard(letter_id, caller.subject)
    return Done(id=letter_id, done="discarded")
