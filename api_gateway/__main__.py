"""`python -m api_gateway`: the web process. It checks its surroundings first, and starts whole or not at all."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn

from api_gateway.app import create_app
from workers import startup
from workers.database import Database
from workers.errors import SettingsError
from workers.settings import Settings

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
        where = f"{settings.host} port {settings.port}"
        raise SettingsError(f"LUNA_PORT: cannot listen on {where} ({error.strerror})") from None
    return listener


def main() -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())  # uvicorn raises the signal again once it has stopped well
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
            timeout_graceful_shutdown=GRACE_S,
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
