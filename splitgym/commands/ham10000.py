"""`splitgym ham10000`."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitgym.files import read_text
from splitgym.inputs import InputError, MissingExtraError, reading
from splitgym.outputs import write

COLUMNS = ("lesion_id", "image_id", "dx")
"""Of the metadata, that are used."""
METADATA = "HAM10000_metadata"
"""Its file, with or without an ending."""
MOST_BYTES = 2**24
"""Of the metadata."""


@dataclass(frozen=True)
class Ham10000:
    """Make `ham10000_32.npz` from the public download of HAM10000 (Harvard Dataverse, doi:10.7910/DVN/DBW86T).

    Every photograph is scaled to 32 x 32 pixels, each the mean of what it covers. Put the file into the folder that
    SPLITGYM_DATA names. The data set is not for commercial use.
    """

    folder: Path
    """Where the download is unpacked: at any depth HAM10000_metadata and the photographs ISIC_*.jpg."""
    out: Path = Path("ham10000_32.npz")
    """The file to write, FILE.npz."""
    side: int = 32
    """Rows and columns of an image; data sets by the name ham10000 have 32."""

    def check(self) -> None:
        """Raises an InputError that names the first setting which is not allowed."""
        if not self.folder.is_dir():
            raise InputError(f"--folder {self.folder}: there is no such folder")
        if self.out.suffix != ".npz" or not self.out.parent.is_dir():
            raise InputError(f"--out {self.out}, allowed: a name that ends in .npz, in a folder that is there")
        if not 1 <= self.side <= 450:
            raise InputError(f"--side {self.side}, allowed: 1..450")

    def run(self) -> None:
        """Reads, scales and writes."""
        self.check()
        rows = sorted(self._rows(), key=lambda row: row["image_id"])
        photographs = {path.stem: path for path in self.folder.rglob("ISIC_*.jpg")}
        missing = [row["image_id"] for row in rows if row["image_id"] not in photographs]
        if missing:
            raise InputError(f"{len(missing)} photographs are not in {self.folder}, the first is {missing[0]}.jpg")
        classes, labels = np.unique([row["dx"] for row in rows], return_inverse=True)
        arrays: dict[str, Any] = {
            "images": np.stack([_scaled(photographs[row["image_id"]], self.side) for row in rows]),
            "labels": labels.astype(np.uint8),
            "lesion": np.unique([row["lesion_id"] for row in rows], return_inverse=True)[1].astype(np.int32),
            "image_id": np.array([row["image_id"] for row in rows]),
            "classes": classes,
        }
        write(self.out, partial(np.savez_compressed, **arrays))
        print(f"{self.out}: {len(rows)} images of {self.side} x {self.side}, classes {', '.join(classes)}")

    def _rows(self) -> Iterator[dict[str, str]]:
        """The rows of the metadata, in which commas or tabs part the columns."""
        found = sorted(path for path in self.folder.rglob(f"{METADATA}*") if path.is_file())
        if not found:
            raise InputError(f"{self.folder} holds no {METADATA}")
        with reading(str(found[0])):
            text = read_text(found[0], MOST_BYTES)
        table = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in text.partition("\n")[0] else ",")
        lacking = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if lacking:
            raise InputError(f"{found[0]} lacks the columns {', '.join(lacking)}")
        yield from table


def _scaled(path: Path, side: int) -> NDArray[np.uint8]:
    """[side, side, 3] of a photograph."""
    try:
        from PIL import Image  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading photographs needs: pip install 'splitgym[render]'") from error
    with reading(str(path)), Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BOX))
