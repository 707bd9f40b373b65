"""The client's examples are run against a real system, those of docs/client.md one after the other as one program."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.luna_up import LunaUp
from tests.processes import ROOT, environment


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def run(up: LunaUp, program: str) -> list[str]:
    """The lines that it prints."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.replace("http://127.0.0.1:8000", up.url)],
        cwd=up.processes.folder,
        env=environment(up.processes.data_dir, LUNA_TOKEN=up.token),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.splitlines()


def test_the_examples_do_what_the_page_says(up: LunaUp) -> None:
    examples = blocks("docs/client.md")
    assert len(examples) == 8
    published, refused, one_of_three, followed = run(up, "\n".join(examples))
    assert re.fullmatch(rf"[0-9a-f-]{{36}} False {up.url}/v1/events/\S+", published)
    assert refused.startswith("422 [{")
    assert "/data/email" in refused
    assert re.match(r"[0-9a-f-]{36} 422: ", one_of_three)
    assert followed == "done ['user.created']"
    assert up.follow("sign-up-17")["status"] == "done"


def test_the_example_of_the_readme_publishes(up: LunaUp) -> None:
    (example,) = blocks("README.md")
    program = f"TOKEN = {up.token!r}\n{example}\nprint(luna.flush(), luna.refused(), luna.close())"
    assert run(up, program) == ["True [] True"]
