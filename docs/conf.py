"""Sphinx: pages in Markdown, equations in MathML, what is said elsewhere taken from there."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import splitgym  # noqa: E402 - found by the path above

project = "splitgym"
author = project_copyright = "The splitgym authors"
version = release = splitgym.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "docstrings", "taken"]
exclude_patterns = ["_build"]
default_role = "py:obj"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
"""Results begin with headings of the second level."""

autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
"""Docstrings say the shapes of arrays, which types do not."""

napoleon_custom_sections = ["Errors"]
maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"splitgym {release}"
html_math_renderer = "mathml"
html_show_sourcelink = False
