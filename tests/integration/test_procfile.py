from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from actors.email.store import email_deliveries
from tests.mailserver import MailServer
from tests.processes import Processes, children, procfile
from tests.servers import Valkey, eventually, free_port
from workers.database import Database

LETTER = '{"to":"ada@example.com","template":"welcome","params":{"name":"Ada"}}'


def test_honcho_runs_the_process_types_and_stops_them_with_their_work_done(
    processes: Processes, own_valkey: Valkey, tmp_path: Path
) -> None:
    taken, told = threading.Event(), threading.Event()

    def hold() -> Iterator[str]:
        """Let the mailer wait for its answer until the system is told to stop."""
        taken.set()
        told.wait(30)
        yield ""

    database = Database(f"sqlite:///{tmp_path / 'luna.db'}")
    with MailServer({"DATA": hold()}) as mail:
        variables = {
            "LUNA_PORT": free_port(),
            "REDIS_URL": own_valkey.url,
            "DATABASE_URL": database.url.render_as_string(hide_password=False),
            "EMAIL_TRANSPORT": "smtp",
            "SMTP_URL": mail.url,
        }
        assert processes.start("luna", "migrate", **variables).ends() == 0
        honcho = processes.start("honcho", "start", "web", "worker", "mailer", "scheduler", **variables)
        honcho.says("scheduler.started", within=40)
        honcho.says("gateway.started")
        assert processes.start("luna", "publish", "email.requested", LETTER, **variables).ends() == 0
        assert taken.wait(30)
        os.kill(honcho.pid, signal.SIGINT)
        honcho.says("scheduler.stopped")
        honcho.says("gateway.stopped")
        told.set()
        honcho.ends(within=30)
    assert processes.left() == {}
    assert len(mail.received) == 1
    with database.read() as connection:
        assert connection.execute(select(email_deliveries.c.state)).scalar_one() == "sent"
    database.close()


def test_a_process_type_refuses_to_start_on_an_old_schema_in_one_line(processes: Processes, own_valkey: Valkey) -> None:
    for command in (("python", "-m", "api_gateway"), ("dramatiq", "actors.boot:start", "--skip-logging", "-p", "1")):
        refused = processes.start(*command, REDIS_URL=own_valkey.url, LUNA_PORT=free_port())
        assert refused.ends() != 0
        ours = [line for line in refused.output.splitlines() if line.startswith("luna: ")]
        assert ours == ["luna: DATABASE_URL: the schema is older than this version of Luna; run `luna migrate`"]
        assert "Traceback" not in refused.output


def test_a_worker_that_is_killed_while_it_starts_is_known_to_its_supervisor_at_once(
    processes: Processes, own_valkey: Valkey
) -> None:
    for name in ("worker", "mailer"):
        master = processes.start(*procfile()[name], REDIS_URL=own_valkey.url)
        (child,) = eventually(lambda master=master: children(master.pid), every=0.005, what="the worker itself")
        os.kill(child, signal.SIGKILL)
        assert master.ends(within=10) != 0
