"""Partial Least Squares without the matrix in memory, and the importance of its columns (VIP).

Symbols as in Jordao et al. 2019, section 3: X has a row a sample and a column a feature, Y a column
a target (a class, or a real value); both are centred and scaled. Component h has the weights w_h
(a direction in X), the scores t_h = X r_h, the loadings p_h and the loadings of Y, q_h.

X is never held, copied or deflated. With S = X'Y (features by targets) a component needs one pass
over the rows: w is the first left singular vector of S, r is w made orthogonal to the earlier
loadings, the pass gathers t't and X't, and S is deflated by p q' t't (Dayal and MacGregor 1997,
"Improved PLS algorithms", modified kernel algorithm 2). What the rows add up to may be added up
over processes too: see `reduce`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.scores.reduction import Reduce, alone

Block: TypeAlias = tuple[Tensor, Tensor]  # (rows, features) and (rows, targets)
Blocks: TypeAlias = Callable[[], Iterable[Block]]

PIECE = 2**18  # values that are in double precision at once: 2 MiB
ENDED = 1e-11  # of the first component's covariance, or of the scores' length: nothing is left
CONSTANT = 2.0**-48  # of a column's size: a spread that is only rounding


@dataclass(frozen=True)
class Pls:
    """A fitted Partial Least Squares regression, as far as importance needs it; all float64.

    Args:
        weights: w of each component, of length 1.
        y_loadings: q of each component.
        squares: t't of each component.
        asked: how many components were asked for; there are fewer where X has a lower rank or
            nothing of Y is left to explain.
    """

    weights: Float[Tensor, "features components"]
    y_loadings: Float[Tensor, "targets components"]
    squares: Float[Tensor, " components"]
    asked: int

    @property
    def vip(self) -> Float[Tensor, " features"]:
        """Variable Importance in Projection: how much each column takes part in explaining Y.

        VIP_j = sqrt(p sum_h SS_h (w_jh / |w_h|)^2 / sum_h SS_h), SS_h = q_h'q_h t_h't_h, for p
        columns (Jordao et al. 2019, section 3.2). Their squares add up to p; that of a constant
        column is 0. All are 0 where no component could be found.
        """
        explained = self.y_loadings.square().sum(0) * self.squares
        total = explained.sum()
        if not len(explained):
            return self.weights.new_zeros(len(self.weights))
        return (self.weights.square() @ explained * len(self.weights) / total).sqrt()


def fit_pls(blocks: Blocks, components: int = 2, reduce: Reduce = alone) -> Pls:
    """Fit a Partial Least Squares regression, one pass over the rows more than components.

    Both X and Y are centred and divided by their columns' standard deviations. Memory beyond the
    blocks is a few matrices of features by targets. It agrees with scikit-learn's `PLSRegression`
    once that one's power iteration has converged.

    Args:
        blocks: called for every pass, gives all rows, some at a time: (rows, features) and
            (rows, targets), in any precision, on any one device; the same in every pass.
        components: at most so many.
        reduce: adds a tensor up over all processes that have a part of the rows, at least one
            each; without it this process has all rows.

    Raises:
        UsageError: fewer than 1 component, column or 2 rows, other rows in another pass, or a
            value that is NaN or infinite.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [4.0, 1.0]])
        >>> fit_pls(lambda: [(x, x[:, :1])], components=1).vip
        tensor([1.2910, 0.5774], dtype=torch.float64)
    """
    if type(components) is not int or components < 1:
        raise UsageError(f"PLS needs at least 1 component, not {components!r}")
    scaled = _Scaled.over(blocks, reduce)
    s, found = scaled.covariance, _Components(scaled)
    first = s.norm()
    for last in range(components - 1, -1, -1):
        if not float(s.norm()) > ENDED * float(first):
            break
        w = _leading(s)
        r = found.rotated(w)
        squares, loading = scaled.project(blocks, r, reduce, with_loading=bool(last))
        if not float(squares) > (ENDED * r.norm()) ** 2 * scaled.rows:
            break
        q = s.T @ r / squares
        found.add(w, r, loading / squares, q, squares)
        if last:
            s = s - torch.outer(loading, q)
    return found.fitted(components)


def _leading(s: Float[Tensor, "features targets"]) -> Float[Tensor, " features"]:
    """The first left singular vector of a matrix."""
    if s.shape[1] <= s.shape[0]:
        w = s @ torch.linalg.eigh(s.T @ s).eigenvectors[:, -1]
    else:
        w = torch.linalg.eigh(s @ s.T).eigenvectors[:, -1]
        w = w.where(s.abs().amax(1) > 0, 0.0)  # a column without covariance has no part in it
    unit: Tensor = w / w.norm()
    return unit


class _Components:
    """The components that were found so far."""

    def __init__(self, scaled: _Scaled) -> None:
        features, targets = scaled.covariance.shape
        self.w = self.r = self.p = scaled.covariance.new_zeros(features, 0)
        self.q = scaled.covariance.new_zeros(targets, 0)
        self.squares = scaled.covariance.new_zeros(0)

    def rotated(self, w: Float[Tensor, " features"]) -> Float[Tensor, " features"]:
        """The direction in X itself that w is in what the earlier components left of X."""
        r = w
        for i in range(self.p.shape[1]):
            r = r - (self.p[:, i] @ w) * self.r[:, i]
        return r

    def add(self, w: Tensor, r: Tensor, p: Tensor, q: Tensor, squares: Tensor) -> None:
        """Another component."""
        self.w, self.r, self.p, self.q = (
            torch.cat([before, new[:, None]], 1)
            for before, new in ((self.w, w), (self.r, r), (self.p, p), (self.q, q))
        )
        self.squares = torch.cat([self.squares, squares[None]])

    def fitted(self, asked: int) -> Pls:
        """All of them."""
        return Pls(self.w.cpu(), self.q.cpu(), self.squares.cpu(), asked)


@dataclass(frozen=True)
class _Scaled:
    """How X is centred and scaled, and X'Y of the scaled columns."""

    rows: float
    shift: Float[Tensor, " features"]  # a row of X: no precision is lost to a large mean
    mean: Float[Tensor, " features"]  # of what is left behind the shift
    spread: Float[Tensor, " features"]  # standard deviations; infinite for a constant column
    covariance: Float[Tensor, "features targets"]

    @staticmethod
    def over(blocks: Blocks, reduce: Reduce) -> _Scaled:
        """One pass over all rows."""
        x, y = _first(blocks)
        share = reduce(torch.ones((), dtype=torch.float64, device=x.device))
        first = x[0].to(torch.float64, copy=True), y[0].to(torch.float64, copy=True)
        shift, target = reduce(first[0]) / share, reduce(first[1]) / share
        features, targets = len(shift), len(target)
        sums = x.new_zeros(targets + 1, features, dtype=torch.float64)  # [Y 1]'X
        squares, rows = sums.new_zeros(features), sums.new_zeros(())
        of_y = sums.new_zeros(2, targets)
        for a, b in _pieces(blocks, shift, target):
            sums += torch.cat([b, b.new_ones(len(b), 1)], 1).T @ a
            squares += a.square_().sum(0)
            of_y += torch.stack([b.sum(0), b.square().sum(0)])
            rows += len(b)
        sums, squares, of_y, rows = reduce(sums), reduce(squares), reduce(of_y), reduce(rows)
        _check(float(rows), squares, of_y)
        mean, y_mean = sums[-1] / rows, of_y[0] / rows
        spread = _spread(squares, mean, rows, shift)
        y_spread = _spread(of_y[1], y_mean, rows, target)
        products = sums[:-1].T - rows * torch.outer(mean, y_mean)
        covariance = products / spread[:, None] / y_spread
        return _Scaled(float(rows), shift, mean, spread, covariance)

    def project(
        self, blocks: Blocks, r: Float[Tensor, " features"], reduce: Reduce, with_loading: bool
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " features"]]:
        """One pass: t't and, where it is asked for, X't, for t = X r."""
        scaled = r / self.spread
        offset = scaled @ self.mean
        squares, along, total = r.new_zeros(()), torch.zeros_like(r), r.new_zeros(())
        rows = r.new_zeros(())
        for a, _ in _pieces(blocks, self.shift):
            t = a @ scaled - offset
            squares += t @ t
            rows += len(t)
            if with_loading:
                along += a.T @ t
                total += t.sum()
        squares, along, total = reduce(squares), reduce(along), reduce(total)
        again = float(reduce(rows))
        if again != self.rows:
            raise UsageError(f"a pass has {again:.0f} rows, where the first had {self.rows:.0f}")
        return squares, (along - self.mean * total) / self.spread


