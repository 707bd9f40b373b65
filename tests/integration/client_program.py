"""A service that can be killed at any moment: it enqueues numbered sign-ups, and notes each that it left to its spool.

`client_program.py URL TOKEN SPOOL NOTES COUNT BATCH`: started again it goes on after the last that it noted.
"""

from __future__ import annotations

import sys
from pathlib import Path

from workers.client import Luna


def main(url: str, token: str, spool: Path, notes: Path, count: int, batch: int) -> bool:
    with Luna(url, token, spool=spool, batch=batch, timeout=5) as client, notes.open("ab", buffering=0) as noted:
        for number in range(noted.tell(), count):
            data = {"email": f"user{number}@example.com", "name": f"User {number}"}
            client.enqueue("user.signed_up", data, id=f"sign-up-{number}")
            noted.write(b".")
        return client.flush(100)


if __name__ == "__main__":
    url, token, spool, notes, count, batch = sys.argv[1:]
    sys.exit(0 if main(url, token, Path(spool), Path(notes), int(count), int(batch)) else 1)
