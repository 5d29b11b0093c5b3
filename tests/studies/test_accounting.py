"""Parameters removed: DESIGN's table, which reproduces the paper's Table 1 (one misprint aside)."""

import json
import subprocess
import sys

from maxprune.studies.accounting import accounting, faces_accounting

# network, fc, baseline, then parameters at k = 4, 3, 2, 1 and percent removed with two digits
ROWS = [
    ("mfc", 128, 129388, [128428, 102796, 77164, 51532], [0.74, 20.55, 40.36, 60.17]),
    ("mfc", 256, 233196, [231276, 180012, 128748, 77484], [0.82, 22.81, 44.79, 66.77]),
    ("mfc", 512, 440812, [436972, 334444, 231916, 129388], [0.87, 24.13, 47.39, 70.65]),
    ("mc", 128, 134486, [54614, 48101, 41588, 35075], [59.39, 64.23, 69.08, 73.92]),
    ("mc", 256, 242390, [82646, 76133, 69620, 63107], [65.90, 68.59, 71.28, 73.96]),
    ("mc", 512, 458198, [138710, 132197, 125684, 119171], [69.73, 71.15, 72.57, 73.99]),
]


def test_all_24_rows() -> None:
    rows = accounting(["mfc", "mc"], [128, 256, 512])
    expected = [
        (network, fc, k, baseline, count, removed)
        for network, fc, baseline, counts, percents in ROWS
        for k, count, removed in zip((4, 3, 2, 1), counts, percents, strict=True)
    ]
    found = [
        (r["network"], r["fc"], r["k"], r["baseline"], r["parameters"],
         round(100 * (1 - r["parameters"] / r["baseline"]), 2))
        for r in rows
    ]  # fmt: skip
    assert found == expected


def test_the_8_rows_of_table_3() -> None:
    found = [
        (r["network"], r["k"], r["parameters"], r["removed"])
        for r in faces_accounting(["mfc", "mc"])
    ]
    assert found == [
        ("vgg16-mfc", 4, 132_419_966, 0.0868), ("vgg16-mfc", 3, 106_728_830, 0.2640),
        ("vgg16-mfc", 2, 81_037_694, 0.4411), ("vgg16-mfc", 1, 55_346_558, 0.6183),
        ("vgg16-mc", 4, 67_932_542, 0.5315), ("vgg16-mc", 3, 67_342_590, 0.5356),
        ("vgg16-mc", 2, 66_752_638, 0.5396), ("vgg16-mc", 1, 66_162_686, 0.5437),
    ]  # fmt: skip
    assert {r["baseline"] for r in faces_accounting(["mfc", "mc"])} == {145_002_878}


def test_json_on_the_command_line() -> None:
    command = [sys.executable, "-m", "maxprune", "reproduce", "table1"]
    options = ["--accounting", "--json", "--network", "mfc", "--fc", "512"]
    said = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    rows = json.loads(said.stdout)
    assert rows[-1] == {
        "network": "mfc", "fc": 512, "k": 1, "baseline": 440812, "parameters": 129388,
        "removed": 0.7065,
    }  # fmt: skip
    assert [row["k"] for row in rows] == [4, 3, 2, 1]
