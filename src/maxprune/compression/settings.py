"""What the user wants of a compression, as a frozen record."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field, model_validator

from maxprune.compression.winning import MaxoutRule
from maxprune.errors import UsageError
from maxprune.measure.noninferiority import LEVEL
from maxprune.plural import plural
from maxprune.records import Settings
from maxprune.scores.damage import REACH
from maxprune.scores.features import MEMORY
from maxprune.scores.named import Scoring
from maxprune.scores.wins import Relevance
from maxprune.store.quantized import Mode
from maxprune.weights.sharing import MOST_BITS

MethodName: TypeAlias = Literal[
    "maxout", "pls", "magnitude", "magnitude-l2", "bn-scale", "fpgm", "taylor", "apoz", "obd",
    "skeletonization", "wins", "damage", "random",
]  # fmt: skip
METHODS: tuple[str, ...] = get_args(MethodName)
UNCUT = "uncut"  # the control that is retrained as often, and never cut

OWNERS = {
    "k": "maxout", "rounds": "maxout", "relevance": "maxout", "units": "maxout",
    "one_step": "maxout",
    "share": "a score", "growth": "a score", "fails": "a score", "iterations": "a score",
    "keep_last": "a score",
    "components": "pls and damage", "representation": "pls and damage",
    "memory": "pls and damage", "per": "damage",
}  # fmt: skip

Budget: TypeAlias = Annotated[int, Field(ge=1)] | None


class Compression(Settings):
    """How a network is made smaller, and when to stop.

    Every step cuts, retrains, and is judged on validation data. Under `keep_accuracy` a step is
    taken if the loss of accuracy against the network at the start is below so many points with
    95% confidence (Tango's paired test of non-inferiority); a step that fails is taken back and
    tried smaller, until the smallest is found. The budgets end the search as soon as all of them
    are met; without `keep_accuracy` every step is taken until then.

    Args:
        method: "taylor", "pls" (Jordao et al. 2019) and others remove the channels with the lowest
            score, wherever they are; `scores.named.SCORES` says what each looks at. "maxout" puts
            a maxout over k neurons behind a layer and removes the least winning ones (Moya Rueda
            et al. 2017). The default is the best of all in results/compare-cifar10.
        layers: only these, in this order for "maxout"; () for all that can be cut, the largest
            gain first.
        skip: layers that are never cut; nor is what hangs together with them.
        heads: attention modules whose heads a score may cut as wholes.
        k: neurons a maxout unit at first; halved for a layer where that fails.
        relevance: of a neuron in a maxout unit; see `MaxoutRule`, as for the next two.
        units: whether all lose one neuron, or those that are least relevant over all go.
        one_step: whether a maxout goes from k to 1 at once.
        rounds: how often a maxout goes over all layers; None as long as one can be cut.
        share: of all channels that one step of a score removes; halved whenever a step fails.
        growth: how many times larger the share is after every step that was taken, up to half of
            all channels: large steps while they cost nothing, small ones at the end. Then the steps
            that fail are counted anew after every one that was taken.
        fails: steps of a score that fail before the search ends; the last share tried is then
            `share` halved once less often.
        looks: over how many networks that lose too much the 95% hold together: what may be the
            last network is tested at a level of 5% divided by so many (Bonferroni). Cuts, behind
            which trainings follow, are judged each alone, and the smallest network that passes over
            all looks goes on to zeros and few values. With 1 all are judged alone, and the more
            that lose too much are tried, the likelier one of them passes by chance.
        iterations: steps of a score at most; None as many as it takes.
        keep_last: leave the last convolution of a VGG-like network whole; None does so for "pls",
            as published, unless layers are named. Its filters are few, and each feeds many inputs
            of the next layer.
        components: of Partial Least Squares.
        representation: of a filter for it: the maximum or the mean of its map.
        memory: bytes for what it keeps of the samples; more goes to disk.
        per: what "damage" saves: parameters, multiply-adds or milliseconds.
        keep_accuracy: points of accuracy that may be lost (100 takes every step); None where only
            budgets count.
        max_parameters: budget of parameters.
        max_macs: budget of multiply-adds of one sample.
        max_bytes: budget of the weights' file or, with `bits`, of the coded one, in bytes.
        max_latency_ms: budget of one forward pass over one sample, measured here.
        final_epochs: of one more training of what is left once nothing more is cut, and of another
            one with half the augmentation; each is taken if it is right more often then. 0 for
            none.
        retry: a step that has failed by little (it may lose twice what may be lost) is
            trained on for `final_epochs` before it is taken back; not by a function of one's own.
        anew: once nothing more is cut, the same architecture is trained from random weights for as
            long as the network has been in all, and takes its place if it is right more often.
        zero: share of the parameters to be zero at the end, in (0, 1); "auto" takes the largest
            that costs nothing on validation data before it is retrained; "most" goes on to larger
            shares as long as one is taken; None zeroes none. It is judged like a step.
        bits: at the very end the weights of each layer share 2^bits values, which are trained, and
            the network becomes a coded file (Han et al. 2015); "fewest" goes on to fewer bits as
            long as they are taken; None leaves them as they are. It is judged like a step.
        int8: the very last step writes the network as an ONNX file of 8-bit integers, by ONNX
            Runtime's own tools: "static" with ranges of the activations from training samples,
            "dynamic" in linear layers alone. What is measured and judged is the file; the network
            stays as it is. None writes no such file.
        epochs: of every retraining.
        steps: of gradient descent that every retraining takes at least, where the epochs of a small
            training set make fewer.
        rate: learning rate of every retraining at its highest.
        batch: samples a step of gradient descent.
        teacher: share of the loss of every retraining that comes from the answers of the network at
            the start (distillation, Hinton et al. 2015); 0 learns the classes alone.
        scale_dropout: dropout of every retraining shrinks with the parameters that are left, as
            where weights are pruned (Han et al. 2015, section 3.2): D_r = D_o sqrt(C_r / C_o); what
            keeps 500 neurons from learning by heart keeps 8 from learning.
        precision: in which trainings compute: "float32", "bfloat16", or "auto" for the faster one
            by the clock; None is "auto" on CUDA and "float32" on a CPU, where equal seeds then
            give equal results.
        compiled: whether networks are compiled for their training; "auto" where the clock says that
            it saves more than it costs; None is "auto" on CUDA and False on a CPU.
        seed: of order, augmentation, dropout and what a score draws by lot.
        frontier: what was tried and not taken is kept and tested at the end, too.
        control: at the end the unpruned network is retrained as often as the one that was found,
            and compared with it: what the additional training brings without any cut.
    """

    method: MethodName = "taylor"
    layers: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    k: Annotated[int, Field(ge=2)] = 4
    relevance: Relevance = "wins"
    units: Literal["even", "uneven"] = "even"
    one_step: bool = False
    rounds: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    growth: Annotated[float, Field(ge=1, le=10)] = 1.0
    fails: Annotated[int, Field(ge=1)] = 3
    looks: Annotated[int, Field(ge=1, le=1000)] = 1
    iterations: Annotated[int, Field(ge=1)] | None = None
    keep_last: bool | None = None
    components: Annotated[int, Field(ge=1)] = 2
    representation: Literal["max", "average"] = "max"
    memory: Annotated[int, Field(ge=1)] = MEMORY
    per: Literal["parameters", "macs", "latency"] = "parameters"
    keep_accuracy: Annotated[float, Field(gt=0, le=100)] | None = None
    max_parameters: Budget = None
    max_macs: Budget = None
    max_bytes: Budget = None
    max_latency_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    final_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    retry: bool = False
    anew: bool = False
    zero: Annotated[float, Field(gt=0, lt=1)] | Literal["auto", "most"] | None = None
    bits: Annotated[int, Field(ge=1, le=MOST_BITS)] | Literal["fewest"] | None = None
    int8: Mode | None = None
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    steps: Annotated[int, Field(ge=0)] = 0
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.02
    batch: Annotated[int, Field(ge=1)] = 128
    teacher: Annotated[float, Field(ge=0, le=1)] = 0.0
    scale_dropout: bool = False
    precision: Literal["auto", "float32", "bfloat16"] | None = None
    compiled: bool | Literal["auto"] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    frontier: bool = False
    control: bool = False

    @model_validator(mode="after")
    def _check(self) -> Compression:
        both = set(self.layers) & set(self.skip)
        if both:
            raise UsageError(f"layer {min(both)!r} is both to be cut and to be skipped")
        return self

    def without_effect(self) -> list[str]:
        """The settings that were changed, but are those of another method."""
        mine: set[str] = {self.method} if self.method == "maxout" else {self.method, "a score"}
        fields = type(self).model_fields
        return [
            name
            for name, owner in OWNERS.items()
            if mine.isdisjoint(owner.split(" and ")) and getattr(self, name) != fields[name].default
        ]

    def budgets(self) -> dict[str, float]:
        """The budgets that are set, by the name of what they limit."""
        found = {
            "parameters": self.max_parameters, "macs": self.max_macs,
            "bytes": self.max_bytes, "latency_ms": self.max_latency_ms,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}

    def scoring(self, reach: float = REACH) -> Scoring:
        """How the channels are scored, of which a share of at most `reach` is to be cut."""
        return Scoring(
            components=self.components, representation=self.representation, memory=self.memory,
            seed=self.seed, per=self.per, reach=reach,
        )  # fmt: skip

    def rule(self) -> MaxoutRule:
        """Which neurons of maxout units go."""
        return MaxoutRule(relevance=self.relevance, units=self.units, one_step=self.one_step)

    def level(self, last: bool = True) -> float:
        """Of a test, one-sided; `last` of what may be the last network."""
        return LEVEL / self.looks if last else LEVEL

    def _shared(self) -> str:
        return f" over {plural(self.looks, 'look')}" if self.looks > 1 else ""

    def has_end(self) -> bool:
        """Whether anything says when to stop."""
        return bool(self.keep_accuracy is not None or self.budgets() or self.iterations)

    def goal(self) -> str:
        """The stop rule in words."""
        parts = []
        if self.keep_accuracy is not None:
            parts.append(
                f"lose less than {plural(self.keep_accuracy, 'point')} of accuracy with 95% "
                f"confidence{self._shared()}"
            )
        names = {"macs": "MACs", "latency_ms": "ms for one sample"}
        parts += [f"at most {v:,} {names.get(n, n)}" for n, v in self.budgets().items()]
        if self.iterations:
            parts.append(f"at most {plural(self.iterations, 'iteration')}")
        return ", ".join(parts)
