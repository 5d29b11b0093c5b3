"""What is done to training pictures at random."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maxprune.data.augment import erased, flipped, lit, noisy, shifted, turned


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_a_mirrored_picture_is_itself_or_its_mirror_image() -> None:
    x = torch.rand(200, 1, 2, 5)
    y = flipped(x, seeded())
    mirrored = (y == x.flip(3)).flatten(1).all(1)
    assert bool((mirrored ^ (y == x).flatten(1).all(1)).all())
    assert 70 < int(mirrored.sum()) < 130


def test_a_shifted_picture_is_a_window_of_the_padded_one() -> None:
    x = torch.rand(300, 2, 4, 6) + 1
    y = shifted(x, 2, seeded())
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    seen = set()
    for i in range(300):
        found = [
            (down, right)
            for down in range(5)
            for right in range(5)
            if torch.equal(y[i], padded[i, :, down : down + 4, right : right + 6])
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) == 25


def centre(x: Tensor) -> Tensor:
    """(b, 2): where the light of each picture lies, in pixels from its middle, (right, down)."""
    height, width = x.shape[2:]
    down = torch.arange(height) - (height - 1) / 2
    right = torch.arange(width) - (width - 1) / 2
    mass = x.sum((1, 2, 3))
    return torch.stack(
        [(x.sum((1, 2)) * right).sum(1) / mass, (x.sum((1, 3)) * down).sum(1) / mass], 1
    )


def spot(height: int, width: int) -> Tensor:
    """A soft spot, six pixels to the right of the middle."""
    down = torch.arange(height)[:, None] - (height - 1) / 2
    right = torch.arange(width)[None] - (width - 1) / 2 - 6
    return (-(down**2 + right**2) / 4).exp()[None, None]


def test_a_turned_spot_stays_on_its_circle_whatever_the_shape() -> None:
    for shape in ((33, 33), (25, 49)):
        y = turned(spot(*shape).expand(200, 1, *shape), 60.0, 0.0, seeded())
        right, down = centre(y).unbind(1)
        assert torch.allclose(torch.hypot(right, down), torch.tensor(6.0), atol=0.2)
        angles = torch.atan2(down, right).rad2deg()
        assert angles.abs().max() < 61
        assert angles.min() < -50
        assert angles.max() > 50


def test_a_zoomed_spot_stays_on_its_line() -> None:
    y = turned(spot(33, 33).expand(200, 1, 33, 33), 0.0, 0.5, seeded())
    right, down = centre(y).unbind(1)
    assert down.abs().max() < 0.01
    assert 3.9 < float(right.min()) < 4.3
    assert 8.6 < float(right.max()) < 9.1
    assert abs(float((right / 6).log().mean())) < 3 * math.log(1.5) / math.sqrt(3 * 200)


def test_nothing_is_turned_by_nothing() -> None:
    x = torch.rand(3, 2, 5, 7)
    assert torch.allclose(turned(x, 0.0, 0.0, seeded()), x, atol=1e-6)


def test_light_changes_contrast_and_brightness_within_bounds() -> None:
    x = 0.5 + 0.1 * torch.randn(300, 1, 6, 6, generator=seeded()).clamp(-1, 1)
    y = lit(x, 0.2, torch.Generator().manual_seed(2))
    factor = y.std((1, 2, 3)) / x.std((1, 2, 3))
    more = y.mean((1, 2, 3)) - x.mean((1, 2, 3))
    assert 0.8 <= float(factor.min()) < 0.82
    assert 1.18 < float(factor.max()) <= 1.2001
    assert -0.1001 <= float(more.min()) < -0.09
    assert 0.09 < float(more.max()) <= 0.1001
    assert abs(float(torch.corrcoef(torch.stack([factor, more]))[0, 1])) < 0.2
    whole = lit(torch.rand(9, 1, 4, 4), 2.0, seeded())
    assert 0 <= float(whole.min()) <= float(whole.max()) <= 1


def test_noise_is_as_strong_as_it_may_be_and_another_in_every_pixel() -> None:
    x = torch.full((300, 1, 20, 20), 0.5)
    y = noisy(x, 0.1, seeded()) - x
    strength = y.std((1, 2, 3))
    assert 0.09 < float(strength.max()) < 0.12
    assert float(strength.min()) < 0.01
    assert abs(float(y.mean())) < 0.001
    assert bool((noisy(torch.zeros(2, 1, 9, 9), 0.1, seeded()) >= 0).all())


def test_a_rectangle_of_some_pictures_is_erased() -> None:
    x = torch.full((400, 2, 20, 30), 2.0)
    changed = erased(x, 0.5, seeded()) != x
    assert torch.equal(changed[:, 0], changed[:, 1])
    rows, columns = changed[:, 0].any(2), changed[:, 0].any(1)
    assert torch.equal(changed[:, 0], rows[:, :, None] & columns[:, None, :])
    for line in (*rows, *columns):
        places = torch.nonzero(line).flatten()
        assert len(places) == 0 or len(places) == int(places[-1] - places[0]) + 1
    chosen = rows.any(1)
    assert 160 < int(chosen.sum()) < 240
    part = changed[chosen][:, 0].float().mean((1, 2))
    assert 0.01 < float(part.min()) < 0.03
    assert 0.3 < float(part.max()) < 0.36
    assert bool(rows[:, [0, -1]].any(0).all())
    assert bool(columns[:, [0, -1]].any(0).all())
    shapes = rows.sum(1)[chosen] / columns.sum(1)[chosen]
    assert float(shapes.max()) > 2.5
    assert float(shapes.min()) < 0.4


def test_what_is_erased_is_noise() -> None:
    x = torch.full((50, 1, 20, 20), 2.0)
    noise = erased(x, 1.0, seeded())
    noise = noise[noise != 2]
    assert 0 <= float(noise.min()) < 0.01
    assert 0.99 < float(noise.max()) < 1
    assert len(noise.unique()) > 0.9 * len(noise)
