"""The plan of buffers: two in turn for a chain, nothing overwritten that is read yet, nothing computed for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.engine import wiring
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
    turns, count, _ = gradient_buffers(specs, sources)
    assert count == 2
    assert turns == [
        Turn(0, (Slot(),), False),  # nothing before is trained
        Turn(0, (Slot(0),), True),  # in place, with the gate of the dense one
        Turn(1, (Slot(0),), False),  # the dropout before it has no gate of its own,
        Turn(0, (Slot(1),), True),
        Turn(0, (Slot(0),), False),
    ]


def test_a_sum_hands_its_gradient_on_without_a_copy_where_nobody_writes_it() -> None:
    specs: list[Any] = [dense(), dense(), dense(), add(), dense()]
    turns, count, _ = gradient_buffers(specs, [(-1,), (0,), (1,), (0, 2), (3,)])
    assert turns[3] is not None
    assert {slot.to for slot in turns[3].slots} == {turns[3].dy}
    assert count == 3
    specs[0] = dense(activation="relu")  # which turns its dy into dz where it lies
    turns, _, _ = gradient_buffers(specs, [(-1,), (0,), (1,), (0, 2), (3,)])
    assert turns[3] is not None
    assert turns[3].slots[0].to != turns[3].dy == turns[3].slots[1].to
    assert not turns[1].gates  # type: ignore[union-attr]  # for another reads it too


def test_an_elementwise_operation_leaves_a_gradient_alone_that_others_hold() -> None:
    specs: list[Any] = [dense(), ActivationSpec(0, 4, "tanh"), add(), dense()]
    turns, _, _ = gradient_buffers(specs, [(-1,), (0,), (0, 1), (2,)])
    assert turns[1] is not None
    assert turns[1].slots[0].to != turns[1].dy == turns[1].slots[0].also


def test_nothing_is_computed_for_what_leads_to_nothing_trained() -> None:
    specs: list[Any] = [ColumnsSpec(0, 8, 0, 4), ColumnsSpec(1, 8, 4, 4), ActivationSpec(0, 4, "tanh"), dense(), add(),
                        AffineSpec(0, 4, 2.0, 0.0)]  # fmt: skip
    turns, _, _ = gradient_buffers(specs, [(-1,), (-1,), (1,), (0,), (2, 3), (4,)])
    assert [turn is None for turn in turns] == [True, True, True, False, False, False]
    assert turns[4] is not None
    assert turns[4].slots[0] == Slot()
    assert gradient_buffers([AffineSpec(0, 4, 2.0, 0.0)], [(-1,)]) == ([None], 1, None)
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


# --- the plan, carried out on numbers ---


def carried_out(specs: list[Any], sources: Any, to_input: bool) -> tuple[dict[int, float], dict[int, float]]:
    """The gradient of each value that has a turn, once by the buffers of the plan, once by the sum over all paths: a
    dense operation with an activation first doubles its dy in place, then gives 3 times that, an activation alone 5
    times, a sum its dy."""
    plan = gradient_buffers(specs, sources, to_input=to_input)
    memory = [float("nan")] * plan.buffers
    found: dict[int, float] = {}
    last = len(specs) - 1
    memory[plan.turns[last].dy] = 1.0  # type: ignore[union-attr]
    for i in reversed(range(len(specs))):
        turn = plan.turns[i]
        if turn is None:
            continue
        found[i] = memory[turn.dy]
        own = isinstance(specs[i], DenseSpec) and specs[i].activation != "linear"
        if own:
            memory[turn.dy] *= 2
        factor = 3.0 if isinstance(specs[i], DenseSpec) else 1.0 if isinstance(specs[i], MergeSpec) else 5.0
        for slot in turn.slots:
            if slot.to is None:
                continue
            given = factor * memory[turn.dy]
            memory[slot.to] = given if slot.also is None else memory[slot.also] + given
    if plan.to_input is not None:
        found[-1] = memory[plan.to_input]

    paths = dict.fromkeys(range(-1, len(specs)), 0.0) | {last: 1.0}
    for i in reversed(range(len(specs))):
        factor = 3.0 if isinstance(specs[i], DenseSpec) else 1.0 if isinstance(specs[i], MergeSpec) else 5.0
        doubled = isinstance(specs[i], DenseSpec) and specs[i].activation != "linear"
        for j in sources[i]:
            paths[j] += paths[i] * factor * (2.0 if doubled else 1.0)
    return found, paths


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.lists(st.integers(0, 99), min_size=3, max_size=3)), min_size=1,
                max_size=12), st.booleans())  # fmt: skip
def test_every_gradient_is_the_sum_over_its_paths(made: list[tuple[int, list[int]]], to_input: bool) -> None:
    specs: list[Any] = []
    sources: list[tuple[int, ...]] = []
    for i, (kind, at) in enumerate(made):
        specs.append([dense(), dense(activation="relu"), ActivationSpec(0, 4, "tanh"), add(2), add(3)][kind])
        some = [k % (i + 1) - 1 for k in at]
        sources.append(tuple(some[: {3: 2, 4: 3}.get(kind, 1)]))
    ends = sorted(set(range(len(specs))) - {j for js in sources for j in js})
    if len(ends) > 1:
        specs.append(add(len(ends)))
        sources.append(tuple(ends))
    specs.append(dense())
    sources.append((len(specs) - 2,))
    found, paths = carried_out(specs, sources, to_input)
    assert set(found) >= {i for i, s in enumerate(specs) if isinstance(s, DenseSpec)}
    assert (-1 in found) == to_input
    for i, got in found.items():
        assert got == paths[i], i


def test_the_carrying_out_notices_a_buffer_used_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    specs: list[Any] = [dense(), dense(activation="relu"), add(), dense()]
    sources: list[tuple[int, ...]] = [(-1,), (0,), (0, 1), (2,)]
    found, paths = carried_out(specs, sources, True)
    assert all(found[i] == paths[i] for i in found)
    monkeypatch.setattr(wiring, "_writes_dy", lambda spec: False)
    found, paths = carried_out(specs, sources, True)
    assert any(found[i] != paths[i] for i in found)


def test_what_does_not_learn_has_no_turn_unless_it_leads_to_what_does() -> None:
    specs: list[Any] = [dense(), dense(activation="relu"), dense()]
    turns = gradient_buffers(specs, in_a_row(3), learns=[False, True, False]).turns
    assert [turn is None for turn in turns] == [True, False, False]
    assert turns[1] is not None
    assert turns[1].slots == (Slot(),)
