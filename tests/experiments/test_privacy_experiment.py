"""Reconstruction of inputs: quality by closed forms, a decoder with an easy task, pictures as text and back."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from experiments.privacy import EXPERIMENT, Cases, measure
from experiments.privacy.decoder import fit_decoder, make_decoder
from experiments.privacy.pictures import Scale, opened, quality, strip


def images(count: int = 4) -> np.ndarray:
    """Pictures with values between 0.25 and 0.75."""
    return np.random.default_rng(0).uniform(0.25, 0.75, (count, 8, 8, 3)).astype(np.float32)


def test_an_error_of_a_tenth_everywhere_is_20_db() -> None:
    found = quality(images(), images() + 0.1)
    assert found["psnr_db"] == pytest.approx(20, abs=1e-3)
    assert 0.5 < found["ssim"] < 1


def test_the_same_image_is_perfect() -> None:
    with np.errstate(divide="ignore"):
        assert quality(images(), images()) == {"psnr_db": np.inf, "ssim": pytest.approx(1)}


def test_a_decoder_undoes_what_can_be_undone_and_no_more() -> None:
    """Other images, from smashed data with all of the image in it, and with nothing in it."""
    chance = torch.Generator().manual_seed(0)
    images, noise = (torch.rand(400, 1, 8, 8, generator=chance) for _ in range(2))
    errors = []
    for smashed in (1 - 2 * images, noise):
        decoder = fit_decoder(smashed[:300], images[:300], 200, torch.Generator().manual_seed(1))
        with torch.no_grad():
            errors.append((decoder(smashed[300:]) - images[300:]).square().mean().sqrt().item())
    assert errors[0] < 0.15
    # Uniform on 0..1: the mean is all that can be known, 1 / sqrt(12) away.
    assert 0.99 * 12**-0.5 < errors[1] < 1.3 * 12**-0.5


@pytest.mark.parametrize("shape", [(16, 8, 8), (32, 4, 4), (64,)])
def test_decoders_end_at_the_size_of_the_image(shape: tuple[int, ...]) -> None:
    decoder = make_decoder(shape, (3, 8, 8), torch.Generator().manual_seed(0))
    assert decoder(torch.zeros(2, *shape)).shape == (2, 3, 8, 8)


def test_maps_that_cannot_be_doubled_to_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be doubled to images of 8 x 8"):
        make_decoder((4, 3, 3), (1, 8, 8), torch.Generator())


def test_the_scale_puts_known_images_between_0_and_1() -> None:
    standardised = torch.tensor([[[[-1.0, 3.0]], [[5.0, 7.0]]]])
    pictures = Scale(standardised).pictures(torch.tensor([[[[1.0, 9.0]], [[5.0, 6.0]]]]))
    assert pictures.tolist() == [[[[0.5, 0.0], [1.0, 0.5]]]]


def test_pictures_go_through_text() -> None:
    assert strip(images(0)) == ""
    shown = opened(strip(images(2)))
    assert shown.shape == (8, 16, 3)
    assert np.abs(shown[:, 8:] / 255 - images(2)[1]).max() < 1 / 255


def test_a_short_run_is_reported_and_drawn() -> None:
    case = {"dataset": "digits", "rounds": 3, "pairs": 100, "judged": 10, "steps": 5, "examples": 2}
    rows = [{**case, "seed": seed, **row} for seed in (0, 1) for row in measure(case, seed)]
    assert [row["numbers_sent"] for row in rows[:3]] == [1024, 512, 64]
    assert rows[0]["pictures"]
    assert rows[3]["pictures"] == ""
    assert all(row["psnr_db"] > 0 and -1 <= row["ssim"] <= 1 for row in rows)
    table = pd.DataFrame(rows)
    assert "| 2 | 512 / 64 |" in EXPERIMENT.report(table)
    for plot in EXPERIMENT.plots.values():
        plot(table, Figure(layout="constrained"))


def test_images_of_ham10000_are_shown_on_request_only() -> None:
    both = Cases(datasets=("digits", "ham10000"))(quick=True)
    assert [case["examples"] > 0 for case in both] == [True, False]
