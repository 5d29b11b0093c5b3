"""The published figures: Moya Rueda, Grzeszick, Fink 2017, Tables 1 and 2.

Accuracies in percent on the MNIST test set, for (network, neurons of fc1).
"""

from __future__ import annotations

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
