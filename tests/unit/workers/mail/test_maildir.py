from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from workers.errors import UnavailableError
from workers.mail import Rendered, compose, transport
from workers.mail.transports import SMTP, Maildir
from workers.settings import Settings

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def letter(message_id: str = "<1@example.org>", text: str = "Hello") -> EmailMessage:
    rendered = Rendered("Hello", text, f"<p>{text}</p>")
    return compose(rendered, sender="luna@example.org", to="ada@example.org", message_id=message_id, date=NOW)


def test_a_message_becomes_one_new_file_with_all_of_it(tmp_path: Path) -> None:
    Maildir(tmp_path / "mail").send(letter())
    (file,) = (tmp_path / "mail" / "new").iterdir()
    assert file.suffix == ".eml"
    assert file.read_bytes() == letter_with_the_boundary_of(file)


def letter_with_the_boundary_of(file: Path) -> bytes:
    boundary = file.read_text().partition('boundary="')[2].partition('"')[0]
    message = letter()
    message.set_boundary(boundary)
    return message.as_bytes()


def test_no_draft_is_left(tmp_path: Path) -> None:
    Maildir(tmp_path).send(letter())
    assert list((tmp_path / "tmp").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cur", "new", "tmp"]


def test_the_same_message_sent_again_is_the_same_file(tmp_path: Path) -> None:
    for text in ("Hello", "Hello again"):
        Maildir(tmp_path).send(letter(text=text))
    (file,) = (tmp_path / "new").iterdir()
    assert "Hello again" in file.read_text()


def test_different_messages_are_different_files(tmp_path: Path) -> None:
    for number in range(3):
        Maildir(tmp_path).send(letter(f"<{number}@example.org>"))
    assert len(list((tmp_path / "new").iterdir())) == 3


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "a" * 500])
def test_a_message_id_never_names_a_file(tmp_path: Path, name: str) -> None:
    Maildir(tmp_path).send(letter(f"<{name}@example.org>"))
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match=r"^the maildir cannot be reached: .*file \(Not a directory\)"):
        Maildir(tmp_path / "file").send(letter())


def test_a_setting_chooses_the_transport() -> None:
    smtp = {"EMAIL_TRANSPORT": "smtp", "SMTP_URL": "smtp://localhost"}
    assert isinstance(transport(Settings.model_validate({})), Maildir)
    assert isinstance(transport(Settings.model_validate(smtp)), SMTP)
