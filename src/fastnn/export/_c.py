"""``Model.export_c``: a trained model as one C file with its header, whose bits are those of ``Model.predict``.

The file is put together from the pieces that ``_c_ops`` names: functions of numbers made from csrc/ (``_c_lanes``),
loops over rows (templates/rows.h), the parameters as hexadecimal literals, and the calls in order.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _atomic, _checks
from fastnn._core import random_normal
from fastnn.export import _c_plan
from fastnn.export._c_code import Code, Cost, comment, literal
from fastnn.export._c_lanes import TEMPLATES, library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.model import Model

WIDTH = 120  # of a line of numbers
STREAM_SELF_TEST = 65535  # of the counter-based generator, the last: beyond those of every layer
# the rows of the self-test are normal numbers times these; 0 stands for subnormal numbers
SCALES = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.01, 0.1, 0.3, 3.0, 30.0, 0.0)
# a, b, c and a b + c: what a product that is rounded shows; a sum in double that is rounded again (openlibm, issue 160;
# the Microsoft C documentation, pull request 3526); and subnormal numbers that are flushed to zero
PROBES = {
    "float": [
        ("0x1.001p+0f", "0x1.001p+0f", "-0x1.002p+0f", "0x1p-24f"),
        ("0x1.e511ap-1f", "0x1.f234ap-22f", "-0x1.f22d8p-3f", "-0x1.f22d46p-3f"),
        ("-0x1.19dd8p+44f", "0x1.cep-23f", "-0x1.0c8bf8p-79f", "-0x1.fcadbep+21f"),
        ("0x1p-75f", "0x1p-74f", "0x0p+0f", "0x1p-149f"),
    ],
    "double": [
        ("0x1.0000002p+0", "0x1.0000002p+0", "-0x1.0000004p+0", "0x1p-54"),
        ("0x1p-537", "0x1p-537", "0x0p+0", "0x1p-1074"),
    ],
}


class CExport(NamedTuple):
    """What ``export_c`` wrote, and what that takes where it runs; ``print`` shows a table.

    constant_bytes: of the parameters, in flash or read-only memory; the machine code comes on top. scratch_bytes:
    memory for the rows between the layers while a prediction runs, besides its input and output. multiply_adds: of a
    prediction, without what the activations take. layers: (name, constant_bytes, multiply_adds) of each operation.
    """

    path: str
    header: str
    name: str
    dtype: str
    n_in: int
    n_out: int
    constant_bytes: int
    scratch_bytes: int
    multiply_adds: int
    layers: tuple[Cost, ...]

    def __str__(self) -> str:
        costs = [*self.layers, Cost("all", self.constant_bytes, self.multiply_adds)]
        rows = [("layer", "constants", "multiply-adds")]
        rows += [(c.name, f"{c.constant_bytes:,} bytes", f"{c.multiply_adds:,}") for c in costs]
        a, b, c = (max(len(row[i]) for row in rows) for i in range(3))
        table = [f"{name:<{a}}  {constants:>{b}}  {adds:>{c}}" for name, constants, adds in rows]
        what = f"{self.path}, {self.header}: {self.name}_predict, {self.n_in} -> {self.n_out}, {self.dtype}"
        return "\n".join([what, *table, f"scratch memory while it runs: {self.scratch_bytes:,} bytes"])


def export_c(model: Model, path: str | os.PathLike[str], name: str | None, self_test: Any) -> CExport:
    """See ``Model.export_c``."""
    target = os.path.abspath(os.fspath(path))
    stem = _stem(target)
    header = target[:-2] + ".h"
    name = _identifier(name, stem)
    rows = _test_rows(model, self_test)
    code, scratch = _c_plan.write(model)
    made = CExport(
        target, header, name, model.dtype.name, model.plan.n_in, model.plan.n_out,
        sum(cost.constant_bytes for cost in code.costs), scratch * model.dtype.itemsize,
        sum(cost.multiply_adds for cost in code.costs), tuple(code.costs),
    )  # fmt: skip
    words = _words(model, made, stem)
    if rows is not None:
        words |= _test_words(model, rows)
        code.functions |= {"to_bits": None, "fused": None}
    words |= _code_words(code)
    header_text, text = (_filled(name, words) for name in ("header.h", "source.c"))
    tie = hashlib.sha256((header_text + text).encode()).hexdigest()[:8]  # so that no other export's header is taken
    contents = {path: t.replace("@tie@", tie).encode("ascii") for path, t in ((header, header_text), (target, text))}
    for path, content in contents.items():  # both are made before one is replaced
        _replace(path, content)
    return made


# --- what was asked for ---


def _stem(target: str) -> str:
    """The file's name without its ending."""
    folder, file = os.path.split(target)
    if not file.endswith(".c") or len(file) < 3:
        raise ValueError(f"path: expected a name that ends in .c, got {file!r}; the header goes beside it")
    if not re.fullmatch(r"[ -~]+", file) or re.search(r'["\\?*]', file):
        raise ValueError(f"path: {file!r} cannot stand in an #include: use letters, digits, '_', '-' and '.'")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"path: there is no folder {folder}")
    return file[:-2]


