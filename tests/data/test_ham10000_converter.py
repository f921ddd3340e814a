"""`splitgym ham10000`, on a tiny folder in the layout of the download."""

import numpy as np
import pytest
from command_lines import error_line
from PIL import Image

from splitgym.__main__ import main
from splitgym.data.sources import read

HEAD = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset"
CLASSES = ("nv", "mel", "akiec", "bcc", "bkl", "df", "vasc")


@pytest.fixture
def download(tmp_path):
    """Two photographs of each class, one in each part: plain grey ones, the second of a pair brighter on its right."""
    rows = [HEAD]
    for number in range(14):
        name, folder = f"ISIC_{24306 + number:07d}", tmp_path / "raw" / f"HAM10000_images_part_{1 + number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((450, 600, 3), 10 * number, np.uint8)
        pixels[:, 300:] += 100 * (number % 2)
        Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=100)
        rows.append(f"HAM_{number // 2:07d},{name},{CLASSES[number // 2]},histo,50,male,back,vidir")
    (tmp_path / "raw" / "HAM10000_metadata.csv").write_text("\n".join([rows[0], *rows[:0:-1]]), encoding="utf-8")
    return tmp_path / "raw"


def test_photographs_become_a_file_that_the_data_set_is_read_from(download, tmp_path, monkeypatch, capsys):
    out = tmp_path / "ham10000_32.npz"
    assert main(["ham10000", "--folder", str(download), "--out", str(out)]) == 0
    assert "14 images of 32 x 32" in capsys.readouterr().out
    with np.load(out) as made:
        assert made["image_id"].tolist() == [f"ISIC_{24306 + number:07d}" for number in range(14)]
        assert made["classes"].tolist() == sorted(CLASSES)
        assert [made["classes"][label] for label in made["labels"]] == [CLASSES[n // 2] for n in range(14)]
        assert made["lesion"].tolist() == [n // 2 for n in range(14)]
        for number, image in enumerate(made["images"]):
            assert np.abs(image[:, :15].astype(int) - 10 * number).max() <= 2
            assert np.abs(image[:, 17:].astype(int) - 10 * number - 100 * (number % 2)).max() <= 2
    monkeypatch.setenv("SPLITGYM_DATA", str(tmp_path))
    source = read("ham10000")
    assert source.dimensions == ((3, 32, 32), 7)
    assert source.groups.tolist() == [n // 2 for n in range(14)]


def test_what_is_missing_is_one_line(download, tmp_path, capsys):
    (download / "HAM10000_images_part_1" / "ISIC_0024306.jpg").unlink()
    options = ["ham10000", "--folder", str(download), "--out", str(tmp_path / "x.npz")]
    assert "1 photographs are not in" in error_line(main, capsys, *options)
    (download / "HAM10000_metadata.csv").write_text("image_id,dx\n", encoding="utf-8")
    assert "lacks the columns lesion_id" in error_line(main, capsys, *options)
    (download / "HAM10000_metadata.csv").unlink()
    assert "holds no HAM10000_metadata" in error_line(main, capsys, *options)
    assert not (tmp_path / "x.npz").exists()
