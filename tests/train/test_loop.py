import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from train_helpers import LONG, SHORT, network, pictures, weights

from maxprune.data.images import Images
from maxprune.data.order import batches
from maxprune.errors import TrainingDiverged, UsageError
from maxprune.train import Training, Watch, derive, train
from maxprune.weights import growing_zeros, prunable


def trained(training: Training = SHORT, seed: int = 0, sparse: bool = False) -> nn.Module:
    model = network(sparse)
    train(model, pictures(), training, seed)
    return model


def test_equal_seeds_are_equal_to_the_bit_and_others_are_not() -> None:
    torch.manual_seed(11)
    first = weights(trained())
    torch.manual_seed(12)
    assert weights(trained()) == first
    assert weights(trained(seed=1)) != first


def test_it_learns() -> None:
    model = network()
    progress = train(model, pictures(), LONG)
    x, y = pictures().batch(torch.arange(50))
    assert int((model(x).argmax(1) == y).sum()) >= 45
    assert progress.iteration == 230
    assert progress.iterations == tuple(range(10, 231, 10))
    assert progress.loss[-1] < progress.loss[0] / 2


def plain(training: Training, seed: int) -> tuple[nn.Module, dict[int, dict[str, torch.Tensor]]]:
    """The same training as somebody would write it down: also the weights of every iteration."""
    model, images = network().train(), pictures()
    momenta = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
    order = batches(len(images), training.batch, derive(seed, "order"))
    seen = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "dropout"))
        for i in range(training.iterations):
            rate = 0.05 * (1 + 1e-4 * i) ** -0.75
            x, y = images.batch(next(order))
            grads = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
            with torch.no_grad():
                for (name, p), grad in zip(model.named_parameters(), grads, strict=True):
                    momenta[name].mul_(0.9).add_(grad + 5e-4 * p)
                    p -= rate * momenta[name]
            seen[i + 1] = copy.deepcopy(model.state_dict())
    return model, seen


def test_it_is_plain_momentum_and_the_average_is_a_plain_mean() -> None:
    training = SHORT.model_copy(update={"iterations": 45})
    model, seen = plain(training, seed=3)
    lasts = []
    found = network()
    train(
        found, pictures(), training, 3, watch=Watch(last=lambda m: lasts.append(copy.deepcopy(m)))
    )
    for name, value in model.state_dict().items():
        assert torch.allclose(lasts[0].state_dict()[name], value, atol=1e-5), name
    for name, value in found.state_dict().items():
        if value.is_floating_point():
            mean = torch.stack([seen[i][name] for i in (30, 40, 45)]).double().mean(0)
            assert torch.allclose(value.double(), mean, atol=1e-5), name
    assert not torch.equal(found[4].weight, lasts[0][4].weight)


def test_without_an_average_the_last_iteration_stays() -> None:
    lasts = []
    found = network()
    training = SHORT.model_copy(update={"average": 0})
    train(found, pictures(), training, watch=Watch(last=lambda m: lasts.append(weights(m))))
    assert lasts == [weights(found)]


@pytest.mark.parametrize("average", [0, 0.5])
def test_zeros_stay_exactly_zero_and_the_rest_moves(average: float) -> None:
    before = network(sparse=True)
    after = trained(SHORT.model_copy(update={"average": average}), sparse=True)
    for i in (0, 4, 7):
        zero = before[i].weight == 0
        assert 0 < int(zero.sum()) < zero.numel()
        assert torch.equal(after[i].weight == 0, zero)
        assert bool((after[i].weight != before[i].weight)[~zero].all())


def test_nothing_of_the_callers_is_changed_but_the_weights() -> None:
    torch.manual_seed(4)
    state = torch.get_rng_state()
    model = network().eval()
    addresses = [id(p) for p in model.parameters()]
    train(model, pictures(), SHORT.model_copy(update={"iterations": 5}))
    assert torch.equal(torch.get_rng_state(), state)
    assert [id(p) for p in model.parameters()] == addresses
    assert not any(m.training for m in model.modules())
    assert all(p.is_contiguous() for p in model.parameters())
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


@pytest.mark.parametrize("where", ["tick", "last"])
def test_after_an_error_the_modes_are_as_after_the_end(where: str) -> None:
    def stop(*_: object) -> None:
        raise RuntimeError("stop")

    model, state = network(sparse=True), torch.get_rng_state()
    with pytest.raises(RuntimeError, match="stop"):
        train(model, pictures(), SHORT, watch=Watch(**{where: stop}))
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m.training for m in model.modules())
    assert all(p.is_contiguous() for p in model.parameters())
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_ticks_count_iterations() -> None:
    ticks: list[int] = []
    train(network(), pictures(), SHORT, watch=Watch(tick=ticks.append))
    assert ticks == [10, 20, 30, 40, 43]


