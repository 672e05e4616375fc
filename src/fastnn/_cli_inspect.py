"""What ``fastnn inspect`` tells of a file, without making a model of it: parts in Python need not be at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from fastnn import checkpoint

WIDE = 100


def rows(path: str, *, tensors: bool = False) -> Iterator[tuple[str, str]]:
    """(name, text) for each line. FormatError for a damaged file, OSError where it cannot be read."""
    with checkpoint.opened(path, foreign=True) as contents:
        yield "file", f"{path} ({os.path.getsize(path) / 1024:,.0f} KB)"
        if contents.signed:
            kind = contents.description.get("kind") or f"{contents.description.get('nnfs')} of fastnn.nnfs"
            yield "format", f"{checkpoint.FORMAT}, {kind}"
            yield "SHA-256", f"{contents.digest}, right"
        else:
            yield "format", "safetensors of another program, without a SHA-256"
        if contents.description.get("kind") == "model":
            yield from _model(contents.description)
        total = sum(entry.nbytes for entry in contents.tensors.values())
        yield "tensors", f"{len(contents.tensors)}, {total / 1024:,.0f} KB"
        for name, entry in sorted(contents.tensors.items()) if tensors else ():
            yield "", f"{_safe(name)} {entry.code} {list(entry.shape)}"


def _model(d: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A description is believed no further than that it is JSON."""
    layers, number = d.get("layers"), 0
    for layer in layers if isinstance(layers, list) else ():
        yield f"layer {number}", _part(layer)
        number += _count(layer)
    yield "input", f"{_text(d.get('n_inputs'))} features, {_text(d.get('dtype'))}; seed {_text(d.get('seed'))}"
    yield "loss", _part(d.get("loss"))
    yield "optimizer", _part(d.get("optimizer"))
    within = ", within an epoch" if d.get("position") is not None else ""
    yield "trained", f"{_text(d.get('epochs_done'))} epochs, {_text(d.get('steps_done'))} steps{within}"
    more = ("graph", "metrics", "metadata", "callbacks")
    for name, key in (("classes", "class_labels"), *((key, key) for key in more)):
        if d.get(key):
            yield name, _text(d[key])


def _count(layer: Any) -> int:
    """How many numbers a layer takes with those that it holds, as the names of tensors count them."""
    if not isinstance(layer, dict):
        return 1
    held = layer.get("layers")
    inner = [*(held if isinstance(held, list) else ()), *([layer["projection"]] if layer.get("projection") else ())]
    return 1 + sum(_count(one) for one in inner)


def _part(description: Any) -> str:
    if not isinstance(description, dict):
        return _text(description)
    set_here = {key: value for key, value in description.items() if key != "name"}
    if description.get("name") == "Dense" and "n_neurons" not in set_here:  # as in Dense(64)
        set_here = {"n_neurons" if key == "n_inputs" else key: value for key, value in set_here.items()}
    return f"{_text(description.get('name'))} " + ", ".join(f"{_safe(k)}={_text(v)}" for k, v in set_here.items())


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else "none" if value is None else json.dumps(value)
    return _safe(text if len(text) <= WIDE else f"{text[:WIDE]} ...")


def _safe(text: str) -> str:
    """No control characters of a file reach the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
