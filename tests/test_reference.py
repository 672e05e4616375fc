"""docs/reference: a page for everything that is registered, as the code is now, with source, picture and benchmark."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import make_reference as reference  # noqa: E402

FOLDER = ROOT / "docs" / "reference"
EVERYTHING = [(family, cls) for family in reference.FAMILIES for cls in reference.members(family)]


def test_the_pages_are_those_that_the_code_makes() -> None:
    made = reference.pages()
    kept = {str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.md")}
    stale = sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))
    assert not stale, f"run python tools/make_reference.py: {stale}"


@pytest.mark.parametrize(("family", "cls"), EVERYTHING, ids=lambda x: getattr(x, "__name__", x))
def test_a_page_has_what_a_reader_looks_for(family: str, cls: type[Any]) -> None:
    text = reference.page(family, cls)
    if family in ("activations", "losses", "optimizers"):
        assert "Source:" in text or cls.__name__ == "Linear", "where the formula is from"
    assert "In the benchmark" in text or cls.__name__ == "Input"  # where nothing is done
    if family in ("activations", "losses"):
        assert re.search(r"f'\(|df_|[Dd]erivative", text)
    if reference.has_picture(family, cls):
        assert (FOLDER / family / f"{reference.slug(cls)}.svg").stat().st_size > 2000


def test_links_of_the_index_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert len(links) == len(EVERYTHING)
    assert all((FOLDER / link).is_file() for link in links)
