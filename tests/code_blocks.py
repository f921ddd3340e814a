"""Runs the code of a page as a reader does: from top to bottom, saving the files that it says to save."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(?:\{code-block\} )?(\w+)\n(?::caption: (\S+)\n\n)?(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(page: Path, folder: Path, *languages: str) -> None:
    """Runs the blocks in these languages, "python" (they share their names) and "bash"; saves those with a caption.

    Args:
        page: Markdown.
        folder: Where the reader is: the working directory.
        languages: Others are only shown.
    """
    names: dict[str, object] = {}
    for language, file, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if file:
            (folder / file).write_text(code, encoding="utf-8")
        elif language == "python" and language in languages:
            exec(compile(code, str(page), "exec"), names)
        elif language == "bash" and language in languages:
            paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
            subprocess.run(["bash", "-e", "-c", code], cwd=folder, env={**os.environ, **paths}, check=True)
