"""What happens to users: created with their metrics, changed, and closed, each in one transaction."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError

from actors.events import UserClosed, UserCreated, UserDeleted, UserProfileChanged, UserSignedUp, UserUpdated
from actors.users import store, tags
from workers.errors import PermanentError
from workers.handlers import Work, handler


@handler("users.create")
def create(data: UserSignedUp, work: Work) -> None:
    """Insert the user and its metrics, or neither. A second user with the same id or address is refused for good."""
    if data.user_id is None:
        raise PermanentError("user.signed_up came without the user_id that the gateway derives")
    try:
        store.create(
            work.connection,
            user_id=str(data.user_id),
            email=data.email,
            name=data.name,
            preferences=data.preferences,
            now=work.now,
        )
    except IntegrityError:
        raise PermanentError("a user with this id or e-mail address exists already") from None
    work.invalidate(tags.of_user(data.user_id))
    work.publish(UserCreated(user_id=data.user_id, email=data.email, name=data.name))


@handler("users.update")
def update(data: UserProfileChanged, work: Work) -> None:
    """Change the fields that a user may change about itself, and nothing else."""
    changes = data.changes()
    try:
        found = store.change(work.connection, str(data.user_id), changes, work.now)
    except IntegrityError:
        raise PermanentError("another user has this e-mail address") from None
    if not found:
        gone = store.exists(work.connection, str(data.user_id))
        raise PermanentError(f"user {data.user_id} is closed" if gone else f"there is no user {data.user_id}")
    work.invalidate(tags.of_user(data.user_id))
    work.publish(UserUpdated(user_id=data.user_id, changed=sorted(changes)))


@handler("users.close")
def close(data: UserClosed, work: Work) -> None:
    """Take the personal data away and keep the accounting. Closing a closed user is done already."""
    if not store.close(work.connection, str(data.user_id), work.now):
        if not store.exists(work.connection, str(data.user_id)):
            raise PermanentError(f"there is no user {data.user_id}")
        return
    work.invalidate(tags.of_user(data.user_id))
    work.publish(UserDeleted(user_id=data.user_id))


HANDLERS = (create, update, close)
