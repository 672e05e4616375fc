"""L-BFGS, which minimizes the loss over all rows by lines and their curvature; the work is in engine/lbfgs.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from fastnn._checks import number, whole
from fastnn._optimizer import Optimizer

if TYPE_CHECKING:
    from fastnn._optimizer import Averaging
    from fastnn.schedules import Schedule

MOST_HISTORY = 1000
LINE_SEARCHES = ("strong_wolfe", None)


class LBFGS(Optimizer):
    """w += t d with d = -H g, where H follows the curvature of the last steps and a line search finds t.

    For small and smooth problems, where it needs far fewer looks at the data than any other: the loss is that of all
    rows, so ``train`` takes ``batch_size=None`` (``fit``'s 32 is refused where there are more rows), no ``accumulate``,
    and leaves ``shuffle`` aside. An epoch is one step: a direction and the looks its line search takes, most often one.
    The loss and accuracy of an epoch are those after its step. Training ends before its epochs where no further step is
    worth it: ``converged`` says why, and is None else.

    history_size: corrections (s, y) kept, two arrays of state each, from 1 to 1000. tolerance_grad: it ends where no
    element of the gradient is larger (scikit-learn's ``tol``); tolerance_change: where loss or parameters change by
    less. line_search: "strong_wolfe", or None, which takes the whole step of length learning_rate each time (PyTorch's
    default). max_line_search: looks at the loss that a search may take. learning_rate: the length that is tried first.

    With dropout, and parts written in Python, each step has masks of its own, the same for all its looks, and costs one
    look more. Bounds of the gradient, constraints and learning rates of layers do not go with a line search, and are
    refused; frozen layers go. In float32 the loss is known to some seven digits: where the last of them matter, take
    dtype="float64".

    Source: Nocedal and Wright, Numerical Optimization, 2006, algorithms 7.4, 7.5, 3.5 and 3.6; names and defaults are
    PyTorch's, but for history_size, which is scipy's 10.
    """

    names = ("lbfgs",)

    def __init__(
        self,
        learning_rate: float | Schedule = 1.0,
        decay: float = 0.0,
        history_size: int = 10,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        line_search: str | None = "strong_wolfe",
        max_line_search: int = 25,
        **averaging: Unpack[Averaging],
    ) -> None:
        refused = next((name for name in averaging if name.startswith("clip_")), None)
        if refused is not None:
            raise TypeError(
                f"LBFGS: {refused}: a bounded gradient is not that of the loss, which the line search needs"
            )
        super().__init__(learning_rate, decay, **averaging)
        self.history_size = whole("history_size", history_size, 1, MOST_HISTORY)
        self.tolerance_grad = number("tolerance_grad", tolerance_grad, 0.0)
        self.tolerance_change = number("tolerance_change", tolerance_change, 0.0)
        if line_search not in LINE_SEARCHES:
            raise ValueError(f"line_search: expected 'strong_wolfe' or None, got {line_search!r}")
        self.line_search = line_search
        self.max_line_search = whole("max_line_search", max_line_search, 1, 10_000)
        self.converged: str | None = None

    @property
    def kernel(self) -> str:
        return "lbfgs"

    @property
    def state_count(self) -> int:
        return 2 * self.history_size

    def parameters(self) -> tuple[float, ...]:
        search = self.line_search is not None
        return (self.history_size, self.tolerance_grad, self.tolerance_change, search, self.max_line_search)

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "history_size": self.history_size,
            "tolerance_grad": self.tolerance_grad,
            "tolerance_change": self.tolerance_change,
            "line_search": self.line_search,
            "max_line_search": self.max_line_search,
        }
