"""The examples of the pages for users run, each page from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import activations
from fastnn.activations import Activation
from fastnn.base import Layer

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    "asking_a_model.md",
    "data.md",
    "export_c.md",
    "files.md",
    "graphs.md",
    "interop.md",
    "layers.md",
    "metrics.md",
    "nnfs.md",
    "optimizers.md",
    "serving.md",
    "training.md",
    "your_own_parts.md",
]


def examples(page: Path) -> str:
    """The Python of a page, each line where it stands in it, so that errors name the page's line."""
    lines, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        inside = line == "```python" or (inside and not fence)
        lines.append(line if inside and not fence else "")
    return "\n".join(lines)


@pytest.mark.parametrize("name", PAGES)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "plots" in examples(DOCS / name):
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    exec(compile(examples(DOCS / name), name, "exec"), {"__name__": name})


def test_the_examples_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    given: dict[str, Any] = {"x": rng.standard_normal((3, 4)), "weights": rng.standard_normal((4, 2)),
                             "biases": np.zeros((1, 2))}  # fmt: skip
    exec(compile(examples(ROOT / "README.md"), "README.md", "exec"), given)
    assert given["model"].evaluate(given["X_new"], given["y_new"]).accuracy > 0.7
    np.testing.assert_allclose(given["y"], np.maximum(given["x"] @ given["weights"], 0), rtol=1e-6)


def test_the_activation_that_is_added_is_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its class alone: the lane function would have to be built."""
    known = activations.ALIASES["activation"]
    for family in (Activation, Layer):
        monkeypatch.setattr(family, "registry", dict(family.registry))
    monkeypatch.setitem(activations.ALIASES, "activation", dict(known))
    monkeypatch.setattr(activations, "ACTIVATIONS", {**activations.ACTIVATIONS, "softsign": -1})
    given: dict[str, Any] = {"Activation": Activation, "np": np}
    exec(compile(examples(DOCS / "adding_an_activation.md"), "adding_an_activation.md", "exec"), given)
    assert Activation.registry["softsign"] is given["Softsign"]
    x = np.array([-3.0, 0.0, 1.0])
    np.testing.assert_array_equal(given["Softsign"]().formula(x), [-0.75, 0, 0.5])


def test_every_page_with_an_example_is_run() -> None:
    # what docs/reference quotes are formulas, out of the code
    found = {page.name for page in DOCS.glob("*.md") if examples(page).strip()}
    assert found == {*PAGES, "adding_an_activation.md"}


def test_the_search_sees_the_examples() -> None:
    text = examples(DOCS / "training.md")
    assert text.count("model = make()") > 5
    assert not re.search(r"^```", text, re.M)
