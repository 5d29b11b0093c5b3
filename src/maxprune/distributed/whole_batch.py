"""A part of a batch that is trained on as if the whole one were here.

What depends on the whole batch in one process has to in several: the means of batch norm are over
all parts, and a dropout draws for the whole batch and takes what belongs to this part, so that
several processes take the steps that one would, but for rounding. Both by name, in modules and in
functions called directly. Dropout inside of attention and recurrent layers is drawn alike in all
processes, for other samples.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from maxprune.distributed.world import World

_DROPOUTS: tuple[Callable[..., Tensor], ...] = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
)  # fmt: skip


@contextlib.contextmanager
def as_whole_batch(world: World, before: int, count: int) -> Iterator[None]:
    """Forward passes inside are those of a part of a batch.

    Args:
        world: the processes that have the parts.
        before: samples of the batch that lie in front of this part.
        count: samples of the whole batch.
    """
    if world.size == 1:
        yield
        return
    with _Whole(world, before, count):
        yield


class _Whole(TorchFunctionMode):
    def __init__(self, world: World, before: int, count: int) -> None:
        super().__init__()
        self.world, self.before, self.count = world, before, count

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DROPOUTS:
            return self._dropped(func, *args, **kwargs)
        if func is F.batch_norm:
            return self._normed(*args, **kwargs)
        return func(*args, **kwargs)

    def _dropped(
        self, func: Any, input: Tensor, p: float = 0.5, training: bool = True,  # noqa: A002
        inplace: bool = False,
    ) -> Tensor:  # fmt: skip
        """What a dropout leaves of this part: that of the whole batch, of which this is a part.

        Zero times what is drawn for the other parts: they need memory, but no data.
        """
        if not training or not p or input.dim() < 2:
            return func(input, p, training, inplace)  # type: ignore[no-any-return]
        whole = torch.empty_like(input[:1]).expand(self.count, *input.shape[1:])
        if func is F.dropout and p < 1 and input.device.type == "cpu":  # torch's way, but the rest
            drawn = torch.empty_like(whole, memory_format=_format(input)).bernoulli_(1 - p)
            factors = drawn[self.before : self.before + len(input)].div_(1 - p)
            return input.mul_(factors) if inplace else input * factors
        whole = torch.zeros_like(whole, memory_format=_format(input))
        whole[self.before : self.before + len(input)] = input
        found: Tensor = func(whole, p, True)[self.before : self.before + len(input)]
        return input.copy_(found) if inplace else found

    def _normed(
        self, input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,  # noqa: A002
        weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
        momentum: float = 0.1, eps: float = 1e-5,
    ) -> Tensor:  # fmt: skip
        if not training:
            return F.batch_norm(input, running_mean, running_var, weight, bias, False, 0.0, eps)
        axes = [d for d in range(input.dim()) if d != 1]
        moments, count = _moments(self.world, _wide(input.detach()), axes)
        mean, variance = moments
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                unbiased = variance * (count / (count - 1)) if count > 1 else variance
                running_var.lerp_(unbiased.to(running_var.dtype), momentum)
        ones, zeros = torch.ones_like(mean), torch.zeros_like(mean)
        out: Tensor = _Normed.apply(  # type: ignore[no-untyped-call]
            input, ones if weight is None else weight, zeros if bias is None else bias,
            mean, (variance + eps).rsqrt(), count, self.world,
        )  # fmt: skip
        return out


def _format(x: Tensor) -> torch.memory_format:
    last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last and not x.is_contiguous() else torch.contiguous_format


def _wide(x: Tensor) -> Tensor:
    """At least single precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _moments(
    world: World, x: Float[Tensor, "b c *space"], axes: list[int]
) -> tuple[Float[Tensor, "2 c"], int]:
    """Mean and biased variance of each channel over all parts, and over how many numbers.

    By the means and variances of the parts (Chan, Golub, LeVeque 1983, eq. 2.1), in which no
    precision is lost to a large mean.
    """
    variance, mean = torch.var_mean(x, axes, correction=0)
    parts = x.new_zeros(world.size, 3, x.shape[1], dtype=torch.float64)
    count = x.numel() // x.shape[1]
    parts[world.rank] = torch.stack([mean, variance, torch.full_like(mean, count)])
    means, variances, counts = world.sum(parts).unbind(1)
    total = counts.sum(0)
    middle = (means * counts).sum(0) / total
    spread = ((variances + (means - middle).square()) * counts).sum(0) / total
    return torch.stack([middle, spread]).to(x.dtype), int(total[0])


class _Normed(torch.autograd.Function):
    """Batch norm by moments that are those of all parts; so are its gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor,
        count: int, world: World,
    ) -> Tensor:  # fmt: skip
        shape = (1, -1, *[1] * (x.dim() - 2))
        normed = (_wide(x) - mean.view(shape)) * scale.view(shape)
        ctx.save_for_backward(normed, weight, scale)
        ctx.count, ctx.world = count, world
        return (normed * weight.view(shape) + bias.view(shape)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        normed, weight, scale = ctx.saved_tensors
        slope = _wide(gradients[0])
        shape = (1, -1, *[1] * (slope.dim() - 2))
        axes = [d for d in range(slope.dim()) if d != 1]
        own = torch.stack([slope.sum(axes), (slope * normed).sum(axes)])
        mean, along = (ctx.world.sum(own) / ctx.count).unbind()
        inside = slope - mean.view(shape) - normed * along.view(shape)
        x = inside * (weight * scale).view(shape)
        return x.to(gradients[0].dtype), own[1], own[0], None, None, None, None
