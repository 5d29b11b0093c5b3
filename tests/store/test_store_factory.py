"""What `maxprune.factory` promises to `load`."""

from typing import Any

import pytest
from torch import nn

from maxprune.errors import UsageError
from maxprune.lineage import factory, is_factory, lineage


@factory
def chosen(width: int, sizes: Any = (1, 2), **more: Any) -> nn.Module:
    """Changes what it is given."""
    if isinstance(sizes, list):
        sizes.insert(0, 9)
    return nn.Linear(width, 1)


def test_arguments_are_remembered_by_name_as_they_were_given() -> None:
    sizes = [3, 4]
    model = chosen(2, sizes, bias=True, depth={"a": [1]})
    assert sizes == [9, 3, 4]
    expected = {"width": 2, "sizes": [3, 4], "bias": True, "depth": {"a": [1]}}
    assert lineage(model).arguments == expected
    assert lineage(model).factory == f"{__name__}:chosen"


def test_only_the_decorated_function_is_the_factory() -> None:
    assert is_factory(chosen, f"{__name__}:chosen")
    assert not is_factory(chosen, f"{__name__}:other")
    assert not is_factory(chosen.__wrapped__, f"{__name__}:chosen")
    assert not is_factory(eval, "builtins:eval")


@pytest.mark.parametrize("wrong", [lambda *sizes: None, lambda width, /: None])
def test_arguments_without_a_name_are_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="must be an argument with a name"):
        factory(wrong)


def test_what_builds_no_network_is_refused() -> None:
    with pytest.raises(UsageError, match="gives no torch module but a int"):
        factory(lambda: 3)()
