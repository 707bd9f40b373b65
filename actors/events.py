"""Every event, on one page: its wire type, who may post it, and what its data holds.

Types are past facts; a wire name never changes its meaning.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from email_validator import SPECIAL_USE_DOMAIN_NAMES
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from workers.contract import Contract

SPACES = "\u00a0\u202f\u3000"  # no-break and ideographic spaces: str.isprintable knows the ASCII one only
JOINERS = "\u200c\u200d"  # format characters that Persian, the scripts of India and emoji are spelled with


def _printable(text: str) -> str:
    if not text.isprintable() and not all(_may_be_printed(character) for character in text):
        raise ValueError("must not contain control characters")
    return text


def _may_be_printed(character: str) -> bool:
    return character.isprintable() or character in SPACES or character in JOINERS


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset():
        raise ValueError("must be UTC")
    return moment


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable)
]
MAX_ADDRESS = 254  # RFC 5321, 4.5.3.1.3: a path is 256 octets with its brackets


def _address(value: object, whole: ValidatorFunctionWrapHandler) -> object:
    if is_plain_address(value):
        return value
    if isinstance(value, str) and ("<" in value or value != value.strip()):
        raise ValueError("must be an e-mail address and nothing else")  # pydantic would take it out of what is around
    return whole(value)


Address = Annotated[EmailStr, Field(max_length=MAX_ADDRESS), WrapValidator(_address)]
Preferences = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_printable)],
        bool | int | float | Annotated[str, Field(max_length=1000)] | None,
    ],
    Field(max_length=50),
]
Tag = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(:[A-Za-z0-9_.-]+)*$", max_length=128)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
UtcMoment = Annotated[AwareDatetime, AfterValidator(_utc)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_printable)]
ProviderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)]

A_USER = "8c0b4d3e-2f5a-4f5e-9d0c-6a1f7be2c9d4"


PLAIN_ADDRESS = re.compile(
    r"[a-z0-9_+-]{1,32}(?:\.[a-z0-9_+-]{1,15}){0,2}@(?:[a-z0-9]{1,30}(?:-[a-z0-9]{1,30})?\.){1,4}[a-z]{2,20}"
)
RESERVED = tuple(SPECIAL_USE_DOMAIN_NAMES)


def is_plain_address(value: object) -> bool:
    """Whether this is an address of the common form, which the whole validation would leave as it is.

    That takes 20 us, the better half of an event's way through the gateway; this takes one.
    """
    return (
        isinstance(value, str)
        and len(value) <= MAX_ADDRESS
        and PLAIN_ADDRESS.fullmatch(value) is not None
        and not value.endswith(RESERVED)
    )


class UserSignedUp(Contract, type="user.signed_up", external=True, derived="user_id"):
    """Somebody signed up. Without a `user_id` one is derived from the event's source and id."""

    example: ClassVar = {"email": "ada@example.com", "name": "Ada Lovelace"}

    user_id: UUID | None = None
    email: Address
    name: Name
    preferences: Preferences = Field(default_factory=dict)


class UserProfileChanged(Contract, type="user.profile_changed", external=True):
    """A user wants these fields changed; absent ones stay. `preferences` are replaced as a whole."""

    example: ClassVar = {"user_id": A_USER, "name": "Ada King"}

    user_id: UUID
    name: Name | None = None
    email: Address | None = None
    preferences: Preferences | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> UserProfileChanged:
        if not self.changes():
            raise ValueError("at least one of name, email and preferences must be given")
        return self

    def changes(self) -> dict[str, Any]:
        """The fields to set, and their values."""
        return self.model_dump(exclude={"user_id"}, exclude_none=True)


class UserClosed(Contract, type="user.closed", external=True):
    """An account is to be closed: its personal data goes, its accounting stays."""

    example: ClassVar = {"user_id": A_USER, "reason": "asked for it"}

    user_id: UUID
    reason: Reason | None = None


