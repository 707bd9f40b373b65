from __future__ import annotations

from typing import Any

import pytest
import redis
from sqlalchemy import func, select

from actors.users import store as table
from actors.users import tags
from actors.users.actors import close, create, update
from tests.builders import an_event, business, waiting
from workers.cache import TaggedCache
from workers.database import Database
from workers.errors import PermanentError
from workers.event import Event
from workers.handlers import Handlers

ADA, BOB = "0b5a4c1e-8a52-4f0e-9d0a-6f7f3c6f1a11", "7d3f1c52-6b0e-4f57-8a53-1d1f5e0c2b22"


@pytest.fixture
def database(any_database: Database) -> Database:
    return any_database


@pytest.fixture
def handlers(database: Database, store: redis.Redis) -> Handlers:
    return business(database, store)


def signed_up(user_id: str | None = ADA, email: str = "Ada@example.org", **data: Any) -> Event:
    given = {"user_id": user_id, "email": email, "name": "Ada", **data}
    return an_event("user.signed_up", {name: value for name, value in given.items() if value is not None})


def changed(user_id: str = ADA, **data: Any) -> Event:
    return an_event("user.profile_changed", {"user_id": user_id, **data})


def closed(user_id: str = ADA, **data: Any) -> Event:
    return an_event("user.closed", {"user_id": user_id, **data})


def profile(database: Database, user_id: str = ADA) -> dict[str, Any]:
    with database.read() as connection:
        found = table.profile(connection, user_id)
    assert found is not None
    return found


def rows(database: Database) -> tuple[int | None, int | None]:
    with database.read() as connection:
        users, metrics = (select(func.count()).select_from(each) for each in (table.users, table.user_metrics))
        return connection.scalar(users), connection.scalar(metrics)


def changes(database: Database, user_id: str = ADA) -> int | None:
    with database.read() as connection:
        query = select(table.user_metrics.c.profile_changes).where(table.user_metrics.c.user_id == user_id)
        return connection.scalar(query)


def test_a_sign_up_makes_a_user_with_its_metrics(handlers: Handlers, database: Database) -> None:
    handlers.run(create, signed_up(preferences={"news": True, "size": 1.5}))
    user = profile(database)
    assert (user["id"], user["email"], user["name"]) == (ADA, "Ada@example.org", "Ada")
    assert user["preferences"] == {"news": True, "size": 1.5}
    assert user["created_at"] == user["updated_at"]
    assert changes(database) == 0


def test_a_new_user_is_announced_to_mail_and_cache(handlers: Handlers, store: redis.Redis) -> None:
    handlers.run(create, signed_up())
    for queue in ("email", "cache"):
        (event,) = waiting(store, queue)
        assert (event.type, event.data) == (
            "user.created",
            {"user_id": ADA, "email": "Ada@example.org", "name": "Ada"},
        )


@pytest.mark.parametrize(
    ("user_id", "email"),
    [
        (BOB, "Ada@example.org"),
        (BOB, "ada@example.org"),
        (BOB, "ADA@EXAMPLE.ORG"),
        (ADA, "bob@example.org"),
    ],
)
def test_a_second_user_with_the_same_id_or_address_is_refused_and_leaves_nothing(
    handlers: Handlers, database: Database, store: redis.Redis, user_id: str, email: str
) -> None:
    handlers.run(create, signed_up())
    store.flushall()
    with pytest.raises(PermanentError, match=r"^a user with this id or e-mail address exists already$"):
        handlers.run(create, signed_up(user_id, email))
    assert rows(database) == (1, 1)
    assert waiting(store, "email") == []


def test_a_sign_up_without_an_id_is_refused(handlers: Handlers, database: Database) -> None:
    with pytest.raises(PermanentError, match="without the user_id"):
        handlers.run(create, signed_up(None))
    assert rows(database) == (0, 0)


