"""maxprune makes a PyTorch network physically smaller and proves that it is no worse.

Three words run through everything: a score says how much each neuron matters, a plan which
neurons stay, and `apply` makes the smaller network.

Example:
    >>> import torch, maxprune
    >>> net = maxprune.networks.lenet5(fc=512)
    >>> net = maxprune.apply(net, maxprune.maxout_plan("fc1", k=4))
    >>> counts = maxprune.count_wins(net, "fc1", [torch.rand(8, 1, 28, 28)])
    >>> smaller = maxprune.apply(net, maxprune.least_winning("fc1", counts.wins))
    >>> smaller.fc1
    Linear(in_features=800, out_features=384, bias=True)
"""

from maxprune._version import __version__
from maxprune.errors import MaxpruneError

try:
    import torch as _torch  # noqa: F401
except ImportError:  # `maxprune verify` and `maxprune faces` do without it
    pass
else:
    from maxprune import data, measure, networks, scores
    from maxprune.comparison import Comparison
    from maxprune.comparison.compare import compare
    from maxprune.compress import compress
    from maxprune.compression import Compressed, Compression
    from maxprune.compression.coding import CodedNetwork, code_network
    from maxprune.difference import Difference, diff
    from maxprune.inspection import Inspection, inspect
    from maxprune.lineage import Lineage, factory, lineage
    from maxprune.networks import Maxout
    from maxprune.plan import (
        ChannelGroup,
        KeepPlan,
        MaxoutPlan,
        SharePlan,
        ZeroPlan,
        keep_plan,
        maxout_plan,
    )
    from maxprune.planner import cut_plan, lowest
    from maxprune.results import Results
    from maxprune.runtime import Bench, Benched, bench
    from maxprune.scores import WinCounts, count_wins, magnitude, unit_wins, vip
    from maxprune.squeeze import squeeze
    from maxprune.store import (
        OnnxNetwork,
        QuantizedNetwork,
        convert,
        export_onnx,
        load,
        quantize_onnx,
        save,
        save_coded,
    )
    from maxprune.surgery import apply, audit, channel_groups, remove_dead
    from maxprune.train import Checkpoints, Fitting, Teacher, Training, Watch, train
    from maxprune.units import UnitScores, least_relevant, least_winning, most_winning
    from maxprune.weights import (
        choose_share,
        hold_shared,
        hold_zeros,
        share_plan,
        sparse_rows,
        zero_plan,
    )

__all__ = [
    "Bench",
    "Benched",
    "ChannelGroup",
    "Checkpoints",
    "CodedNetwork",
    "Comparison",
    "Compressed",
    "Compression",
    "Difference",
    "Fitting",
    "Inspection",
    "KeepPlan",
    "Lineage",
    "Maxout",
    "MaxoutPlan",
    "MaxpruneError",
    "OnnxNetwork",
    "QuantizedNetwork",
    "Results",
    "SharePlan",
    "Teacher",
    "Training",
    "UnitScores",
    "Watch",
    "WinCounts",
    "ZeroPlan",
    "__version__",
    "apply",
    "audit",
    "bench",
    "channel_groups",
    "choose_share",
    "code_network",
    "compare",
    "compress",
    "convert",
    "count_wins",
    "cut_plan",
    "data",
    "diff",
    "export_onnx",
    "factory",
    "hold_shared",
    "hold_zeros",
    "inspect",
    "keep_plan",
    "least_relevant",
    "least_winning",
    "lineage",
    "load",
    "lowest",
    "magnitude",
    "maxout_plan",
    "measure",
    "most_winning",
    "networks",
    "quantize_onnx",
    "remove_dead",
    "save",
    "save_coded",
    "scores",
    "share_plan",
    "sparse_rows",
    "squeeze",
    "train",
    "unit_wins",
    "vip",
    "zero_plan",
]
