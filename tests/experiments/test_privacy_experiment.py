"""Reconstruction of inputs: quality by closed forms, a decoder with an easy task, pictures as text and back."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from experiments.privacy import EXPERIMENT, Cases, measure
from experiments.privacy.decoder import fit_decoder, make_decoder
from experiments.privacy.pictures import Scale, opened, quality, strip
from experiments.privacy.stand_in import distance_by_class, fit_encoder


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


def test_a_stand_in_becomes_what_it_stands_for() -> None:
    """Of one unit and a server whose four classes need all of it: smashed data of both are alike row by row."""
    chance = torch.Generator().manual_seed(0)
    images = torch.randn(600, 4, generator=chance)
    labels = images.argmax(1)
    truth, behind = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        truth.weight.copy_(torch.linalg.qr(torch.randn(4, 4, generator=chance))[0])
        behind.weight.copy_(8 * truth.weight.T)
        sent = truth(images[300:])
    behind.requires_grad_(False)
    errors = []
    for steps in (1, 400):
        encoder = torch.nn.Linear(4, 4, bias=False)
        torch.nn.init.normal_(encoder.weight, std=0.1, generator=torch.Generator().manual_seed(1))
        own = torch.Generator().manual_seed(2)
        fit_encoder(encoder, behind, images[:300], labels[:300], sent, labels[300:], steps, own, rate=0.03)
        errors.append((encoder(images[300:]) - sent).square().mean().item())
    assert errors[1] < 0.1 < errors[0]


def test_the_distance_of_equal_samples_is_none_and_grows_with_a_shift() -> None:
    """Between two points a and b for each class: 2 |a - b|, over the mean distance within."""
    rows, labels = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 4
    assert distance_by_class(rows, labels, rows, labels).item() == pytest.approx(0, abs=1e-5)
    shifts = [distance_by_class(rows + s, labels, rows, labels).item() for s in (0.5, 1.0, 100.0)]
    assert 0 < shifts[0] < shifts[1]
    own = torch.cdist(rows, rows)[labels[:, None] == labels].mean().item()
    assert shifts[2] == pytest.approx(2 * (100 * 3**0.5 - own) / own, rel=1e-2)


def test_the_distance_looks_at_each_class_by_itself() -> None:
    points, labels = torch.tensor([[0.0], [1.0], [0.0], [1.0]]), torch.tensor([0, 0, 1, 1])
    other = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    assert distance_by_class(other, labels, points, labels).item() > 0.5
    assert distance_by_class(other, torch.tensor([0, 1, 0, 1]), points, labels).item() == pytest.approx(0, abs=1e-6)


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
    sizes = {"rounds": 3, "pairs": 100, "judged": 10, "steps": 5, "encoder_steps": 5}
    case = {"dataset": "digits", **sizes, "examples": 2}
    rows = [{**case, "seed": seed, **row} for seed in (0, 1) for row in measure(case, seed)]
    assert [row["numbers_sent"] for row in rows[:6]] == [1024, 1024, 512, 512, 64, 64]
    assert [row["attacker"] for row in rows[:6]] == ["colludes", "apart"] * 3
    assert rows[0]["pictures"]
    assert rows[6]["pictures"] == ""
    assert all(row["psnr_db"] > 0 and -1 <= row["ssim"] <= 1 for row in rows)
    table = pd.DataFrame(rows)
    report = EXPERIMENT.report(table)
    assert "| 2 | 512 / 64 |" in report
    assert "PSNR, colludes (dB) | SSIM, colludes | PSNR, apart (dB) | SSIM, apart" in report
    for plot in EXPERIMENT.plots.values():
        plot(table, Figure(layout="constrained"))


def test_images_of_ham10000_are_shown_on_request_only() -> None:
    both = Cases(datasets=("digits", "ham10000"))(quick=True)
    assert [case["examples"] > 0 for case in both] == [True, False]
