"""Data by name: a built-in dataset, a folder of pictures, or a function that gives loaders."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from maxprune.data import NAMES, load
from maxprune.data.images import Dataset, Stock, held_out
from maxprune.data.loaded import Loaded
from maxprune.data.samples import Pictures, Splits
from maxprune.data.streaming import opened_folder
from maxprune.errors import DataError, MaxpruneError, UsageError, first_line
from maxprune.files import is_folder
from maxprune.plural import kind_of, plural
from maxprune.store.source import find_function, look_here

VALIDATION = 0.1  # of the training set, where there are no validation pictures
MORE, MOST_HELD = 0.25, 0.5  # up to here for `least`, and where it is asked for
STOPPING = 0.05  # of what is left, to decide on the best epoch of a training
AUGMENTS = ("flip", "crop", "turn", "zoom", "light", "noise", "erase")
USUAL = ("flip", "crop")
TURN, ZOOM, LIGHT, NOISE = 10.0, 0.1, 0.2, 0.02  # degrees, factor less 1, share, standard deviation
ERASE = 0.5  # of the pictures
MOST_SHIFT = 1000
NAMED = 20  # pictures that could not be read, in a note
NOT_MIRRORED = ("digits", "mnist")  # a mirrored digit is another sign, or none


@dataclass(frozen=True)
class DataOptions:
    """How data are read.

    Args:
        size: (channels, height, width) that every picture of a folder is brought to; None where
            they all have one size.
        augment: what is done to training pictures, of "flip", "crop" (shifted by up to an eighth),
            "turn" (by up to 10 degrees), "zoom" (by up to a tenth), "light" (contrast by up to a
            fifth), "noise" and "erase" (a rectangle of every other picture); None for what fits
            the data.
        shift: pixels by which "crop" shifts at most; None for an eighth of the picture.
        validation: share of the training set that is held out to judge by, at most a half; None
            for a tenth, unless the data have validation samples of their own.
        least: samples to be held out where `validation` says nothing, as far as a quarter of the
            training set goes: fewer show little of a small loss.
        mean: of each channel, in [0, 1], taken away before the network.
        std: of each channel, by which is divided then.
        unreadable: what happens at a picture that cannot be read.
        root: folder of the built-in datasets.
        seed: of the validation split.
        stream: whether the pictures of a folder stay on disk and are read as they are needed:
            "yes", "no", or "auto" where they would take more than half of the free memory.
        workers: threads that read them then; 0 for one a core.
    """

    size: tuple[int, ...] | None = None
    augment: tuple[str, ...] | None = None
    shift: int | None = None
    validation: float | None = None
    least: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    unreadable: Literal["stop", "skip"] = "stop"
    root: Path | None = None
    seed: int = 0
    stream: Literal["auto", "yes", "no"] = "auto"
    workers: int = 0

    def held_out(self, count: int) -> float:
        """The share of so many training samples that is held out to judge by."""
        if self.validation is not None:
            return self.validation
        return min(max(VALIDATION, self.least / max(count, 1)), MORE)


DEFAULT = DataOptions()


def open_data(spec: str, options: DataOptions = DEFAULT) -> Splits:
    """The data that `spec` names: training, validation and test samples.

    Args:
        spec: "digits", "mnist" or "cifar10"; a folder with train/CLASS/ and, if there are, val/
            and test/, or with tar shards called train-*.tar, val-*.tar and test-*.tar (see
            `data.shards`); or "my_data.py:loaders", a function without arguments that gives
            (train, validation) or (train, validation, test), each a loader of batches (inputs,
            classes). Without validation data a tenth of the training set is held out, or as the
            options say, and a twentieth of the rest to decide on the best epoch of a training.
        options: how they are read.

    Raises:
        UsageError: there is no such dataset, folder or function, or an option does not fit.
        DataError: the data are missing, damaged, or not what is expected.
        OutputError: the download cache cannot be written.
    """
    _check(options)
    if spec in NAMES:
        if options.size is not None:
            raise UsageError(f"the pictures of {spec} have one size; a size is for a folder")
        if options.stream == "yes" or options.workers:
            raise UsageError(f"{spec} is in memory; streaming, with workers, is for a folder")
        return of_dataset(load(spec, options.root), options, spec not in NOT_MIRRORED)
    source, _, path = spec.rpartition(":")
    if source and not Path(spec).exists():
        return _from_function(spec, find_function(source, path), options)
    if not is_folder(spec):
        raise UsageError(
            f"{spec!r} is no data: give {', '.join(NAMES)}, a folder with train/CLASS/ or "
            "train-*.tar, or my_data.py:loaders"
        )
    return _from_folder(Path(spec), options)


Data: TypeAlias = Dataset | Splits | str | Path | Sequence[Any] | Mapping[str, Any]
"""What `as_splits` takes."""


def as_splits(data: Data, seed: int = 0) -> Splits:
    """Training, validation and test samples, in whatever form the data are given.

    Args:
        data: samples; a dataset, of which a tenth of the training set is held out and nothing is
            augmented; what `open_data` opens; or (train, validation) or (train, validation, test)
            loaders of batches (inputs, classes), also as a mapping with these names.
        seed: of the validation split.

    Raises:
        UsageError: it is something else.
        DataError: the data are missing, damaged, or not what is expected.
    """
    if isinstance(data, Splits):
        return data
    if isinstance(data, Dataset):
        return of_dataset(data, DataOptions(augment=(), seed=seed))
    if isinstance(data, str | Path):
        return open_data(str(data), DataOptions(seed=seed))
    return _of_loaders("the data", data)


def of_dataset(data: Dataset, options: DataOptions = DEFAULT, mirrored: bool = False) -> Splits:
    """A dataset in memory, with a part of its training set held out to judge by.

    Args:
        data: training and test pictures.
        options: how they are augmented and normalised.
        mirrored: whether a mirrored picture is of the same class, for the default augmentation.
    """
    rest, validation = data.holdout(options.held_out(len(data.train)), options.seed)
    rest, stopping = Dataset(data.name, rest, data.test).holdout(STOPPING, options.seed)
    return Splits(
        data.name, _training(rest, options, mirrored), _plain(validation, options),
        _plain(data.test, options), data.input_shape, stopping=_plain(stopping, options),
    )  # fmt: skip


def _check(options: DataOptions) -> None:
    wrong = [name for name in options.augment or () if name not in AUGMENTS]
    if wrong:
        raise UsageError(f"there is no augmentation {wrong[0]!r}; there are {', '.join(AUGMENTS)}")
    if options.size is not None and (len(options.size) != 3 or options.size[0] not in (1, 3)):
        raise UsageError(
            f"pictures are brought to 1 or 3 channels, a height and a width, not {options.size}"
        )
    if options.shift is not None and not 0 <= options.shift < MOST_SHIFT:
        raise UsageError(
            f"pictures are shifted by 0 to {MOST_SHIFT - 1} pixels, not {options.shift}"
        )
    if options.validation is not None and not 0 < options.validation <= MOST_HELD:
        raise UsageError(
            f"more than 0 and at most {100 * MOST_HELD:g}% of the training set is held out to "
            f"judge by, not {100 * options.validation:g}%"
        )
    if not all(map(math.isfinite, (*options.mean, *options.std))):
        raise UsageError(f"mean and std are finite numbers, not {(*options.mean, *options.std)}")
    if any(not std > 0 for std in options.std):
        raise UsageError(f"a standard deviation is above 0, not {options.std}")


def _plain(images: Stock, options: DataOptions) -> Pictures:
    """The pictures, normalised."""
    channels = images.shape[0]
    for name, values in (("mean", options.mean), ("std", options.std)):
        if len(values) not in (0, channels):
            raise UsageError(
                f"the {name} has {plural(len(values), 'number')} for pictures of "
                f"{plural(channels, 'channel')}"
            )
    return Pictures(images, mean=options.mean, std=options.std)


def _training(images: Stock, options: DataOptions, mirrored: bool) -> Pictures:
    """The training pictures, normalised and augmented."""
    augment = options.augment
    if augment is None:
        augment = USUAL if mirrored else ("crop",)
    eighth = max(1, min(images.shape[1:]) // 8)
    shift = eighth if options.shift is None else options.shift
    if options.shift is not None and shift >= min(images.shape[1:]):
        raise UsageError(f"pictures of {images.shape[1:]} cannot be shifted by {shift} pixels")
    return replace(
        _plain(images, options), flip="flip" in augment, crop=shift * ("crop" in augment),
        turn=TURN * ("turn" in augment), zoom=ZOOM * ("zoom" in augment),
        light=LIGHT * ("light" in augment), noise=NOISE * ("noise" in augment),
        erase=ERASE * ("erase" in augment),
    )  # fmt: skip


def _from_folder(root: Path, options: DataOptions) -> Splits:
    size = options.size
    found, notes = opened_folder(
        root, (size[0], size[1], size[2]) if size else None, options.unreadable, options.stream,
        options.workers,
    )  # fmt: skip
    train, validation, test = found.train, found.validation, found.test
    notes = [f"classes: {', '.join(found.classes)}", *notes]
    if validation is None:
        share = options.held_out(len(train))
        train, validation = held_out(train, share, options.seed)
        notes.append(f"There is no val/: {100 * share:.3g}% of train/ was held out to judge by.")
    elif options.validation is not None:
        raise UsageError(f"{root} has validation pictures; none are held out of the others")
    if found.skipped:
        more = len(found.skipped) - NAMED
        notes.append(
            f"{plural(len(found.skipped), 'picture')} could not be read: "
            + "; ".join(found.skipped[:NAMED])
            + (f"; and {more} more" if more > 0 else "")
        )
    train, stopping = held_out(train, STOPPING, options.seed)
    return Splits(
        found.name, _training(train, options, mirrored=True), _plain(validation, options),
        None if test is None else _plain(test, options), train.shape, tuple(notes),
        _plain(stopping, options),
    )  # fmt: skip


def _from_function(spec: str, function: Callable[..., Any], options: DataOptions) -> Splits:
    """What the user's function gives."""
    try:
        with look_here():
            found = function()
    except MaxpruneError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{spec} failed: {type(error).__name__}: {first_line(error)}") from error
    if isinstance(found, Dataset):
        return of_dataset(found, options, mirrored=True)
    if options != replace(DEFAULT, root=options.root, seed=options.seed, least=options.least):
        raise UsageError(
            f"{spec} gives loaders, which do their own: no size, augmentation, shift, mean, std, "
            "unreadable pictures, validation, streaming or workers can be set for them"
        )
    splits = found if isinstance(found, Splits) else _of_loaders(spec, found)
    return replace(splits, source=function)


