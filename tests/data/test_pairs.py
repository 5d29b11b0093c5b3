"""The pairs of View 2: the file, the places of its pictures, and that no identity leaks."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maxprune.data import pairs_file
from maxprune.data.faces import Faces
from maxprune.data.lfw_files import in_archive
from maxprune.data.pairs import Pairs, allowed, check_no_leak, located, view2
from maxprune.data.pairs_file import Pair, read_pairs
from maxprune.errors import DataError, UsageError

Picture = tuple[str, int]


def faces_of(pictures: list[Picture]) -> Faces:
    """Faces without content."""
    found = sorted(pictures)
    people = sorted({name for name, _ in found})
    return Faces(
        torch.zeros(len(found), 1, 1, 1, dtype=torch.uint8),
        tuple(people),
        torch.tensor([people.index(name) for name, _ in found]),
        torch.tensor([number for _, number in found]),
    )


FACES = faces_of([(name, number) for name in "ABCDEF" for number in (1, 2, 10)])
LINES = [
    "2\t2",
    "A\t1\t2", "B\t10\t2", "A\t1\tB\t1", "C\t1\tA\t2",
    "D\t1\t2", "D\t1\t10", "D\t1\tE\t1", "E\t2\tD\t2",
]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "pairs.txt").write_bytes("\n".join([*LINES, ""]).encode())
    return tmp_path / "pairs.txt"


@pytest.fixture
def pairs(file: Path) -> Pairs:
    return located(read_pairs(file), FACES)


def refused(file: Path, content: str | bytes) -> str:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_pairs(file)
    assert str(caught.value).isprintable()  # so of one line
    assert str(file) in str(caught.value)
    return str(caught.value)


# The real data


def test_the_real_view_2() -> None:
    named = os.environ.get("MAXPRUNE_DATA")
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    root = Path(named) if named else beside
    wanted = [root / "lfw" / name for name in ("pairs.txt", "lfw-deepfunneled.tgz")]
    if not all(path.is_file() for path in wanted):
        pytest.skip(f"real View 2 is not checked: not both of {wanted}; set MAXPRUNE_DATA")
    listed = read_pairs(wanted[0])
    assert (listed.official, listed.folds, listed.each) == (True, 10, 300)
    faces = faces_of([(one.name, one.number) for one in in_archive(wanted[1])])
    pairs = view2(faces, root)
    assert (len(pairs), int(pairs.same.sum())) == (6_000, 3_000)
    assert torch.equal(
        faces.person[pairs.places[:, 0]] == faces.person[pairs.places[:, 1]], pairs.same
    )
    assert pairs.fold.bincount().tolist() == [600] * 10
    people, pictures = [], []
    for fold in range(10):
        places = allowed(faces, pairs, fold)
        check_no_leak(faces, places, pairs, fold)
        assert not set(places.tolist()) & set(pairs.fold_pairs(fold).places.flatten().tolist())
        counts = faces.person[places].bincount()
        people.append(int((counts > 1).sum()))
        pictures.append(int(counts[counts > 1].sum()))
    assert people == [1505, 1533, 1531, 1529, 1528, 1528, 1482, 1522, 1509, 1505]
    assert pictures == [8243, 8219, 8479, 8255, 8563, 8376, 7884, 8389, 8372, 7829]


# The file


def test_what_the_file_says(file: Path) -> None:
    listed = read_pairs(file)
    assert (listed.folds, listed.each, len(listed.pairs), listed.official) == (2, 2, 8, False)
    assert listed.pairs[1] == (("B", 10), ("B", 2))
    assert listed.pairs[3] == (("C", 1), ("A", 2))
    assert [pair.same for pair in listed.pairs] == [True, True, False, False] * 2
    assert listed.line(3) == f"{file.as_posix()}, line 5"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_lines_may_end_as_on_windows_and_the_last_not_at_all(file: Path, end: str) -> None:
    expected = read_pairs(file).pairs
    file.write_bytes(((end or "\n").join(LINES) + end).encode())
    assert read_pairs(file).pairs == expected


@pytest.mark.parametrize(
    "line",
    ["", "2", "2\t", "2 2", "2\t2\t2", "0\t2", "2\t0", "-2\t2", "2\t02", "2\t10000", "\ufeff2\t2",
     "2\t\u0662", "2\t2 ", "x" * 200, "\x1b[2J\t2"],
)  # fmt: skip
def test_another_first_line(file: Path, line: str) -> None:
    said = refused(file, "\n".join([line, *LINES[1:], ""]))
    assert ", line 1 is '" in said
    assert "expected the number of folds, a tab and the pairs of each kind in a fold" in said
    assert len(said) < 300 + len(str(file))


@pytest.mark.parametrize(
    "lines",
    [LINES[:-1], LINES[:1], [*LINES, ""], [*LINES, LINES[-1]], ["9999\t9999", *LINES[1:]]],
)
def test_another_number_of_pairs(file: Path, lines: list[str]) -> None:
    said = refused(file, "\n".join([*lines, ""]))
    assert f"has {len(lines) - 1} pairs, but its first line says" in said


@pytest.mark.parametrize(
    ("number", "line", "message"),
    [
        (3, "A\t1\tB\t1", r"is 'A\\t1\\tB\\t1', expected NAME N1 N2 with tabs"),
        (4, "A\t1\t2", r"is 'A\\t1\\t2', expected NAME1 N1 NAME2 N2 with tabs"),
        (3, "", "is '', expected NAME N1 N2"),
        (3, "A 1 2", "is 'A 1 2', expected NAME N1 N2"),
        (3, "A\t1\t2\t", "expected NAME N1 N2"),
        (3, "\t1\t2", "expected NAME N1 N2"),
        (3, "A\t0\t2", "expected NAME N1 N2"),
        (3, "A\t-1\t2", "expected NAME N1 N2"),
        (3, "A\t1\t0002", "expected NAME N1 N2"),
        (3, "A\t1\t\u0662", "expected NAME N1 N2"),
        (3, "A\t1\t10000", "expected NAME N1 N2"),
        (3, "A\t2\t2", "pairs picture 2 of 'A' with itself"),
        (8, "D\t2\tD\t2", "pairs picture 2 of 'D' with itself"),
        (8, "D\t1\tD\t2", "is among the pairs of two people, but both are 'D'"),
        (3, "A\t1\t2", "has the pair of line 2 again"),
        (3, "A\t2\t1", "has the pair of line 2 again"),
        (9, "E\t1\tD\t1", "has the pair of line 8 again"),
        (9, "B\t1\tA\t1", "has the pair of line 4 again"),
    ],
)
def test_a_wrong_line_is_named(file: Path, number: int, line: str, message: str) -> None:
    lines = [*LINES[: number - 1], line, *LINES[number:], ""]
    said = refused(file, "\n".join(lines))
    assert f", line {number} " in said
    assert message.replace("\\\\", "\\") in said


def test_files_that_are_no_text_too_large_or_missing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is not text in UTF-8" in refused(file, b"2\t2\nA\xff\t1\t2\n")
    assert "has more than 4194304 bytes" in refused(file, bytes((1 << 22) + 1))
    monkeypatch.setattr(pairs_file, "_LIMIT", 79)
    whole = "\n".join([*LINES, ""])
    assert "has more than 79 bytes" in refused(file, whole.ljust(80, "x"))
    with pytest.raises(DataError, match=r"cannot read .*none\.txt: No such file"):
        read_pairs(tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot read"):
        read_pairs(tmp_path)


NAME = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), min_size=1)


@st.composite
def view(draw: st.DrawFn) -> tuple[int, int, list[Pair]]:
    """Folds, pairs of each kind, and pairs that no file may object to."""
    folds, each = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    names = draw(st.lists(NAME, min_size=2, max_size=5, unique=True))
    picture = st.tuples(st.sampled_from(names), st.integers(1, 9999))
    number = st.integers(1, 9999)
    same = st.builds(lambda a, n: Pair(a, (a[0], n)), picture, number).filter(
        lambda p: p[0] != p[1]
    )
    other = st.builds(Pair, picture, picture).filter(lambda p: not p.same)
    size = folds * each
    drawn = [
        draw(st.lists(kind, min_size=size, max_size=size, unique_by=frozenset))
        for kind in (same, other)
    ]
    cuts = [slice(fold * each, (fold + 1) * each) for fold in range(folds)]
    return folds, each, [pair for cut in cuts for kind in drawn for pair in kind[cut]]


def written(folds: int, each: int, pairs: list[Pair]) -> str:
    lines = [f"{folds}\t{each}"]
    for (name, n), (other, m) in pairs:
        lines.append(f"{name}\t{n}\t{m}" if name == other else f"{name}\t{n}\t{other}\t{m}")
    return "\n".join([*lines, ""])


@given(view())
@settings(deadline=None, max_examples=60)
def test_what_is_written_is_read_and_found(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[int, int, list[Pair]]
) -> None:
    folds, each, pairs = drawn
    file = tmp_path_factory.getbasetemp() / "drawn.txt"
    file.write_bytes(written(*drawn).encode())
    listed = read_pairs(file)
    assert (listed.folds, listed.each, list(listed.pairs)) == drawn
    faces = faces_of(list({picture for pair in pairs for picture in pair}))
    found = located(listed, faces)
    assert found.fold.tolist() == [fold for fold in range(folds) for _ in range(2 * each)]
    for places, same, pair in zip(found.places, found.same, pairs, strict=True):
        whose = faces.person[places]
        names = [faces.people[i] for i in whose]
        assert tuple(zip(names, faces.numbers[places].tolist(), strict=True)) == pair
        assert bool(same) == bool(whose[0] == whose[1])
    for fold in range(folds):
        tested = {name for pair in pairs[fold * 2 * each :][: 2 * each] for name, _ in pair}
        free = allowed(faces, found, fold).tolist()
        expected = [i for i in range(len(faces)) if faces.people[faces.person[i]] not in tested]
        assert free == expected


@given(view(), st.data())
@settings(deadline=None, max_examples=60)
def test_a_line_left_out_moved_or_twice_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[int, int, list[Pair]],
    data: st.DataObject,
) -> None:
    lines = written(*drawn).split("\n")[:-1]
    at = data.draw(st.integers(1, len(lines) - 1))
    each = drawn[1]
    of_other_kind = at + each if (at - 1) % (2 * each) < each else at - each
    changed = {
        "left out": [*lines[:at], *lines[at + 1 :]],
        "more": [*lines, lines[at]],
        "in the place of another": [
            *lines[:at],
            lines[at - 1] if at > 1 else lines[-1],
            *lines[at + 1 :],
        ],
        "kinds changed": [
            lines[{at: of_other_kind, of_other_kind: at}.get(i, i)] for i in range(len(lines))
        ],
    }
    file = tmp_path_factory.getbasetemp() / "changed.txt"
    refused(file, "\n".join([*changed[data.draw(st.sampled_from(sorted(changed)))], ""]))


@given(st.one_of(st.binary(max_size=60), st.text("12\tA\n\r ", max_size=60).map(str.encode)))
@settings(deadline=None)
def test_any_bytes_are_pairs_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.txt"
    file.write_bytes(content)
    try:
        listed = read_pairs(file)
    except DataError as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        again = written(listed.folds, listed.each, list(listed.pairs)).encode()
        assert again.rstrip(b"\n") == content.replace(b"\r\n", b"\n").rstrip(b"\n")


# Among the faces


def test_the_places_of_the_pairs(pairs: Pairs) -> None:
    a, b, c, d, e = (3 * i for i in range(5))  # of picture 1; picture 2 and 10 follow
    assert pairs.places.tolist() == [
        [a, a + 1], [b + 2, b + 1], [a, b], [c, a + 1],
        [d, d + 1], [d, d + 2], [d, e], [e + 1, d + 1],
    ]  # fmt: skip
    assert pairs.same.tolist() == [True, True, False, False] * 2
    assert pairs.fold.tolist() == [0] * 4 + [1] * 4
    assert (pairs.places.dtype, pairs.fold.dtype) == (torch.int64, torch.int64)


@pytest.mark.parametrize(
    ("number", "line", "message"),
    [
        (3, "B\t10\t3", "no picture 3 of 'B'"),
        (5, "G\t1\tA\t2", "no picture 1 of 'G'"),
        (5, "A\t1\tG\t2", "no picture 2 of 'G'"),
        (9, "E\t2\t\x1b[2J\t2", r"no picture 2 of '\x1b[2J'"),
    ],
)
def test_a_picture_that_is_not_there_is_named(
    file: Path, number: int, line: str, message: str
) -> None:
    file.write_text("\n".join([*LINES[: number - 1], line, *LINES[number:]]))
    with pytest.raises(DataError) as caught:
        located(read_pairs(file), FACES)
    assert str(caught.value).startswith(f"{file.as_posix()}, line {number}: there is {message} ")


def test_the_pairs_of_a_fold_and_the_others(pairs: Pairs) -> None:
    one, other = pairs.fold_pairs(1), pairs.other_pairs(1)
    assert one.places.tolist() == pairs.places[4:].tolist()
    assert (one.same.tolist(), one.fold.tolist()) == ([True, True, False, False], [1] * 4)
    assert other.places.tolist() == pairs.places[:4].tolist()
    assert (len(one), len(other), other.fold.tolist()) == (4, 4, [0] * 4)


def test_who_may_be_trained_on(pairs: Pairs) -> None:
    people = [[FACES.people[i] for i in FACES.person[allowed(FACES, pairs, k)]] for k in (0, 1)]
    assert people == [list("DDDEEEFFF"), list("AAABBBCCCFFF")]


def test_a_tested_identity_in_training_is_named(pairs: Pairs) -> None:
    for fold in (0, 1):
        check_no_leak(FACES, allowed(FACES, pairs, fold), pairs, fold)
    check_no_leak(FACES, torch.empty(0, dtype=torch.int64), pairs, 0)
    e10 = FACES.place("E", 10)  # in no pair; but its person is
    mixed = torch.tensor([0, e10, 1, e10])
    with pytest.raises(DataError, match=r"^E is trained on and tested in fold 1 \(2 of 4 training"):
        check_no_leak(FACES, mixed, pairs, 1)
    with pytest.raises(DataError, match=r"^A is trained on and tested in fold 0 \(2 of 4 "):
        check_no_leak(FACES, mixed, pairs, 0)


@pytest.mark.parametrize("places", [[-1, 3], [3, 18]])
def test_places_that_are_none_are_refused(pairs: Pairs, places: list[int]) -> None:
    with pytest.raises(
        UsageError, match=f"from {places[0]} to {places[1]}, but there are 18 faces"
    ):
        check_no_leak(FACES, torch.tensor(places), pairs, 1)


@pytest.mark.parametrize("fold", [-1, 2])
def test_a_fold_that_is_none(pairs: Pairs, fold: int) -> None:
    message = f"there is no fold {fold}; the folds are 0 to 1"
    for ask in (
        lambda: pairs.fold_pairs(fold),
        lambda: pairs.other_pairs(fold),
        lambda: allowed(FACES, pairs, fold),
        lambda: check_no_leak(FACES, torch.tensor([0]), pairs, fold),
    ):
        with pytest.raises(UsageError, match=message):
            ask()


def test_view2_reads_the_file_in_the_folder_of_lfw(tmp_path: Path) -> None:
    (tmp_path / "lfw").mkdir()
    with pytest.raises(DataError, match=r"cannot read .*lfw/pairs\.txt: No such file"):
        view2(FACES, tmp_path)
    (tmp_path / "lfw" / "pairs.txt").write_text("\n".join(LINES))
    assert len(view2(FACES, tmp_path)) == 8
    with pytest.raises(DataError, match="is not a folder that exists; get Labeled Faces"):
        view2(FACES, tmp_path / "lfw")
