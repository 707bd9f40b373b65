from __future__ import annotations

import json
import os
import re
import subprocess

from tests.luna_up import LunaUp, statuses
from tests.processes import ROOT, environment

README = (ROOT / "README.md").read_text()


def shell(up: LunaUp, line: str) -> str:
    """Run a line of the README in a shell, against this system."""
    here = line.replace("http://127.0.0.1:8000", up.url).replace(".venv/bin/luna", "luna")
    variables = environment(up.processes.data_dir, LUNA_PORT=up.port, TOKEN=up.token)
    ran = subprocess.run(here, shell=True, cwd=up.processes.project, env=variables, capture_output=True, check=False)
    assert ran.returncode == os.EX_OK, ran.stderr.decode()
    return ran.stdout.decode()


def test_the_curl_line_posts_an_event_that_succeeds(up: LunaUp) -> None:
    (line,) = re.findall(r"^curl (?:.*\\\n)*.*$", README, re.MULTILINE)
    accepted = json.loads(shell(up, line.replace("ada@", "ada.readme@")))
    assert set(statuses(up.follow(accepted["id"])).values()) == {"done"}


def test_the_publish_line_prints_the_tree_that_is_shown(up: LunaUp) -> None:
    (line,) = re.findall(r"^\.venv/bin/luna publish .*$", README, re.MULTILINE)
    (shown,) = re.findall(r"^```\n(user\.signed_up .*?)^```", README, re.MULTILINE | re.DOTALL)
    printed = shell(up, line.replace("bob@", "bob.readme@"))
    assert plain(printed) == plain(shown)


def plain(tree: str) -> list[str]:
    """A tree without ids and durations."""
    return [re.sub(r"(done)  [0-9a-f-]{36}$|  [\d.]+ ms$", r"\1", line) for line in tree.splitlines()]
