"""Pages of HTML that need no other file."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import jinja2

from splitgym.files import read_bytes
from splitgym.inputs import reading

PNG = b"\x89PNG\r\n\x1a\n"
"""How every PNG file begins."""
MOST_IMAGE_BYTES = 2**25
"""Of an image."""

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
    """A PNG file as a URL that holds all of it.

    Raises:
        InputError: it cannot be read, is no PNG file, or too large.
    """
    with reading(str(image)):
        content = read_bytes(image, MOST_IMAGE_BYTES)
        if not content.startswith(PNG):
            raise ValueError("it does not begin as a PNG file does")
    return f"data:image/png;base64,{b64encode(content).decode()}"
