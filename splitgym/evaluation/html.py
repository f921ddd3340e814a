"""Pages of HTML that need no other file."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import jinja2

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("splitgym.evaluation", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """A page.

    Args:
        template: Source of a template; it may extend `page.html.jinja`, which holds the style of all pages.
        values: What the template names.
    """
    return _ENVIRONMENT.from_string(template).render(values)


def embedded(image: Path) -> str:
    """A PNG file as a URL that holds all of it."""
    return f"data:image/png;base64,{b64encode(image.read_bytes()).decode()}"
