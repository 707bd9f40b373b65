"""The usual gateway: FastAPI, a `def` endpoint in its thread pool, the token read by PyJWT, Dramatiq's own `send`."""

import os
from typing import Annotated, Any, Literal
from uuid import uuid4

import dramatiq
import jwt
from dramatiq.brokers.redis import RedisBroker
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, EmailStr, Field

SECRET = os.environ["JWT_SECRET"]

dramatiq.set_broker(RedisBroker(url=f"redis://127.0.0.1:{os.environ['BENCH_PORT']}/0"))
app = FastAPI()


class SignedUp(BaseModel):
    """What Luna asks for too."""

    email: EmailStr
    name: str = Field(min_length=1, max_length=200)
    preferences: dict[str, bool | int | float | str | None] = {}


class Posted(BaseModel):
    """The envelope."""

    type: Literal["user.signed_up"]
    data: SignedUp


@dramatiq.actor(queue_name="users")
def create(event: dict[str, Any]) -> None:
    """Nobody works it off here."""


def caller(credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    try:
        claims = jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"], audience="luna", issuer="luna")
    except jwt.PyJWTError:
        raise HTTPException(401) from None
    if "events:write" not in claims["scope"].split():
        raise HTTPException(403)
    return str(claims["sub"])


@app.post("/v1/events", status_code=202)
def post_event(posted: Posted, subject: Annotated[str, Depends(caller)]) -> dict[str, str]:
    event_id = str(uuid4())
    create.send({"id": event_id, "caller": subject, **posted.model_dump(mode="json")})
    return {"id": event_id, "status": "accepted"}
