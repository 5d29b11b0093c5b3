"""How far apart two descriptors are: what face verification compares with a threshold.

A descriptor is the row of activations of a network's last hidden layer for one picture. The paper
takes the Bray-Curtis distance (Moya Rueda et al. 2017, section 5.2). The definitions are those of
`scipy.spatial.distance`, which has no Hellinger distance; where scipy divides zero by zero, the
value here is said below.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.plural import plural

_NUMBERS = 2**20  # of one side of the pairs that are held in double precision at a time


def distances(
    a: Float[Tensor, "pairs features"], b: Float[Tensor, "pairs features"], kind: str
) -> Float64[Tensor, " pairs"]:
    """The distance of every row of one matrix from the same row of another.

    - bray-curtis: sum |a - b| / sum |a + b|. In [0, 1] for descriptors without negative numbers,
      such as those after a ReLU. Two descriptors of nothing but zeros have the distance 0; of two
      others that are each other's opposite there is none.
    - euclidean: the root of sum (a - b)^2.
    - l1: sum |a - b|.
    - cosine: 1 - a.b / (|a| |b|), in [0, 2]. A descriptor of nothing but zeros has no direction:
      its distance is 0 from another such and 1 from all others.
    - hellinger: the root of sum (sqrt p - sqrt q)^2 / 2 for the shares p = a / sum a and
      q = b / sum b. In [0, 1], for descriptors without negative numbers. The root makes a few
      large numbers count less (Arandjelovic and Zisserman 2012, section 2, RootSIFT). A descriptor
      of nothing but zeros has the distance 0 from another such and 1 from all others.

    Args:
        a: the descriptors of the first picture of every pair.
        b: those of the second.
        kind: one of `DISTANCES`.

    Returns:
        In double precision, on the CPU, whatever the descriptors are in.

    Raises:
        UsageError: no such kind, the matrices do not fit, a number is not finite, or a pair has
            no Bray-Curtis or Hellinger distance; the first such row is named.

    Example:
        >>> a, b = torch.tensor([[1.0, 0.0, 3.0]]), torch.tensor([[1.0, 2.0, 1.0]])
        >>> [round(float(distances(a, b, kind)), 4) for kind in DISTANCES]
        [0.5, 2.8284, 4.0, 0.4836, 0.563]
    """
    if a.shape != b.shape:
        raise UsageError(f"descriptors of shapes {tuple(a.shape)} and {tuple(b.shape)} do not pair")
    _check(a, "the first descriptors")
    _check(b, "the second descriptors")
    places = torch.arange(len(a))
    return _in_parts(a, places, b, places, kind)


def pair_distances(
    descriptors: Float[Tensor, "n features"], places: Int[Tensor, "pairs 2"], kind: str
) -> Float64[Tensor, " pairs"]:
    """The distances of pairs of pictures that share descriptors; some pairs are held at a time.

    Args:
        descriptors: a row for every picture.
        places: the rows of the two pictures of every pair.
        kind: one of `DISTANCES`, as `distances` defines them.

    Returns:
        In double precision, on the CPU.

    Raises:
        UsageError: as for `distances`, or a pair names a row that does not exist.
    """
    _check(descriptors, "the descriptors")
    if places.dim() != 2 or places.shape[1] != 2 or places.is_floating_point():
        raise UsageError(
            f"pairs are two row numbers each, not {places.dtype} {tuple(places.shape)}"
        )
    outside = ((places < 0) | (places >= len(descriptors))).any(1)
    if outside.any():
        pair = int(outside.nonzero()[0])
        raise UsageError(
            f"pair {pair} names the rows {places[pair].tolist()} of "
            f"{plural(len(descriptors), 'descriptor')}"
        )
    return _in_parts(descriptors, places[:, 0], descriptors, places[:, 1], kind)


def _check(descriptors: Tensor, what: str) -> None:
    """Refuse all but a matrix of finite numbers."""
    if descriptors.dim() != 2 or not descriptors.shape[1] or not descriptors.is_floating_point():
        kind, shape = descriptors.dtype, tuple(descriptors.shape)
        raise UsageError(f"{what} are {kind} {shape}, not rows of floating-point features")
    wrong = ~torch.isfinite(descriptors).all(1)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise UsageError(f"row {row} of {what} holds a number that is not finite")


def _in_parts(
    a: Float[Tensor, "n features"],
    first: Int[Tensor, " pairs"],
    b: Float[Tensor, "m features"],
    second: Int[Tensor, " pairs"],
    kind: str,
) -> Float64[Tensor, " pairs"]:
    """The distances of some rows of one matrix from some of another, some pairs at a time."""
    if kind not in _FORMULAS:
        raise UsageError(f"there is no distance {kind!r}; choose one of {', '.join(DISTANCES)}")
    each = max(1, _NUMBERS // a.shape[1])
    found = [
        _FORMULAS[kind](a[i.to(a.device)].cpu().double(), b[j.to(b.device)].cpu().double())
        for i, j in zip(first.split(each), second.split(each), strict=True)
    ]
    together = torch.cat(found)
    wrong = ~torch.isfinite(together)
    if wrong.any():
        raise UsageError(f"pair {int(wrong.nonzero()[0])} has no finite {kind} distance")
    return together


def _bray_curtis(a: Tensor, b: Tensor) -> Tensor:
    apart, together = (a - b).abs().sum(1), (a + b).abs().sum(1)
    return torch.where(apart == 0, 0.0, apart / together)


def _euclidean(a: Tensor, b: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(a - b, dim=1)
    return found


def _l1(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().sum(1)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    (a, a_zero), (b, b_zero) = _directions(a), _directions(b)
    found = (1 - (a * b).sum(1)).clamp(0, 2)
    return torch.where(a_zero & b_zero, 0.0, found)


def _directions(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The rows in units of their length, and which have none; no square under- or overflows."""
    largest = rows.abs().amax(1)
    zero = largest == 0
    rows = rows / largest.masked_fill(zero, 1.0).unsqueeze(1)
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(1.0), zero


def _hellinger(a: Tensor, b: Tensor) -> Tensor:
    (a, a_zero), (b, b_zero) = _root_shares(a), _root_shares(b)
    found = torch.linalg.vector_norm(a - b, dim=1) / 2**0.5
    return torch.where(a_zero & b_zero, 0.0, torch.where(a_zero | b_zero, 1.0, found.clamp(max=1)))


def _root_shares(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The roots of each row's shares of its sum, not numbers below 0, and which rows are zero."""
    largest = rows.abs().amax(1)
    zero = largest == 0
    rows = rows / largest.masked_fill(zero, 1.0).unsqueeze(1)
    return (rows / rows.sum(1, keepdim=True).masked_fill(zero[:, None], 1.0)).sqrt(), zero


_FORMULAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bray-curtis": _bray_curtis,
    "euclidean": _euclidean,
    "l1": _l1,
    "cosine": _cosine,
    "hellinger": _hellinger,
}

DISTANCES = tuple(_FORMULAS)
"""The kinds of distance, the paper's first."""
