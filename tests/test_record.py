"""Records: tuples with named fields, as a NamedTuple has them."""

from __future__ import annotations

import copy
import pickle
from typing import NamedTuple

import pytest

from fastnn.engine.record import Record


class Ours(Record):
    index: int
    name: str = "b"
    count: float = 0.5


class Theirs(NamedTuple):
    index: int
    name: str = "b"
    count: float = 0.5


@pytest.mark.parametrize(("values", "named"), [((1,), {}), ((1, "x"), {"count": 2.0}), ((), {"index": 3}),
                                               ((1, "x", 3.0), {}), ((2,), {"count": 1.0, "name": "y"})])  # fmt: skip
def test_a_record_is_made_as_a_named_tuple_is(values: tuple[object, ...], named: dict[str, object]) -> None:
    a, b = Ours(*values, **named), Theirs(*values, **named)  # type: ignore[arg-type]
    assert tuple(a) == tuple(b)
    assert (a.index, a.name, a.count) == (b.index, b.name, b.count)
    assert hash(a) == hash(b)
    assert repr(a) == repr(b).replace("Theirs", "Ours")
    assert a._replace(name="z") == b._replace(name="z")
    for again in (copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
        assert again == a
        assert type(again) is Ours


@pytest.mark.parametrize(("values", "named", "words"), [
    ((), {}, "index is missing"), ((1, "x", 2.0, 3), {}, "got 4 values"), ((1,), {"size": 1}, "expected index, name"),
    ((1,), {"index": 2}, "got 3 values and index"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(values: tuple[object, ...], named: dict[str, object], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Ours(*values, **named)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        Ours(1).index = 2  # type: ignore[misc]


class Longer(Ours):
    size: int = 7


def test_fields_of_the_class_before_come_first() -> None:
    assert Longer(1, size=2) == (1, "b", 0.5, 2)
    assert (Longer(1).count, Longer(1).size, Longer._fields) == (0.5, 7, ("index", "name", "count", "size"))
    assert Ours._fields == ("index", "name", "count")
