"""Who writes into which buffer: values of inference and gradients of training, planned once, before anything runs.

Forward goes through the operations in order, backward in reverse. A buffer is free again when its last reader has run.
In a chain both come to two buffers in turn.

The gradient of a value is the sum over its readers, from the last that runs forward to the first, and within one
reader that has it twice from its first source to its last: the order in which backward meets them. Nothing is computed
for what leads to no trained parameter.
"""

from __future__ import annotations

from typing import NamedTuple

from fastnn.engine.spec import INPUT, ColumnsSpec, DenseSpec, MergeSpec, PythonSpec, Sources, Spec


class Slot(NamedTuple):
    """What an operation gives to one of its sources: buffer ``to``, None where the source needs nothing; ``also`` is
    the buffer with what other readers have given before, to be added."""

    to: int | None = None
    also: int | None = None


class Turn(NamedTuple):
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
    return isinstance(spec, DenseSpec) or bool(getattr(spec, "tensors", ()))


def _in_place(spec: Spec) -> bool:
    """Whether its dx may lie where its dy does."""
    return not isinstance(spec, (DenseSpec, PythonSpec, MergeSpec, ColumnsSpec))


def _writes_dy(spec: Spec) -> bool:
    """Whether its backward changes its dy, which then nobody else may hold."""
    return isinstance(spec, DenseSpec) and spec.activation != "linear"


def gradient_buffers(specs: list[Spec], sources: Sources) -> tuple[list[Turn | None], int]:
    """Each operation's turn in backward, None where it has none, and how many buffers there are."""
    needs: list[bool] = []
    for spec, js in zip(specs, sources, strict=True):
        needs.append(trained(spec) or any(needs[j] for j in js if j != INPUT))
    read = [0] * len(specs)
    for js in sources:
        for j in js:
            if j != INPUT:
                read[j] += 1

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

    for i in reversed(range(len(specs))):
        if not needs[i]:
            continue
        spec, js, dy = specs[i], sources[i], held[i]
        wanted = [j != INPUT and needs[j] for j in js]
        if isinstance(spec, MergeSpec):
            slots = []
            free = {j for j, want in zip(js, wanted, strict=True) if want and j not in held}
            shared = spec.kind == "add" and any(not _writes_dy(specs[j]) for j in free)
            for j, want in zip(js, wanted, strict=True):
                if not want:
                    slots.append(Slot())
                    continue
                alone = pool.uses[dy] == 1 and not shared
                if spec.kind == "add" and j not in held and (alone or not _writes_dy(specs[j])):
                    slots.append(give(j, pool.share(dy)))  # the gradient of a sum is its own: nothing moves
                elif spec.kind == "add" and j in held and pool.uses[held[j]] == 1:
                    slots.append(Slot(held[j], held[j]))
                else:
                    slots.append(give(j, pool.take()))
            pool.release(dy)
        else:
            moved = _in_place(spec) and pool.uses[dy] == 1
            slot = Slot()
            if wanted[0] or _in_place(spec):
                to = dy if moved else pool.take()
                slot = give(js[0], to) if wanted[0] else Slot(to)
                if not wanted[0] and not moved:
                    pool.release(to)
            if not (moved and wanted[0]):
                pool.release(dy)
            slots = [slot]
        before = specs[js[0]] if wanted[0] else None
        gates = isinstance(spec, DenseSpec) and isinstance(before, DenseSpec) and before.activation != "linear"
        turns[i] = Turn(dy, tuple(slots), gates and read[js[0]] == 1)
    return turns, len(pool.uses)