def test_fewer_images_than_a_batch_and_none() -> None:
    train(network(), pictures(5), Training(iterations=12))
    with pytest.raises(UsageError, match="no images"):
        train(network(), pictures().subset(torch.tensor([], dtype=torch.long)), SHORT)


def test_a_loss_that_is_no_number_names_where() -> None:
    with pytest.raises(TrainingDiverged, match=r"loss is nan between iterations \d+ and \d+; low"):
        train(network(), pictures(), SHORT.model_copy(update={"rate": 1e20}))
    with pytest.raises(TrainingDiverged, match="lower the learning rate or the boost"):
        train(network(), pictures(), SHORT.model_copy(update={"boost": 1e20}), zeroed=0.1)


def test_weights_ruined_by_the_very_last_step_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(iterations=3, batch=8, rate=0.01, average=0)
    assert train(network(), pictures(), training).iteration == 3
    monkeypatch.setattr(Training, "rate_at", lambda self, i: float("inf") if i == 2 else 0.01)
    with pytest.raises(TrainingDiverged, match=r"is not finite after iteration 3; lower"):
        train(network(), pictures(), training)


def test_every_stretch_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain_batch = Images.batch

    def spy(self: Images, index: torch.Tensor, device: torch.device) -> object:
        seen.append(tuple(index.tolist()))
        return plain_batch(self, index, device)

    monkeypatch.setattr(Images, "batch", spy)
    train(network(), pictures(), Training(iterations=12, batch=8))
    order = batches(50, 8, derive(0, "order"))
    assert seen == [tuple(next(order).tolist()) for _ in range(12)]


def share_of_zeros(model: nn.Module) -> float:
    total = sum(p.numel() for p in model.parameters())
    return sum(int((w == 0).sum()) for w in prunable(model)) / total


@pytest.mark.parametrize("average", [0, 0.5, 1])
@pytest.mark.parametrize("ramp", [0, 0.5])
def test_zeros_grow_and_stay(average: float, ramp: float) -> None:
    seen: list[float] = []
    plain_rate = Training.rate_at
    model = network()

    def rate(self: Training, iteration: int) -> float:
        seen.append(share_of_zeros(model))
        return plain_rate(self, iteration)

    training = LONG.model_copy(update={"average": average, "ramp": ramp})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "rate_at", rate)
        train(model, pictures(), training, zeroed=0.8)
    one = 1 / sum(p.numel() for p in model.parameters())
    assert 0.8 <= share_of_zeros(model) < 0.8 + one
    assert len(seen) == LONG.iterations
    expected = growing_zeros(network(), 0.8, training.ramp_iterations())
    assert len(expected) == (1 if ramp == 0 or average == 1 else 10)
    for iteration, share in enumerate(seen):
        wanted = max(s for i, s in expected.items() if i <= iteration)
        assert wanted <= share + 1e-9 < wanted + one + 2e-9, iteration


def test_a_zeroed_weight_has_no_momentum_left() -> None:
    """With momentum kept, a weight zeroed in the middle would move once more."""
    training = Training(iterations=20, batch=8, rate=0.05, average=0, ramp=1.0)
    model = network()
    train(model, pictures(), training, zeroed=0.5)
    one = 1 / sum(p.numel() for p in model.parameters())
    assert 0.5 <= share_of_zeros(model) < 0.5 + one


@pytest.mark.parametrize("share", [-0.1, 1.0, 0.99, float("nan")])
def test_a_share_of_zeros_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="share"):
        train(network(), pictures(), SHORT, zeroed=share)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize(("zeroed", "boost"), [(None, 3.0), (0.0, 3.0), (0.75, 3.0), (0.75, 1.0)])
def test_a_sparse_retraining_has_more_rate_and_less_dropout(
    zeroed: float | None, boost: float, scale: bool
) -> None:
    rates: list[float] = []
    ratios: list[float] = []
    plain_step = torch.optim.SGD.step
    model = network()

    def step(self: torch.optim.SGD) -> None:
        rates.extend(group["lr"] for group in self.param_groups)
        ratios.append(model[6].p)
        plain_step(self)

    training = SHORT.model_copy(update={"boost": boost, "scale_dropout": scale})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", step)
        train(model, pictures(), training, zeroed=zeroed)
    times = boost if zeroed else 1
    ratio = 0.25 if zeroed and scale else 0.5
    assert rates == pytest.approx([times * training.rate_at(i) for i in range(43)])
    assert ratios == [ratio] * 43
    assert model[6].p == 0.5
