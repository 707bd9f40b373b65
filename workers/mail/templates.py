"""Rendering: a template is three files, NAME.subject.txt, NAME.txt and NAME.html, in a folder given at start."""

from __future__ import annotations

from typing import Any, NamedTuple

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateError, TemplateNotFound, select_autoescape

from workers.errors import PermanentError


class Rendered(NamedTuple):
    """What a template made of its parameters."""

    subject: str
    text: str
    html: str


class Templates:
    """The templates a loader finds: HTML autoescaped, an unknown parameter an error."""

    def __init__(self, loader: BaseLoader, **everywhere: str) -> None:
        """`everywhere` are parameters that every template knows."""
        self._environment = Environment(
            loader=loader,
            autoescape=select_autoescape(["html"], default=False),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
        )
        self._environment.globals.update(everywhere)

    def render(self, name: str, params: dict[str, Any]) -> Rendered:
        """All three parts. Raises PermanentError for an unknown template or a missing parameter."""
        try:
            subject, text, html = (
                self._environment.get_template(f"{name}.{part}").render(params)
                for part in ("subject.txt", "txt", "html")
            )
        except TemplateNotFound:
            raise PermanentError(f"there is no e-mail template {name!r}") from None
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:  # the same parameters fail again
            raise PermanentError(f"the e-mail template {name!r} does not render: {error}") from error
        return Rendered(subject.strip(), text, html)
