from pathlib import Path

import pytest

import maxprune.data
from maxprune.data import NAMES, load
from maxprune.errors import DataError, UsageError


def test_every_name_is_known() -> None:
    assert NAMES == ("digits", "mnist", "cifar10")
    assert load("digits").name == "digits"


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_root_is_passed_on(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=str(tmp_path / name)):
        load(name, tmp_path)


@pytest.mark.parametrize("name", ["", "MNIST", "mnits", "digits "])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"no dataset '{name}'; choose one of digits, mnist, cifar10"
    ):
        load(name)


def test_every_public_name_is_documented() -> None:
    for name in maxprune.data.__all__:
        value = getattr(maxprune.data, name)
        assert isinstance(value, tuple) or value.__doc__
