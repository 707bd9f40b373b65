"""`luna migrate`."""

from __future__ import annotations

from workers import settings
from workers.database import Database
from workers.database.migrate import upgrade


def migrate() -> None:
    """Bring the database schema to the newest version. Safe to run twice, and from two places at once.

    Example: DATABASE_URL=postgresql+psycopg://luna@db/luna luna migrate
    """
    database = Database(settings.load().database)
    before, after = upgrade(database)
    where = database.url.render_as_string(hide_password=True)
    if before == after:
        print(f"{where} is at version {after} already.")
    else:
        print(f"{where} went from version {before or 'none'} to {after}.")