def test_a_change_sets_what_it_names_and_leaves_the_rest(handlers: Handlers, database: Database) -> None:
    handlers.run(create, signed_up(preferences={"news": True}))
    before = profile(database)
    handlers.run(update, changed(name="Ada L."))
    after = profile(database)
    assert after == {**before, "name": "Ada L.", "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]


def test_preferences_are_replaced_as_a_whole(handlers: Handlers, database: Database) -> None:
    handlers.run(create, signed_up(preferences={"news": True, "size": 1}))
    handlers.run(update, changed(preferences={"size": 2}))
    assert profile(database)["preferences"] == {"size": 2}
    handlers.run(update, changed(preferences={}))
    assert profile(database)["preferences"] == {}


def test_a_change_is_counted_once_however_often_its_message_comes(handlers: Handlers, database: Database) -> None:
    handlers.run(create, signed_up())
    event = changed(name="Ada L.")
    for _ in range(3):
        handlers.run(update, event)
    assert changes(database) == 1


def test_a_change_is_announced_by_the_names_of_its_fields(handlers: Handlers, store: redis.Redis) -> None:
    handlers.run(create, signed_up())
    store.flushall()
    handlers.run(update, changed(name="Ada L.", email="ada.l@example.org"))
    (event,) = waiting(store, "cache")
    assert (event.type, event.data) == ("user.updated", {"user_id": ADA, "changed": ["email", "name"]})


@pytest.mark.parametrize("email", ["ADA@example.org", "ada@example.org"])
def test_an_address_that_another_user_has_in_any_case_is_refused(
    handlers: Handlers, database: Database, email: str
) -> None:
    handlers.run(create, signed_up())
    handlers.run(create, signed_up(BOB, "bob@example.org"))
    with pytest.raises(PermanentError, match=r"^another user has this e-mail address$"):
        handlers.run(update, changed(BOB, name="Robert", email=email))
    assert (profile(database, BOB)["email"], profile(database, BOB)["name"]) == ("bob@example.org", "Ada")
    assert changes(database, BOB) == 0


def test_a_user_may_write_its_own_address_in_another_case(handlers: Handlers, database: Database) -> None:
    handlers.run(create, signed_up())
    handlers.run(update, changed(email="ada@example.org"))
    assert profile(database)["email"] == "ada@example.org"


def test_an_address_that_was_given_up_is_free(handlers: Handlers, database: Database) -> None:
    handlers.run(create, signed_up())
    handlers.run(update, changed(email="ada.l@example.org"))
    handlers.run(create, signed_up(BOB, "Ada@example.org"))
    assert rows(database) == (2, 2)


def test_a_change_of_nobody_is_refused(handlers: Handlers) -> None:
    with pytest.raises(PermanentError, match=rf"^there is no user {BOB}$"):
        handlers.run(update, changed(BOB, name="Bob"))


@pytest.mark.parametrize("field", ["role", "plan", "id", "email_key", "profile_changes", "created_at"])
def test_what_no_user_may_set_is_refused(handlers: Handlers, database: Database, field: str) -> None:
    handlers.run(create, signed_up())
    with pytest.raises(PermanentError, match=rf"breaks its contract at: {field}$"):
        handlers.run(update, changed(name="Eve", **{field: "x"}))
    assert profile(database)["name"] == "Ada"


def test_after_a_change_the_cache_gives_the_new_profile(
    handlers: Handlers, database: Database, store: redis.Redis
) -> None:
    def cached() -> Any:
        return TaggedCache(store).read(tags.profile(ADA), [tags.of_user(ADA)], lambda: profile(database)).value["name"]

    handlers.run(create, signed_up())
    assert cached() == "Ada"
    handlers.run(update, changed(name="Ada L."))
    assert cached() == "Ada L."


def test_a_closed_user_has_lost_its_personal_data_and_kept_its_accounting(
    handlers: Handlers, database: Database
) -> None:
    handlers.run(create, signed_up(preferences={"news": True}))
    handlers.run(update, changed(name="Ada L."))
    began = profile(database)["created_at"]
    handlers.run(close, closed(reason="moved away"))
    with database.read() as connection:
        row = connection.execute(select(table.users)).one()
        assert (table.profile(connection, ADA), table.metrics(connection, ADA)) == (None, None)
    assert (row.id, row.created_at.isoformat(), row.closed_at) == (ADA, began, row.updated_at)
    assert (row.email, row.name, row.preferences) == ("", "", {})
    assert "example" not in row.email_key
    assert changes(database) == 1


def test_a_closed_user_is_announced_once_and_its_cache_is_stale(
    handlers: Handlers, database: Database, store: redis.Redis
) -> None:
    def cached() -> Any:
        with database.read() as connection:
            read = TaggedCache(store).read(
                tags.profile(ADA), [tags.of_user(ADA)], lambda: table.profile(connection, ADA)
            )
        return read.value

    handlers.run(create, signed_up())
    assert cached()["name"] == "Ada"
    for queue in ("email", "cache"):
        store.delete(f"luna:{{{queue}}}:stream")
    for _ in range(2):  # another event each: closing what is closed is done already
        handlers.run(close, closed())
    assert cached() is None
    (event,) = waiting(store, "cache")
    assert (event.type, event.data) == ("user.deleted", {"user_id": ADA})


def test_the_address_of_a_closed_user_is_free_and_its_id_is_not(handlers: Handlers, database: Database) -> None:
    handlers.run(create, signed_up())
    handlers.run(create, signed_up(BOB, "bob@example.org"))
    handlers.run(close, closed())
    handlers.run(close, closed(BOB))
    with pytest.raises(PermanentError, match="exists already"):
        handlers.run(create, signed_up(ADA, "new@example.org"))
    handlers.run(create, signed_up("c" * 8 + ADA[8:]))
    assert rows(database) == (3, 3)


def test_a_closed_user_does_not_change(handlers: Handlers, database: Database) -> None:
    handlers.run(create, signed_up())
    handlers.run(close, closed())
    with pytest.raises(PermanentError, match=rf"^user {ADA} is closed$"):
        handlers.run(update, changed(name="Ada", email="ada@example.org"))
    assert changes(database) == 0


def test_nobody_cannot_be_closed(handlers: Handlers) -> None:
    with pytest.raises(PermanentError, match=rf"^there is no user {BOB}$"):
        handlers.run(close, closed(BOB))


def test_metrics_tell_how_often_and_when(handlers: Handlers, database: Database) -> None:
    handlers.run(create, signed_up())
    handlers.run(update, changed(name="Ada L."))
    with database.read() as connection:
        counted = table.metrics(connection, ADA)
    assert counted == {"profile_changes": 1, "last_active_at": profile(database)["updated_at"]}
