"""Tables: CSV files with a header, and NumPy's .npz archives."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks

CLASSIFICATION, REGRESSION = "classification", "regression"
MOST_CLASSES = 20  # integers with more different values than this are taken for quantities
BLOCK = 4096  # rows converted at a time


class Table(NamedTuple):
    """X float32 (n, features); y int32 labels (n,), or float32 (n, 1) for regression, where ``class_names`` is empty.

    Label k stands for ``class_names[k]``; ``feature_names`` are the columns of X.
    """

    X: NDArray[np.float32]
    y: NDArray[Any]
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]


def read_csv(
    path: str | Path,
    target: str,
    delimiter: str = ",",
    *,
    task: str | None = None,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Table:
    """Read a CSV file whose first line names the columns; ``target`` names the one to predict.

    The target is a class where it holds anything but numbers (classes are sorted by name), or integers with at most 20
    different values, at most half as many as there are rows (classes are sorted by value); else it is a quantity.
    ``task="classification"`` or ``"regression"`` decides otherwise. All other columns must be finite numbers.

    ``feature_names`` picks columns, in that order, in place of all but the target; ``class_names`` fixes the classes,
    so that labels agree with those of another file (an empty sequence means regression). Raises FileNotFoundError,
    ValueError that names the file and the line and column at fault, or TypeError for names that are not texts.
    """
    if task not in (None, CLASSIFICATION, REGRESSION):
        raise ValueError(f"task must be 'classification' or 'regression', got {task!r:.80}")
    feature_names, class_names = _texts("feature_names", feature_names), _texts("class_names", class_names)
    if feature_names is not None and target in feature_names:
        raise ValueError(f"feature_names: {target!r:.80} is the target")
    if feature_names is not None and len(set(feature_names)) < len(feature_names):
        again = next(name for name in feature_names if feature_names.count(name) > 1)
        raise ValueError(f"feature_names: expected different columns, got {again!r:.80} more than once")
    if class_names is not None:
        twice = [name for name in class_names if class_names.count(name) > 1]
        if twice:
            raise ValueError(f"class_names: expected different classes, got {twice[0]!r:.80} more than once")
        if task is not None and (task == REGRESSION) == bool(class_names):
            got = _some(class_names) or "none"
            raise ValueError(
                f"class_names: expected {'none' if class_names else 'some'} with task={task!r:.80}, got {got}"
            )
    sheet = _Sheet(Path(path), delimiter)
    at = sheet.column(target, "target")
    names = tuple(n for n in sheet.header if n != target) if feature_names is None else feature_names
    if not names:
        raise ValueError(f"{path}: no column is left beside the target {target!r:.80}")
    X = sheet.numbers([sheet.column(name, "feature") for name in names])
    cells = [row[at].strip() for row in sheet.rows]
    if class_names is None:
        task = task or _task_of(cells)
        classes = _classes_of(cells) if task == CLASSIFICATION else ()
    else:
        classes = class_names
    if not classes:
        return Table(X, sheet.numbers([at]), names, ())
    return Table(X, _labels(sheet, cells, target, classes), names, classes)


def read_features(
    path: str | Path, feature_names: Sequence[str] | None = None, delimiter: str = ","
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """X float32 (n, features) and its column names: of the named columns of a CSV file, or of all of them.

    Other columns are not looked at. Errors as in ``read_csv``.
    """
    chosen = _texts("feature_names", feature_names)
    sheet = _Sheet(Path(path), delimiter)
    names = sheet.header if chosen is None else chosen
    return sheet.numbers([sheet.column(name, "feature") for name in names]), names


class _Sheet:
    """The cells of a CSV file as text, with the line each row ends on."""

    def __init__(self, path: Path, delimiter: str) -> None:
        if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
            raise ValueError(f"delimiter must be one character, no quote or end of line, got {delimiter!r:.80}")
        self.path, self.delimiter = path, delimiter
        self.rows: list[list[str]] = []
        self.lines: list[int] = []
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                self._read(csv.reader(file, delimiter=delimiter, strict=True))
        except UnicodeDecodeError:
            raise ValueError(_undecodable(path)) from None

    def _cells(self, reader: Any) -> Iterator[list[str]]:
        """The rows that are not blank. ValueError names the line where the row at fault begins: a quote that is not
        closed is noticed far below."""
        first = 1
        try:
            for row in reader:
                if row:
                    yield row
                first = reader.line_num + 1
        except csv.Error as error:
            hint = "; is a quote not closed?" if reader.line_num > first else ""
            raise ValueError(f"{self.path}, line {first}: not a row of a CSV file: {error}{hint}") from None

    def _read(self, reader: Any) -> None:
        cells = self._cells(reader)
        self.header = tuple(name.strip() for name in next(cells, []))
        if not self.header:
            raise ValueError(f"{self.path}: the file is empty")
        if all(_number(name) is not None for name in self.header):
            raise ValueError(
                f"{self.path}: the first line must name the columns, but it holds numbers: {_some(self.header)}"
            )
        twice = sorted({name for name in self.header if self.header.count(name) > 1})
        if twice:
            raise ValueError(f"{self.path}: column {twice[0]!r:.80} stands in the header more than once")
        for row in cells:
            if len(row) != len(self.header):
                raise ValueError(
                    f"{self.path}, line {reader.line_num}: {len(row)} cells, but the header has {len(self.header)}"
                )
            self.rows.append(row)
            self.lines.append(reader.line_num)
        if not self.rows:
            raise ValueError(f"{self.path}: there is a header but no data")

    def column(self, name: str, role: str) -> int:
        if name not in self.header:
            hint = f" (is the delimiter not {self.delimiter!r:.80}?)" if len(self.header) == 1 else ""
            raise ValueError(f"{self.path}: no {role} column {name!r:.80}; the columns are {_some(self.header)}{hint}")
        return self.header.index(name)

    def numbers(self, columns: list[int]) -> NDArray[np.float32]:
        """(rows, len(columns)) float32; ValueError for the first cell that is not a finite number."""
        X = np.empty((len(self.rows), len(columns)), np.float32)
        for first in range(0, len(self.rows), BLOCK):
            block = [[row[c] for c in columns] for row in self.rows[first : first + BLOCK]]
            try:
                with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found below
                    X[first : first + BLOCK] = np.array(block, np.float64)
            except ValueError:
                self._complain(columns, first)
            if not np.isfinite(X[first : first + BLOCK]).all():
                self._complain(columns, first)
        return X

    def _complain(self, columns: list[int], first: int) -> None:
        most = float(np.finfo(np.float32).max)
        for row, line in zip(self.rows[first:], self.lines[first:], strict=True):
            for c in columns:
                value = _number(row[c])
                if value is None or not abs(value) <= most:
                    got = f"{row[c]!r:.80}" if row[c].strip() else "an empty cell"
                    raise ValueError(
                        f"{self.path}, line {line}, column {self.header[c]!r:.80}: expected a finite number, got {got}"
                    )
        raise AssertionError("no cell at fault")  # the caller found one


def _some(names: Sequence[str], most: int = 12) -> str:
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(name if len(name) <= 80 else f"{name[:79]}…" for name in names[:most]) + more


def _texts(name: str, given: Iterable[str] | None) -> tuple[str, ...] | None:
    """A user's names. A single text is a sequence too, of its letters, and never meant so."""
    if given is None:
        return None
    names = tuple(_checks.listed(name, given, "a list of texts"))
    for one in names:
        if not isinstance(one, str):
            raise TypeError(f"{name}: expected texts, got {one!r:.80}")
    return names


