"""The published figures: Moya Rueda, Grzeszick, Fink 2017, Tables 1 to 4.

Tables 1 and 2: accuracies in percent on the MNIST test set, for (network, neurons of fc1).
"""

from __future__ import annotations

CODED = {
    "Deep Compression 2015": (44_000, 0.74),
    "entropy-penalised 2019": (2_840, 1.0),
    "MIRACLE 2018": (1_520, 0.96),
}
"""Bytes and test errors in percent of published LeNet-5s, of 431,080 parameters at first."""

PRUNED = {
    "Bayesian Compression": (2_792, 1.0),
    "group horseshoe": (4_118, 1.0),
    "L0": (6_212, 1.0),
    "structured Bayesian": (84_941, 0.86),
}
"""Parameters and test errors in percent of published LeNet-5s with neurons removed; some count
single inputs of a flattened map, so a network of that size needs a gather there."""

SIZES = (128, 256, 512)
SHARES = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98)

TABLE1: dict[tuple[str, int], dict[str, float]] = {
    (network, fc): dict(
        zip(
            ("no maxout", "maxout k=4", "maxout k=3", "maxout k=2", "maxout k=1"),
            row,
            strict=True,
        )
    )
    for network, fc, row in (
        ("mfc", 128, (98.1, 99.1, 99.1, 99.1, 99.1)),
        ("mfc", 256, (98.3, 99.2, 99.2, 99.2, 99.0)),
        ("mfc", 512, (99.1, 99.2, 99.2, 99.2, 99.1)),
        ("mc", 128, (98.1, 99.2, 99.2, 99.2, 99.0)),
        ("mc", 256, (98.3, 99.0, 99.2, 99.3, 99.0)),
        ("mc", 512, (99.1, 99.2, 99.3, 99.3, 99.3)),
    )
}

TABLE2: dict[tuple[str, int], dict[str, float]] = {
    (network, fc): dict(
        zip(("maxout k=1", *(f"weights {100 * share:g}%" for share in SHARES)), row, strict=True)
    )
    for network, fc, row in (
        ("mfc", 128, (99.0, 99.0, 99.0, 99.0, 99.0, 99.0, 98.9, 98.3, 82.1)),
        ("mfc", 256, (99.3, 99.3, 99.3, 99.3, 99.3, 99.2, 99.2, 98.9, 91.0)),
        ("mfc", 512, (99.3, 99.3, 99.3, 99.3, 99.3, 99.3, 99.2, 99.1, 92.2)),
        ("mc", 128, (99.2, 99.2, 99.2, 99.2, 99.1, 99.1, 98.9, 97.8, 26.5)),
        ("mc", 256, (99.3, 99.3, 99.3, 99.2, 99.2, 99.1, 98.9, 96.3, 55.3)),
        ("mc", 512, (99.2, 99.2, 99.2, 99.2, 99.2, 99.2, 99.0, 97.4, 60.8)),
    )
}

FACE_STEPS = ("no maxout", "maxout k=4", "maxout k=3", "maxout k=2", "maxout k=1")

TABLE3: dict[str, dict[str, float]] = {
    "mfc": dict(zip(FACE_STEPS, (3.7, 3.33, 2.83, 2.76, 2.66), strict=True)),
    "mc": dict(zip(FACE_STEPS, (3.7, 3.7, 3.36, 3.36, 3.23), strict=True)),
}
"""Equal Error Rates in percent of VGG16 on LFW, trained on 2.6 million other faces."""

TABLE4: dict[str, dict[str, float]] = {
    network: dict(zip((f"weights {100 * share:g}%" for share in SHARES), row, strict=True))
    for network, row in (
        ("mfc", (2.90, 3.4, 3.34, 3.5, 4.0, 4.53, 50.00, 50.00)),
        ("mc", (3.77, 3.93, 4.30, 5.40, 8.3, 35.47, 47.63, 50.00)),
    )
}
"""The same after weights have gone from the networks at k = 1; the paper's Table 4 gives that of MC
at k = 1 as 3.26 where its Table 3 has 3.23."""
