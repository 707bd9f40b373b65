"""The database: engine, transactions, the kernel's own tables, and the one migration history."""

from workers.database.engine import Database
from workers.database.schema import Moment, insert_once, metadata

__all__ = ["Database", "Moment", "insert_once", "metadata"]
