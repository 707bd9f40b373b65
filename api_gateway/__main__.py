"""`python -m api_gateway`: the web process. It checks its surroundings first, and starts whole or not at all."""

from __future__ import annotations

import gc
import signal
import socket
import sys

import uvicorn

from api_gateway.app import create_app
from api_gateway.protocol import BoundedProtocol
from workers import startup
from workers.database import Database
from workers.settings import Settings, cannot_listen

BACKLOG = 2048
GRACE_S = 10  # how long requests under way may take after SIGTERM


def listen(settings: Settings) -> socket.socket:
    """A listening socket. Raises SettingsError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        raise cannot_listen(settings, error) from None
    return listener


def main() -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # before uvicorn listens to them, and after: it raises them again once requests under way are finished
        signal.signal(number, lambda *_: sys.exit(0))
    with startup.starting("web") as settings:
        database = Database(settings.database)
        startup.check(settings, database)
        listener = listen(settings)
        config = uvicorn.Config(
            create_app(settings, database),
            log_config=None,  # logs are set up already
            access_log=False,  # one line a request comes from our own middleware, with the event's ids
            proxy_headers=False,
            server_header=False,
            http=BoundedProtocol,
            ws="none",
            reset_contextvars=True,
            timeout_graceful_shutdown=GRACE_S,
        )
        # Nothing here is made in cycles: collecting for each 700 objects, as Python does, takes an eighth of the time
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