def _identifier(name: str | None, stem: str) -> str:
    """What the C names begin with: ``name``, by default the file's."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name: expected a str, got {name!r}")
    chosen = stem if name is None else name
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", chosen):
        hint = ": say which with name=" if name is None else ""
        raise ValueError(f"name: expected a C identifier (letters, digits, _), got {chosen!r}{hint}")
    return chosen


def _test_rows(model: Model, self_test: Any) -> NDArray[Any] | None:
    """The inputs of the self-test in the model's type, None for no self-test."""
    if self_test is False or self_test is None:
        return None
    if model.plan.isa == "sse2":
        raise ValueError(
            "self_test: this processor has no fused multiply-add, so its predictions are not those of the exported "
            "file (docs/numerics.md): export without a self-test here"
        )
    if self_test is not True:
        X = model.rows_of("self_test", self_test)
        _checks.need_rows("self_test", X)
        return X.astype(model.dtype)
    n_in, tiny = model.plan.n_in, np.finfo(model.dtype).tiny
    rows = np.asarray(random_normal(len(SCALES) * n_in, 0, STREAM_SELF_TEST)).reshape(-1, n_in)
    return (rows * np.array([[scale or tiny / 8] for scale in SCALES])).astype(model.dtype)


# --- the text ---


def _words(model: Model, made: CExport, stem: str) -> dict[str, str]:
    """What stands for what in the templates; "" for what is not there."""
    real = "float" if made.dtype == "float32" else "double"
    features = _names(model, "feature_names") or ()
    about = [f"layer {cost.name}" for cost in made.layers]
    about += ["inputs: " + ", ".join(map(str, features))] if features else []
    classes = [str(name) for name in _names(model, "class_names") or model.class_labels or ()]
    if len(classes) != made.n_out and (len(classes), made.n_out) != (2, 1):
        classes = []
    return {
        **{field: f"{value:,}" for field, value in made._asdict().items() if isinstance(value, int)},
        "file": stem,
        "name": made.name,
        "NAME": made.name.upper(),
        "real": real,
        "float": "yes" if real == "float" else "",
        "wide": " || DBL_MANT_DIG != 53" if real == "double" else "",
        "n_in": str(made.n_in),
        "n_out": str(made.n_out),
        "scratch": str(max(made.scratch_bytes // model.dtype.itemsize, 1)),  # C has no array of nothing
        "layers": "\n".join(f" * {comment(line)}" for line in about),
        "classes": "\n".join(f"    {_string(name)}," for name in classes),
        "n_classes": str(len(classes)),
    }


def _names(model: Model, key: str) -> list[Any]:
    """A list of names in the metadata. TypeError for anything else."""
    return _checks.listed(f"metadata[{key!r}]", model.metadata.get(key) or (), "a list of names")


def _code_words(code: Code) -> dict[str, str]:
    real = "float" if code.dtype == np.float32 else "double"
    arrays = [
        f"/* {comment} */\nstatic const {real} {name}[{len(values)}] = {{\n{_numbers(values)}\n}};"
        for name, values, comment in code.constants
    ]
    return {
        "functions": library(code.dtype.itemsize * 8).text_of(code.functions),
        "constants": "\n\n".join(arrays) or "/* (none) */",
        "lines": "\n".join(f"    {line}" for line in code.lines),
    }


def _test_words(model: Model, rows: NDArray[Any]) -> dict[str, str]:
    probes = PROBES["float" if model.dtype == np.float32 else "double"]
    return {
        "self_test": "yes",
        "test_rows": str(len(rows)),
        "test_x": _numbers(rows.reshape(-1)),
        "test_y": _numbers(model.predict(rows).reshape(-1)),
        "probes": ",\n".join(f"    {{{', '.join(row)}}}" for row in probes),
    }


def _filled(template: str, words: dict[str, str]) -> str:
    """A template with its words put in, and without what stands between @if word@ and @end@ where there is no such."""
    text = (TEMPLATES / template).read_text(encoding="ascii")
    text = re.sub(
        r"^@if (\w+)@\n(.*?)^@end@\n", lambda part: part[2] if words.get(part[1]) else "", text, flags=re.M | re.S
    )
    text = re.sub(r"@(\w+)@", lambda found: words.get(found[1], found[0]), text)
    return text.replace("NAME_SOFT_FMA", f"{words['NAME']}_SOFT_FMA")


def _numbers(values: NDArray[Any]) -> str:
    """Literals in lines of at most WIDTH columns."""
    lines: list[str] = []
    line = "   "
    for word in map(literal, values):
        if len(line) + len(word) + 2 > WIDTH:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return "\n".join([*lines, line])


def _string(text: str) -> str:
    """A C string of the UTF-8 bytes of a text."""
    plain = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode())
    return f'"{plain}"'


def _replace(path: str, content: bytes) -> None:
    """The content in place of what was there: the old file or the new one, whole."""
    with _atomic.replacing(path) as file:
        file.write(content)
