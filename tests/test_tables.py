"""fastnn.data.read_csv and read_npz: where a fault lies, what arguments may be, and what stays apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import data


@pytest.fixture
def write(tmp_path: Path):
    def write_bytes(content: bytes) -> Path:
        path = tmp_path / "t.csv"
        path.write_bytes(content)
        return path

    return write_bytes


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'a,y\n1,"cat\n2,dog\n3,cat\n', r"line 2: not a row of a CSV file: .*; is a quote not closed\?"),
        (b'a,y\n\n1,"cat\n2,"dog"\n3,cat\n', r"line 3: not a row of a CSV file: .*; is a quote not closed\?"),
        (b'a,"y\n1,2\n', r"line 1: not a row of a CSV file: .*; is a quote not closed\?"),
        (b"a,y\n1,2\n1," + b"x" * 200_000 + b"\n", "line 3: not a row of a CSV file: field larger than .*131072.$"),
        (b"a,y\n" + b"1,2\n" * 5000 + b"1,\xff\n", r"line 5002: not text in UTF-8 \(invalid .* at byte 20006\)"),
        (b"\xef\xbb\xbfa,y\r\n1,2\r\n\xff,3\r\n", r"line 3: not text in UTF-8 \(invalid .* at byte 13\)"),
        ("a,y\n1,2\n".encode("utf-16"), r"line 1: not text in UTF-8 \(invalid .* at byte 0\)"),
    ],
)
def test_where_a_file_is_at_fault(write, content: bytes, complaint: str) -> None:
    for read in (lambda path: data.read_csv(path, "y"), data.read_features):
        with pytest.raises(ValueError, match=rf"t\.csv, {complaint}"):
            read(write(content))


def test_quoted_cells_of_several_lines_are_taken(write) -> None:
    table = data.read_csv(write(b'a,y\n1,"u\n""v"""\n2,w\n'), "y")
    assert table.class_names == ('u\n"v"', "w")


ARGUMENTS: list[Any] = [
    ({"class_names": [0, 1]}, TypeError, "class_names: expected texts, got 0"),
    ({"class_names": "01"}, TypeError, "class_names: expected a list of texts, got '01'"),
    ({"class_names": 2}, TypeError, "class_names: expected a list of texts, got 2"),
    ({"class_names": ["0", "1", "0"]}, ValueError, "class_names: expected different classes, got '0' more than once"),
    ({"class_names": ["0", "1"], "task": "regression"}, ValueError, "class_names: expected none .*got 0, 1"),
    ({"class_names": [], "task": "classification"}, ValueError, "class_names: expected some .*got none"),
    ({"feature_names": "ab"}, TypeError, "feature_names: expected a list of texts, got 'ab'"),
    ({"feature_names": [0]}, TypeError, "feature_names: expected texts, got 0"),
    ({"delimiter": None}, ValueError, "delimiter must be one character, .*got None"),
    ({"delimiter": b","}, ValueError, "delimiter must be one character, .*got b','"),
    ({"delimiter": '"'}, ValueError, "delimiter must be one character, no quote or end of line, got '\"'"),
    ({"delimiter": "\n"}, ValueError, "delimiter must be one character, no quote or end of line"),
]


@pytest.mark.parametrize(("options", "error", "text"), ARGUMENTS)
def test_what_arguments_cannot_be(write, options: Any, error: type[Exception], text: str) -> None:
    path = write(b"a,b,y\n1,2,0\n3,4,1\n")
    with pytest.raises(error, match=text):
        data.read_csv(path, "y", **options)
    if options.keys() & {"feature_names", "delimiter"}:
        with pytest.raises(error, match=text):
            data.read_features(path, **options)


def test_arguments_that_agree_are_taken(write) -> None:
    path = write(b"a,b,y\n1,2,0\n3,4,1\n")
    assert data.read_csv(path, "y", task="classification", class_names=["1", "0"]).y.tolist() == [1, 0]
    assert data.read_csv(path, "y", task="regression", class_names=[]).y.tolist() == [[0], [1]]
    assert data.read_csv(path, "y", feature_names=(n for n in "ba")).X.tolist() == [[2, 1], [4, 3]]


def test_large_whole_numbers_are_classes_of_their_own(write) -> None:
    cells = ["9007199254740993", "9007199254740992", "9007199254740993.0", "9_007199254740992", "1e30", "1e30"]
    table = data.read_csv(write(b"a,y\n" + "".join(f"1,{cell}\n" for cell in cells).encode()), "y")
    assert table.class_names == ("9007199254740992", "9007199254740993", str(10**30))
    assert table.y.tolist() == [1, 0, 1, 0, 2, 2]
    halves = data.read_csv(write(b"a,y\n" + b"1,9007199254740992.5\n" * 4), "y")
    assert halves.class_names == ()  # though it is whole as a float


HELD = {"X_train": np.ones((3, 2)), "X_test": np.ones((2, 2))}


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"X": np.ones((3, 2)), "y": np.array([0.5, np.nan, 1])}, r"y\[1\] is not a finite number as float32: nan"),
        ({"X": np.ones((1, 2)), "y": np.array([[0.5, -np.inf]])}, r"y\[0, 1\] is not a finite number .*: -inf"),
        ({"X": np.ones((1, 2)), "y": np.array([1e39])}, r"y\[0\] is not a finite number as float32: 1e\+39"),
        ({"X": np.array([[1, 1e300]]), "y": np.ones(1)}, r"X\[0, 1\] is not a finite number as float32: 1e\+300"),
        (
            HELD | {"y_train": np.ones(3), "y_test": np.array([0, np.inf])},
            r"y_test\[1\] is not a finite number as float32: inf",
        ),
        (
            HELD | {"y_train": np.ones((3, 2)), "y_test": np.ones((2, 3))},
            "y_train holds 2 numbers a row, y_test holds 3 numbers a row",
        ),
        (
            HELD | {"y_train": np.array([0, 1, 1]), "y_test": np.array([0.0, 1.0])},
            "y_train holds class labels, y_test holds 1 number a row",
        ),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_an_archive_may_not_hold(tmp_path: Path, arrays: dict[str, np.ndarray], complaint: str) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(ValueError, match=rf"t\.npz: {complaint}$"):
        data.read_npz(tmp_path / "t.npz")


def test_labels_in_a_row_or_a_column_are_of_one_kind(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", **HELD, y_train=np.array([[0], [1], [1]]), y_test=np.array([True, False]))
    (_, y), held = data.read_npz(tmp_path / "t.npz")
    assert held is not None
    assert (y.tolist(), held[1].tolist()) == ([0, 1, 1], [1, 0])


def test_the_target_is_no_feature_and_no_feature_is_there_twice(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("area,price\n1,2\n3,4\n")
    with pytest.raises(ValueError, match="feature_names: 'price' is the target"):
        data.read_csv(tmp_path / "t.csv", "price", feature_names=["area", "price"])
    with pytest.raises(ValueError, match="feature_names: expected different columns, got 'area' more than once"):
        data.read_csv(tmp_path / "t.csv", "price", feature_names=["area", "area"])


def test_an_archive_of_more_than_is_read(tmp_path: Path) -> None:
    X, y = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "d.npz", X=X, y=y, X_test=X[:2], y_test=y[:2], names=np.array(["a", None], dtype=object))
    rows, held = data.read_npz(tmp_path / "d.npz")
    assert rows[0].shape == (4, 2)
    assert held is not None
    assert held[1].tolist() == [0, 1]
