"""The examples of the pages for users run, each page from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [
    "asking_a_model.md",
    "export_c.md",
    "files.md",
    "graphs.md",
    "interop.md",
    "layers.md",
    "metrics.md",
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


def test_the_search_sees_the_examples() -> None:
    text = examples(DOCS / "training.md")
    assert text.count("model = make()") > 5
    assert not re.search(r"^```", text, re.M)