class UserCreated(Contract, type="user.created"):
    """A user and its metrics exist."""

    example: ClassVar = {"user_id": A_USER, "email": "ada@example.com", "name": "Ada Lovelace"}

    user_id: UUID
    email: Address
    name: Name


class UserUpdated(Contract, type="user.updated"):
    """These fields of a user have new values."""

    example: ClassVar = {"user_id": A_USER, "changed": ["name"]}

    user_id: UUID
    changed: list[str]


class UserDeleted(Contract, type="user.deleted"):
    """A user's personal data is gone, and its address is free."""

    example: ClassVar = {"user_id": A_USER}

    user_id: UUID


class SubscriptionState(BaseModel):
    """How a subscription is since `updated_at`, in LemonSqueezy's words."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    customer_id: ProviderId
    variant_id: ProviderId
    status: Literal["on_trial", "active", "paused", "past_due", "unpaid", "cancelled", "expired"]
    pause: Literal["void", "free"] | None = None
    ends_at: UtcMoment | None = None
    updated_at: UtcMoment


class PaymentReceived(Contract, type="payment.received"):
    """A verified webhook of LemonSqueezy: what it tells of which object, and how that is now if it is a subscription.

    `user_id` is what the link to the checkout said, and a buyer can alter that.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)

    example: ClassVar = {
        "event_name": "subscription_created",
        "object_type": "subscriptions",
        "object_id": "1",
        "user_id": A_USER,
        "subscription": {
            "customer_id": "1",
            "variant_id": "11",
            "status": "active",
            "updated_at": "2026-01-31T12:00:00Z",
        },
    }

    event_name: Slug
    object_type: ProviderId
    object_id: ProviderId
    user_id: UUID | None = None
    subscription: SubscriptionState | None = None


class SubscriptionChanged(Contract, type="subscription.changed"):
    """A subscription has a new state; `plan` is what its user has now."""

    example: ClassVar = {"user_id": A_USER, "subscription_id": "1", "status": "active", "plan": "pro"}

    user_id: UUID
    subscription_id: ProviderId
    status: Slug
    plan: str


class EmailRequested(Contract, type="email.requested", external=True):
    """Somebody is to get an e-mail made from a template."""

    example: ClassVar = {"to": "ada@example.com", "template": "welcome", "params": {"name": "Ada"}}

    to: Address
    template: Slug
    params: Preferences = {}
    user_id: UUID | None = None


class CacheInvalidationRequested(Contract, type="cache.invalidation_requested", external=True):
    """What is cached under these tags, or about this user, is stale."""

    example: ClassVar = {"user_id": A_USER}

    tags: Annotated[list[Tag], Field(max_length=100)] = []
    user_id: UUID | None = None

    @model_validator(mode="after")
    def _names_something(self) -> CacheInvalidationRequested:
        if not self.tags and self.user_id is None:
            raise ValueError("tags or user_id must be given")
        return self


class JobDue(Contract, type="job.due"):
    """A periodic job's time has come."""

    example: ClassVar = {"job": "nightly", "fire_time": "2026-01-31T03:00:00Z", "tasks": ["purge_receipts"]}

    job: Slug
    fire_time: UtcMoment
    tasks: list[Slug]


class JobTaskDue(Contract, type="job.task_due"):
    """One task of a periodic job is to be run."""

    example: ClassVar = {"job": "nightly", "fire_time": "2026-01-31T03:00:00Z", "task": "purge_receipts"}

    job: Slug
    fire_time: UtcMoment
    task: Slug


class OperationSliceDue(Contract, type="operation.slice_due"):
    """A part of an operator's bulk operation is to be worked off."""

    example: ClassVar = {"operation_id": "0b8f3a52-6a0e-4f0e-9f6f-1d4a3c1b7e11"}

    operation_id: UUID


CONTRACTS: dict[str, type[Contract]] = {
    contract.type: contract for contract in Contract.__subclasses__() if contract.__module__ == __name__
}
"""Wire type to contract: those of this page."""