def _undecodable(path: Path) -> str:
    """What is not UTF-8 in a file, and where: the reader's own error counts from the piece it had at hand."""
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = len((content[: error.start] + b".").splitlines())
        return f"{path}, line {line}: not text in UTF-8 ({error.reason} at byte {error.start})"
    return f"{path}: not text in UTF-8"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _integer(text: str) -> int | None:
    """The integer that the cell stands for ("3", "3.0"), or None."""
    value = _number(text)
    if value is None or not math.isfinite(value) or value != int(value):
        return None
    if abs(value) < 2**53:
        return int(value)
    exact = Decimal(text)  # above that several whole numbers are one float
    return int(exact) if exact == int(exact) else None


def _task_of(cells: list[str]) -> str:
    different = set(cells)
    if any(_number(cell) is None for cell in different):
        return CLASSIFICATION
    integers = {_integer(cell) for cell in different}
    few = len(integers) <= min(MOST_CLASSES, len(cells) // 2)
    return CLASSIFICATION if few and None not in integers else REGRESSION


def _classes_of(cells: list[str]) -> tuple[str, ...]:
    different = set(cells)
    integers = {_integer(cell) for cell in different}
    if None in integers:
        return tuple(sorted(different))
    return tuple(str(value) for value in sorted(value for value in integers if value is not None))


def _labels(sheet: _Sheet, cells: list[str], target: str, classes: tuple[str, ...]) -> NDArray[np.int32]:
    number_of = {name: k for k, name in enumerate(classes)}
    y = np.empty(len(cells), np.int32)
    for i, cell in enumerate(cells):
        label = number_of.get(cell)
        if label is None:  # "1.0" where the class is "1"
            whole = _integer(cell)
            label = None if whole is None else number_of.get(str(whole))
        if label is None:
            raise ValueError(
                f"{sheet.path}, line {sheet.lines[i]}, column {target!r:.80}: "
                f"{cell!r:.80} is none of the classes {_some(classes)}"
            )
        y[i] = label
    if "" in number_of:
        raise ValueError(f"{sheet.path}, line {sheet.lines[cells.index('')]}, column {target!r:.80}: the cell is empty")
    return y


Rows = tuple[NDArray[Any], NDArray[Any]]


def read_npz(path: str | Path) -> tuple[Rows, Rows | None]:
    """((X, y), held out), where held out is another (X, y), or None where the file has none.

    The file holds arrays ``X`` and ``y`` (or ``x`` and ``y``), or ``X_train`` and ``y_train``, and, to hold out,
    ``X_test`` and ``y_test``; others are not looked at. X of more than two dimensions is flattened to (n, features); it
    stays uint8 or becomes float32. Integer (or bool) y of shape (n,) or (n, 1) becomes int32 labels (n,); any other y
    becomes float32 (n, outputs). All have to be finite as float32, and what is held out of the same widths and kind of
    y. Nothing is unpickled. Raises FileNotFoundError, or ValueError that names the file and the array at fault.
    """
    with open(path, "rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array (.npy), not an .npz archive")
            wanted = {name for names in _NAMES for name in names}
            members = {name: archive[name] for name in archive.files if name in wanted}
            arrays = {name: a for name, a in members.items() if isinstance(a, np.ndarray)}  # others come as bytes
        except Exception as error:  # NumPy, zipfile and three decompressors have two dozen kinds for a damaged file
            what = str(error)[:300] or type(error).__name__
            raise ValueError(f"{path}: not a readable .npz file: {what}") from None
    for x_name, y_name, held_x, held_y in _NAMES:
        if x_name in arrays and y_name in arrays:
            rows = _rows(path, arrays, x_name, y_name)
            if held_x in arrays and held_y in arrays:
                held = _rows(path, arrays, held_x, held_y)
                if held[0].shape[1] != rows[0].shape[1]:
                    raise ValueError(
                        f"{path}: {x_name} has {rows[0].shape[1]} features, {held_x} has {held[0].shape[1]}"
                    )
                kinds = [_kind(y) for _, y in (rows, held)]
                if kinds[0] != kinds[1]:
                    raise ValueError(f"{path}: {y_name} holds {kinds[0]}, {held_y} holds {kinds[1]}")
                return rows, held
            return rows, None
    raise ValueError(
        f"{path}: expected arrays X and y, or X_train and y_train; it holds {_some(archive.files) or 'none'}"
    )


_NAMES = (
    ("X", "y", "X_test", "y_test"), ("x", "y", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"), ("x_train", "y_train", "x_test", "y_test"),
)  # fmt: skip


def _rows(path: str | Path, arrays: dict[str, NDArray[Any]], x_name: str, y_name: str) -> Rows:
    X, y = arrays[x_name], arrays[y_name]
    for name, array in ((x_name, X), (y_name, y)):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: {name} must hold numbers, it has dtype {array.dtype}")
        if array.size == 0:
            raise ValueError(f"{path}: {name} is empty, its shape is {array.shape}")
    if X.ndim < 2:
        raise ValueError(f"{path}: {x_name} must have shape (n, features), it has {X.shape}")
    if y.ndim not in (1, 2) or len(y) != len(X):
        raise ValueError(
            f"{path}: {y_name} must have shape (n,) or (n, outputs) with n = {len(X)}, the rows of {x_name}; "
            f"it has {y.shape}"
        )
    X = X.reshape(len(X), -1)
    X = X if X.dtype == np.uint8 else _finite(path, x_name, X)
    if y.dtype.kind != "f" and y.size == len(y):
        low, high = int(y.min()), int(y.max())
        if low < -(2**31) or high >= 2**31:
            raise ValueError(f"{path}: {y_name} must fit 32-bit integers, it goes from {low} to {high}")
        return X, y.reshape(-1).astype(np.int32)
    return X, _finite(path, y_name, y).reshape(len(y), -1)


def _finite(path: str | Path, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """The array as float32; ValueError for the first number that it cannot hold."""
    with np.errstate(over="ignore"):  # found below
        single: NDArray[np.float32] = array.astype(np.float32)
    finite = np.isfinite(single)
    if not finite.all():
        at = tuple(int(i) for i in np.argwhere(~finite)[0])
        got = array[at]
        raise ValueError(f"{path}: {name}[{', '.join(map(str, at))}] is not a finite number as float32: {got}")
    return single


def _kind(y: NDArray[Any]) -> str:
    return "class labels" if y.ndim == 1 else f"{y.shape[1]} number{'s' * (y.shape[1] > 1)} a row"
