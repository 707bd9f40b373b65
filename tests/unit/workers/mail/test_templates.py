from __future__ import annotations

import pytest
from jinja2 import DictLoader

from workers.errors import PermanentError
from workers.mail import Rendered, Templates


def templates(**parts: str) -> Templates:
    usual = {"subject": "Hello {{ name }}", "txt": "Dear {{ name }}", "html": "<p>Dear {{ name }}</p>"}
    given = {**usual, **parts}
    files = {"letter.subject.txt": given["subject"], "letter.txt": given["txt"], "letter.html": given["html"]}
    return Templates(DictLoader(files), support="help@example.org")


def test_a_template_gives_subject_text_and_html() -> None:
    assert templates().render("letter", {"name": "Ada"}) == Rendered("Hello Ada", "Dear Ada", "<p>Dear Ada</p>")


def test_html_is_escaped_and_text_is_not() -> None:
    rendered = templates().render("letter", {"name": "<b>Tom & 'Co'</b>"})
    assert rendered.html == "<p>Dear &lt;b&gt;Tom &amp; &#39;Co&#39;&lt;/b&gt;</p>"
    assert rendered.text == "Dear <b>Tom & 'Co'</b>"
    assert rendered.subject == "Hello <b>Tom & 'Co'</b>"


def test_a_parameter_is_never_run_as_a_template() -> None:
    assert templates().render("letter", {"name": "{{ 7 * 7 }}"}).text == "Dear {{ 7 * 7 }}"


@pytest.mark.parametrize("part", ["subject", "txt", "html"])
def test_a_missing_parameter_is_an_error_in_every_part(part: str) -> None:
    with pytest.raises(PermanentError, match=r"'letter' does not render: 'absent' is undefined"):
        templates(**{part: "{{ absent }}"}).render("letter", {"name": "Ada"})


def test_a_template_that_cannot_be_parsed_is_an_error_of_ours() -> None:
    with pytest.raises(PermanentError, match="'letter' does not render"):
        templates(html="{% if %}").render("letter", {"name": "Ada"})


@pytest.mark.parametrize(
    "broken", ["{{ name + 1 }}", "{{ name / 0 }}", "{{ 1 // 0 }}", "{{ name.x.y }}", "{{ name() }}"]
)
def test_a_parameter_of_the_wrong_kind_is_an_error_of_ours(broken: str) -> None:
    with pytest.raises(PermanentError, match="'letter' does not render"):
        templates(txt=broken).render("letter", {"name": "Ada"})


@pytest.mark.parametrize("name", ["postcard", "../letter", "/etc/passwd", "letter.subject"])
def test_an_unknown_template_is_an_error_of_ours(name: str) -> None:
    with pytest.raises(PermanentError, match=r"^there is no e-mail template"):
        templates().render(name, {"name": "Ada"})


def test_what_every_template_knows_gives_way_to_a_parameter_of_its_name() -> None:
    letter = templates(txt="{{ support }}")
    assert letter.render("letter", {"name": "Ada"}).text == "help@example.org"
    assert letter.render("letter", {"name": "Ada", "support": "x@example.org"}).text == "x@example.org"


def test_a_subject_has_no_space_around_it() -> None:
    assert templates(subject="\n Hello \n").render("letter", {"name": "Ada"}).subject == "Hello"
