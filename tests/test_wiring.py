"""The plan of buffers: two in turn for a chain, nothing overwritten that is read yet, nothing computed for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from fastnn.engine.plan import Plan
from fastnn.engine.spec import (
    ActivationSpec,
    AffineSpec,
    ColumnsSpec,
    DenseSpec,
    DropoutSpec,
    MergeSpec,
    PythonSpec,
    fuse,
    in_a_row,
    without,
)  # fmt: skip
from fastnn.engine.wiring import Slot, Turn, gradient_buffers, value_buffers


def dense(n_in: int = 4, n_out: int = 4, activation: str = "linear") -> DenseSpec:
    return DenseSpec(0, n_in, n_out, activation)


def add(count: int = 2) -> MergeSpec:
    return MergeSpec(0, "add", (4,) * count)


def test_a_chain_has_two_buffers_in_turn() -> None:
    sources = in_a_row(5)
    assert value_buffers(sources) == ([0, 1, 0, 1, 0], 2)
    specs: list[Any] = [dense(activation="relu"), DropoutSpec(0, 4, 0.5), dense(activation="relu"), dense(),
                        ActivationSpec(0, 4, "tanh")]  # fmt: skip
    turns, count = gradient_buffers(specs, sources)
    assert count == 2
    assert turns == [
        Turn(0, (Slot(),), False),  # nothing before is trained
        Turn(0, (Slot(0),), False),  # in place
        Turn(1, (Slot(0),), False),  # a dropout in between: no gate
        Turn(0, (Slot(1),), True),
        Turn(0, (Slot(0),), False),
    ]


def test_a_sum_hands_its_gradient_on_without_a_copy_where_nobody_writes_it() -> None:
    specs: list[Any] = [dense(), dense(), dense(), add(), dense()]
    turns, count = gradient_buffers(specs, [(-1,), (0,), (1,), (0, 2), (3,)])
    assert turns[3] is not None
    assert {slot.to for slot in turns[3].slots} == {turns[3].dy}
    assert count == 3
    specs[0] = dense(activation="relu")  # which turns its dy into dz where it lies
    turns, _ = gradient_buffers(specs, [(-1,), (0,), (1,), (0, 2), (3,)])
    assert turns[3] is not None
    assert turns[3].slots[0].to != turns[3].dy == turns[3].slots[1].to
    assert not turns[1].gates  # type: ignore[union-attr]  # for another reads it too


def test_an_elementwise_operation_leaves_a_gradient_alone_that_others_hold() -> None:
    specs: list[Any] = [dense(), ActivationSpec(0, 4, "tanh"), add(), dense()]
    turns, _ = gradient_buffers(specs, [(-1,), (0,), (0, 1), (2,)])
    assert turns[1] is not None
    assert turns[1].slots[0].to != turns[1].dy == turns[1].slots[0].also


def test_nothing_is_computed_for_what_leads_to_nothing_trained() -> None:
    specs: list[Any] = [ColumnsSpec(0, 8, 0, 4), ColumnsSpec(1, 8, 4, 4), ActivationSpec(0, 4, "tanh"), dense(), add(),
                        AffineSpec(0, 4, 2.0, 0.0)]  # fmt: skip
    turns, _ = gradient_buffers(specs, [(-1,), (-1,), (1,), (0,), (2, 3), (4,)])
    assert [turn is None for turn in turns] == [True, True, True, False, False, False]
    assert turns[4] is not None
    assert turns[4].slots[0] == Slot()
    assert gradient_buffers([AffineSpec(0, 4, 2.0, 0.0)], [(-1,)])[0] == [None]
    part = PythonSpec(0, 4, 4, None)
    assert gradient_buffers([part, dense()], in_a_row(2))[0][0] is None
    assert gradient_buffers([part._replace(tensors=(("w", (1, 1)),)), dense()], in_a_row(2))[0][0] is not None


def test_fusing_and_leaving_out_rewire() -> None:
    relu, drop = ActivationSpec(0, 4, "relu"), DropoutSpec(0, 4, 0.5)
    specs: list[Any] = [dense(), relu, drop, dense(), relu, add(), dense(), relu, relu]
    sources = [(-1,), (0,), (1,), (2,), (3,), (4, 1), (5,), (6,), (6,)]
    fused, wired = fuse(specs, sources)
    assert [getattr(s, "activation", type(s).__name__) for s in fused] == [
        "relu", "DropoutSpec", "relu", "MergeSpec", "linear", "relu", "relu",
    ]  # fmt: skip
    assert wired == [(-1,), (0,), (1,), (2, 0), (3,), (4,), (4,)]
    assert without(DropoutSpec, fused, wired)[1] == [(-1,), (0,), (1, 0), (2,), (3,), (3,)]
    assert without(ActivationSpec, specs, sources, most=1) == (specs[:1] + specs[2:], [
        (-1,), (0,), (1,), (2,), (3, 0), (4,), (5,), (5,)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("specs", "sources", "text"),
    [
        ([dense(), dense()], [(-1,)], "sources: expected 2, one for each operation, got 1"),
        (
            [dense(), dense()],
            [(-1,), (1,)],
            r"operation 1 \(DenseSpec\) expects widths \(4,\), and \(1,\) have \(None",
        ),
        ([dense(), dense(5, 4)], [(-1,), (0,)], r"expects widths \(5,\), and \(0,\) have \(4,\)"),
        ([dense(), dense()], [(-1,), (-2,)], r"\(-2,\) have \(None,\)"),
        ([dense(), add()], [(-1,), (0,)], r"operation 1 \(MergeSpec\) expects widths \(4, 4\), and \(0,\) have \(4,\)"),
    ],
)
def test_no_wiring_reaches_pointers_that_does_not_fit(specs: Any, sources: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Plan(specs, sources=sources)


def test_a_first_scaling_is_gathered_only_where_it_alone_reads_the_rows() -> None:
    scale = AffineSpec(0, 4, 2.0, 1.0)
    alone = Plan([scale, dense(), add(), dense()], sources=[(-1,), (0,), (0, 1), (2,)])
    assert [type(s) for s in alone.specs] == [DenseSpec, MergeSpec, DenseSpec]
    assert alone.sources == [(-1,), (-1, 0), (1,)]
    shared = Plan([scale, dense(), add(), dense()], sources=[(-1,), (0,), (-1, 1), (2,)])
    assert [type(s) for s in shared.specs] == [AffineSpec, DenseSpec, MergeSpec, DenseSpec]
