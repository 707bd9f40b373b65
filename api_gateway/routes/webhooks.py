"""Webhooks of providers: believed for their signature alone, and answered once they are stored."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel

from actors.billing import lemonsqueezy
from actors.events import PaymentReceived
from api_gateway import auth, bodies
from api_gateway.intake import Intake
from api_gateway.problems import Problem
from api_gateway.visit import Visit
from workers.event import INTERNAL_SOURCE, Event
from workers.queue.publisher import Posting

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
log = structlog.get_logger(__name__)

SIGNATURE = re.compile(rb"[0-9a-f]{64}")
CALLER = "lemonsqueezy"

unknown = Counter[str]()
"""How many webhooks of names that this version does not know came to this process, by provider."""


class Received(BaseModel):
    """The webhook needs not be sent again. `ignored`: its name is not one that Luna knows."""

    status: str
    duplicate: bool = False


@router.post(
    "/lemonsqueezy",
    openapi_extra={
        "security": [{"signature": []}],
        "parameters": [
            {
                "name": "X-Signature",
                "in": "header",
                "required": True,
                "description": "HMAC-SHA256 of the body under a signing secret, in lower-case hexadecimal",
                "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            }
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    },
    responses={
        400: {"description": "The signature is right, and the body is no webhook"},
        401: {"description": "The signature is missing or wrong"},
        404: {"description": "No signing secret is set"},
        413: {"description": "The body is too large"},
        503: {"description": "The store cannot confirm; send the same again"},
    },
)
async def receive_lemonsqueezy(request: Request) -> Received:
    """Store a payment webhook of LemonSqueezy. The same body twice is one event."""
    secrets: Sequence[str] = request.app.state.settings.lemonsqueezy_secrets
    if not secrets:
        raise Problem(404, "Not Found")  # what the framework says of a path that is not there
    visit: Visit = request.state.visit
    body = await _signed_body(request, visit, secrets)
    webhook = bodies.parse(body)
    name = lemonsqueezy.name_of(webhook)
    if name is None:
        raise Problem(400, "The body is no webhook: it has no meta.event_name.")
    if name not in lemonsqueezy.EVENTS:
        unknown["lemonsqueezy"] += 1
        log.warning("webhook.unknown", provider="lemonsqueezy", name=name[:64])
        return Received(status="ignored")
    sha = hashlib.sha256(body).hexdigest()
    event = Event(
        id=sha,
        source=f"{INTERNAL_SOURCE}webhooks/lemonsqueezy",
        type=PaymentReceived.type,
        data=lemonsqueezy.facts(webhook),
        caller=CALLER,
        correlation=visit.correlation,
    )
    intake: Intake = request.app.state.intake
    posting = Posting(event, sha, fresh=True)  # no caller can have used an id of Luna's own source
    return Received(status="accepted", duplicate=await intake.keep(posting, visit))


async def _signed_body(request: Request, visit: Visit, secrets: Sequence[str]) -> bytes:
    """The body, once its signature is verified; nothing in it is looked at before. Raises Problem 401, 413 or 429."""
    given = visit.headers.get(b"x-signature", b"")
    if visit.repeated(b"x-signature") or not SIGNATURE.fullmatch(given):
        await _refuse(request, visit, "malformed")
    body = await bodies.read(visit, request.receive)
    expected = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode() for secret in secrets]
    if True not in [hmac.compare_digest(given, each) for each in expected]:  # a list: every one is compared
        await _refuse(request, visit, "wrong")
    return body


async def _refuse(request: Request, visit: Visit, how: str) -> NoReturn:
    log.info("webhook.refused", provider="lemonsqueezy", signature=how)
    await auth.refuse(visit, request.app.state)