def _spread(squares: Tensor, mean: Tensor, rows: Tensor, shift: Tensor) -> Tensor:
    """Standard deviations of columns; infinite for those that are constant but for rounding."""
    spread = ((squares - rows * mean.square()).clamp_min(0) / (rows - 1)).sqrt()
    return spread.where(spread > CONSTANT * (shift + mean).abs(), torch.inf)


def _check(rows: float, squares: Tensor, of_y: Tensor) -> None:
    """Refuse what has no covariance."""
    if rows < 2:
        raise UsageError(f"PLS needs at least 2 rows, not {rows:.0f}")
    for name, values in (("X", squares), ("Y", of_y[1])):
        wrong = (~values.isfinite()).nonzero().flatten()
        if len(wrong):
            raise UsageError(f"column {int(wrong[0])} of {name} has a value that is not finite")


def _first(blocks: Blocks) -> Block:
    """The first block that has rows, checked."""
    for x, y in blocks():
        _check_block(x, y)
        if len(x):
            return x, y
    raise UsageError("PLS needs at least 2 rows, not 0")


def _check_block(x: Tensor, y: Tensor) -> None:
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y) or not x.shape[1] or not y.shape[1]:
        raise UsageError(
            "PLS takes blocks (rows, features) and (rows, targets), not "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )


def _pieces(
    blocks: Blocks, shift: Tensor, target: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """All rows less a shift, in double precision, as many as stay in the processor's cache.

    The targets are those of the rows less theirs; as they are where none is given. Every piece lies
    where the one before lay, so none of them waits for new memory to be mapped.
    """
    rows = max(1, PIECE // len(shift))
    piece = shift.new_empty(rows, len(shift))
    for x, y in blocks():
        _check_block(x, y)
        for a, b in zip(x.split(rows), y.split(rows), strict=True):
            here = torch.sub(a, shift, out=piece[: len(a)])
            yield here, b if target is None else b.double() - target
