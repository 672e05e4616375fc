"""``fastnn export``: a saved model in the forms that run without Python."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from fastnn.model import Model


def to_c(model: Model, path: Path, args: Namespace) -> str:
    return str(model.export_c(path, name=args.name, self_test=args.self_test))


def to_onnx(model: Model, path: Path, args: Namespace) -> str:
    model.export_onnx(path)
    return f"{path} ({path.stat().st_size / 1024:,.0f} KB): x (rows, {model.plan.n_in}) {model.dtype} -> y"


# form: what writes it (and says what it wrote), and the ending of its files
FORMS: dict[str, tuple[Callable[[Model, Path, Namespace], str], str]] = {
    "c": (to_c, ".c"),
    "onnx": (to_onnx, ".onnx"),
}


def export(args: Namespace) -> list[str]:
    """Write the forms of ``--to``; returns what to say of each. ValueError for a form that is not known."""
    asked = [word.strip() for word in args.to.split(",")]
    for word in asked:
        if word not in FORMS:
            raise ValueError(f"--to: expected {', '.join(sorted(FORMS))}, got {word!r}")
    if args.output is not None and len(asked) > 1:
        raise ValueError("--output: names one file; with several forms leave it out")
    model = Model.load(args.model)
    said = []
    for word in asked:
        write, ending = FORMS[word]
        said.append(write(model, Path(args.output or Path(args.model).with_suffix(ending)), args))
    return said
