"""What is said of a setting that is wrong: one line, in the words of the user."""

from __future__ import annotations

from typing import Any

import pytest

from maxprune import Compression
from maxprune.errors import UsageError
from maxprune.naming import as_options, called, giving
from maxprune.plan import KeepPlan
from maxprune.train.rmsprop import RMSprop

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"k": "x"}, "k must be a whole number, not 'x'"),
    ({"k": 2.5}, "k must be a whole number, not 2.5"),
    ({"k": {}}, "k must be a whole number, not a dict"),
    ({"k": None}, "k must be a whole number, not None"),
    ({"share": "a"}, "share must be a number, not 'a'"),
    ({"layers": [1]}, "layers must be text, not 1"),
    ({"keep_last": "maybe"}, "keep_last must be True or False, not 'maybe'"),
    ({"max_latency_ms": float("inf")}, "max_latency_ms must be a finite number, not inf"),
    ({"zero": "x"}, "zero must be a number or 'auto' or 'most', not 'x'"),
    ({"representation": "min"}, "representation must be 'max' or 'average', not 'min'"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG)
def test_a_wrong_setting_is_named_as_the_user_knows_it(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        Compression(**wrong)
    assert str(refused.value) == says
    (name,) = wrong
    with pytest.raises(UsageError) as refused, as_options():
        Compression(**wrong)
    assert str(refused.value) == says.replace(name, f"--{name.replace('_', '-')}", 1)


def test_every_kind_of_record() -> None:
    with pytest.raises(UsageError, match=r"^clip must be None, not 3$"):
        RMSprop(clip=3)
    with pytest.raises(UsageError, match=r"^KeepPlan: neurons\.0: Input should be a valid integer"):
        KeepPlan(neurons={"0": "x"}, keep={"0": (0,)})


def test_options_are_named_only_on_the_command_line() -> None:
    with as_options(root="data_root"):
        assert giving("root", "DIR") == "--data-root DIR"
        with as_options(root="data"):
            assert giving("root", "DIR") == "--data DIR"
            assert called("keep_last") == "--keep-last"
        assert called("root") == "--data-root"
    assert giving("root", "DIR") == "root=DIR"