def _of_loaders(spec: str, found: Any) -> Splits:
    """Two or three loaders."""
    if isinstance(found, Mapping):
        names = [("train",), ("validation", "val"), ("test",)]
        found = [next((found[n] for n in group if n in found), None) for group in names]
    if not isinstance(found, tuple | list) or len(found) not in (2, 3) or None in found[:2]:
        raise UsageError(
            f"{spec}: {kind_of(found)} is no (train, validation) or (train, validation, "
            "test), each a loader of batches (inputs, classes)"
        )
    loaders = dict(zip(("train", "validation", "test"), found, strict=False))
    return _loaded(spec, {name: part for name, part in loaders.items() if part is not None})


def _loaded(spec: str, loaders: dict[str, Any]) -> Splits:
    """Loaders, after one look at each."""
    shapes: dict[str, tuple[int, ...]] = {}
    seen: dict[str, set[int]] = {}
    most = 0
    for name, loader in loaders.items():
        if not isinstance(loader, Iterable) or iter(loader) is loader:
            raise UsageError(
                f"{spec}: {name} is {kind_of(loader)}, which cannot be gone through twice; "
                "give a loader such as torch.utils.data.DataLoader"
            )
        labels: set[int] = set()
        for x, y in Loaded(loader, f"{spec}: {name}", 0).batches(0):
            first = shapes.setdefault("train", tuple(x.shape[1:]))
            if x.shape[1:] != first:
                raise DataError(f"{spec}: inputs of {name} are {tuple(x.shape[1:])}, not {first}")
            labels |= set(y.tolist())
        if not labels or min(labels) < 0:
            raise DataError(f"{spec}: {name} gives " + ("a class below 0" if labels else "nothing"))
        most, seen[name] = max(most, max(labels) + 1), labels
    for name, labels in seen.items():
        missing = seen["train"] ^ labels
        if missing:
            raise DataError(f"{spec}: class {min(missing)} is in train or {name}, not in both")
    made = {name: Loaded(part, f"{spec}: {name}", most) for name, part in loaders.items()}
    return Splits(
        spec, made["train"], made["validation"], made.get("test"), shapes["train"]
    )  # fmt: skip
