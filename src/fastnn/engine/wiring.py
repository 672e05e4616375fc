"""Who writes into which buffer: values of inference and gradients of training, planned once, before anything runs.

Forward goes through the operations in order, backward in reverse. A buffer is free again when its last reader has run.
In a chain both come to two buffers in turn.

The gradient of a value is the sum over its readers, from the last that runs forward to the first, and within one
reader that has it twice from its first source to its last: the order in which backward meets them. Nothing is computed
for what leads to no trained parameter.
"""

from collections import Counter
from collections.abc import Sequence

from fastnn.engine.record import Record
from fastnn.engine.spec import (
    INPUT,
    ColumnsSpec,
    DenseSpec,
    DropoutSpec,
    MergeSpec,
    PythonSpec,
    Sources,
    Spec,
    trained_tensors,
)


class Slot(Record):
    """What an operation gives to one of its sources: buffer ``to``, None where the source needs nothing; ``also`` is
    the buffer with what other readers have given before, to be added."""

    to: int | None = None
    also: int | None = None


class Turn(Record):
    """One operation's backward: its dy is in buffer ``dy``. gates: the gradient of the source's activation is part of
    it, for this is the source's only reader."""

    dy: int
    slots: tuple[Slot, ...]
    gates: bool


class _Pool:
    """Buffers by number, with how many use each."""

    def __init__(self) -> None:
        self.uses: list[int] = []

    def take(self) -> int:
        free = next((k for k, uses in enumerate(self.uses) if not uses), None)
        if free is None:
            self.uses.append(0)
            free = len(self.uses) - 1
        self.uses[free] = 1
        return free

    def share(self, k: int) -> int:
        self.uses[k] += 1
        return k

    def release(self, k: int) -> None:
        self.uses[k] -= 1


def value_buffers(sources: Sources) -> tuple[list[int], int]:
    """The buffer of each operation's output in inference, and how many there are."""
    last = {j: i for i, js in enumerate(sources) for j in js}
    pool, place = _Pool(), []
    for i, js in enumerate(sources):
        place.append(pool.take())
        for j in set(js) - {INPUT}:
            if last[j] == i:
                pool.release(place[j])
    return place, len(pool.uses)


def trained(spec: Spec) -> bool:
    """Whether the operation has parameters that are trained."""
    return bool(trained_tensors(spec))


def _in_place(spec: Spec) -> bool:
    """Whether its dx may lie where its dy does."""
    return not isinstance(spec, (DenseSpec, PythonSpec, MergeSpec, ColumnsSpec))


def _writes_dy(spec: Spec) -> bool:
    """Whether its backward changes its dy, which then nobody else may hold."""
    return isinstance(spec, DenseSpec) and spec.activation != "linear"


class Backward(Record):
    """turns: of each operation, None where it has none. buffers: how many there are. to_input: the one with the
    gradient of the rows that came in, None where that was not asked for, or nothing depends on them."""

    turns: list[Turn | None]
    buffers: int
    to_input: int | None


def gradient_buffers(
    specs: list[Spec], sources: Sources, learns: Sequence[bool] | None = None, to_input: bool = False
) -> Backward:
    """The plan of backward. learns: the operations whose own gradients are wanted, all that are ``trained`` where left
    out. to_input: whether the gradient of the rows that come in is wanted too."""
    needs: dict[int, bool] = {INPUT: to_input}
    for i, (spec, js) in enumerate(zip(specs, sources, strict=True)):
        needs[i] = (trained(spec) if learns is None else learns[i]) or any(needs[j] for j in js)
    read = Counter(j for js in sources for j in js)
    pool = _Pool()
    turns: list[Turn | None] = [None] * len(specs)
    held = {len(specs) - 1: pool.take()}  # where the gradient of a value is collected

    def give(j: int, to: int) -> Slot:
        """Buffer ``to`` becomes the gradient of value j, with what is there already added to it."""
        also = held.get(j)
        if also is not None:
            pool.release(also)
        held[j] = to
        return Slot(to, also)

    def keeps(j: int) -> bool:
        """Whether the gradient of value j stays as it is while that of others is read."""
        return j == INPUT or not _writes_dy(specs[j])

    def hand_on(dy: int, js: tuple[int, ...]) -> list[Slot]:
        """Of a sum: its gradient is that of each source, and nothing moves where all that hold it only read it."""
        free = {j for j in js if needs[j] and j not in held}
        shared = any(keeps(j) for j in free)
        slots = []
        for j in js:
            if not needs[j]:
                slots.append(Slot())
            elif j not in held and (keeps(j) or (pool.uses[dy] == 1 and not shared)):
                slots.append(give(j, pool.share(dy)))
            elif j in held and pool.uses[held[j]] == 1:
                slots.append(Slot(held[j], held[j]))
            else:
                slots.append(give(j, pool.take()))
        return slots

    for i in reversed(range(len(specs))):
        if not needs[i]:
            continue
        spec, js, dy = specs[i], sources[i], held[i]
        moved = gates = False
        if isinstance(spec, MergeSpec) and spec.kind == "add":
            slots = hand_on(dy, js)
        elif isinstance(spec, MergeSpec):
            slots = [give(j, pool.take()) if needs[j] else Slot() for j in js]
        elif not needs[js[0]]:
            slots = [Slot()]
        else:
            moved = _in_place(spec) and pool.uses[dy] == 1
            slots = [give(js[0], dy if moved else pool.take())]
            before = None if js[0] == INPUT else specs[js[0]]
            takes = isinstance(spec, (DenseSpec, DropoutSpec))
            gates = takes and isinstance(before, DenseSpec) and before.activation != "linear"
        if not moved:
            pool.release(dy)
        turns[i] = Turn(dy, tuple(slots), gates and read[js[0]] == 1)
    return Backward(turns, len(pool.uses), held.get(INPUT))
