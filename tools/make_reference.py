"""docs/reference/: a page for everything that is registered, made from the code that runs.

Names, signature, docstring (formula, derivative, source), the formula in NumPy that the tests compare with, a picture,
and the lines of the benchmark. ``python tools/make_reference.py`` writes pages and pictures (matplotlib, the docs
extra); the suite checks that the pages are those that this makes.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from cases import KERNELS  # noqa: E402 (the benchmarks are no package)

from fastnn import layers  # noqa: E402, F401 (registers itself)
from fastnn.activations import Activation  # noqa: E402
from fastnn.base import Layer, Registered  # noqa: E402
from fastnn.constraints import Constraint  # noqa: E402
from fastnn.initializers import Initializer  # noqa: E402
from fastnn.losses import Loss  # noqa: E402
from fastnn.metrics import Accuracy, Metric  # noqa: E402
from fastnn.optimizers import Optimizer  # noqa: E402
from fastnn.schedules import CosineDecay, Schedule  # noqa: E402

FOLDER = ROOT / "docs" / "reference"
FAMILIES: dict[str, tuple[type[Registered], str]] = {
    "activations": (Activation, '`Dense(64, activation="{name}")`, a layer `{cls}()`, or `fastnn.functional`.'),
    "losses": (Loss, '`model.set(loss="{name}")`'),
    "optimizers": (Optimizer, '`model.set(optimizer="{name}")`'),
    "schedules": (Schedule, "`Adam(learning_rate={cls}(...))`"),
    "constraints": (Constraint, '`Dense(64, weight_constraint="{name}")`'),
    "initializers": (Initializer, '`Dense(64, weight_initializer="{name}")`'),
    "layers": (Layer, "`model.add({cls}(...))`"),
    "accuracies": (Accuracy, '`model.set(accuracy="{name}")`'),
    "metrics": (Metric, '`model.set(metrics=["{name}"])`'),
}


def members(family: str) -> list[type[Any]]:
    """The classes of a family that belong to the package, each once, in the order of their module."""
    base = FAMILIES[family][0]
    found = {c for c in base.registry.values() if c.__module__.startswith("fastnn.")}
    if family == "layers":
        found = {c for c in found if not issubclass(c, Activation)}
    # what has a file of its own beside its family's comes last
    return sorted(found, key=lambda c: (c.__module__ != f"fastnn.{family}", c.__module__, inspect.getsourcelines(c)[1]))


def slug(cls: type[Any]) -> str:
    return str(cls.names[0]).lower()


def page(family: str, cls: type[Any]) -> str:
    """The text of a page."""
    parts = [f"# {cls.__name__}"]
    names = ", ".join(f'`"{name}"`' for name in cls.names)
    signature = inspect.signature(cls)
    plain = signature.replace(
        parameters=[p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()],
        return_annotation=inspect.Signature.empty,
    )
    module = re.sub(r"\._\w+$", "", cls.__module__)  # where users find it
    if module == "fastnn":  # a file of its own beside its family's
        module = f"fastnn.{family}"
    parts.append(f"`{module}.{cls.__name__}{plain}`")
    how = FAMILIES[family][1].format(name=cls.names[0], cls=cls.__name__)
    if getattr(cls, "joins", False):
        how = f"`{cls.__name__}()([a, b])`, in a [graph](../../graphs.md)"
    parts.append(f"Names: {names}. {how}")
    parts.append(inspect.cleandoc(cls.__doc__ or "").replace("``", "`"))
    if has_picture(family, cls):
        parts.append(f"![{caption(family, cls)}]({slug(cls)}.svg)")
    formula = cls.__dict__.get("formula") or cls.__dict__.get("right")
    if formula is not None:
        source = textwrap.dedent(inspect.getsource(formula)).strip()
        parts.append(f"In NumPy, as the tests compare it:\n\n```python\n{source}\n```")
    if found := lines(cls):
        listed = "\n".join(f"* {line}" for line in found)
        parts.append(f"In the benchmark (`make bench-kernels`):\n\n{listed}")
    return "\n\n".join(parts) + "\n"


def lines(cls: type[Any]) -> list[str]:
    """The names of its lines in the benchmark."""
    return [case.name for case in KERNELS if any(re.match(rf"{k}\b", case.name) for k in kernels(cls))]


def kernels(cls: type[Any]) -> list[str]:
    """How the lines of a class may begin: its kernels, its name, and that in words."""
    own = getattr(cls, "kernels", None) or [getattr(cls, "kernel", "")]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()
    return [re.escape(k) for k in (*own, cls.names[0], words) if isinstance(k, str) and k]


def index() -> str:
    texts = [
        "# Reference",
        "",
        "Everything that has a name, each with its formula, source and picture. Made by `tools/make_reference.py` from",
        "the code that runs.",
    ]
    for family in FAMILIES:
        texts += ["", f"## {family.capitalize()}", ""]
        for cls in members(family):
            first = " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())
            first = re.split(r"(?<=[.:;]) ", first.replace("``", "`"))[0].rstrip(":;")
            texts.append(f"* [{cls.__name__}]({family}/{slug(cls)}.md): {first}")
    return "\n".join(texts) + "\n"


def pages() -> dict[str, str]:
    """The text of every page by its path below docs/reference."""
    texts = {"README.md": index()}
    for family in FAMILIES:
        texts |= {f"{family}/{slug(cls)}.md": page(family, cls) for cls in members(family)}
    return texts


# --- pictures ---


def has_picture(family: str, cls: type[Any]) -> bool:
    return family in DRAW and cls.__name__ != "LBFGS"  # which has no step of its own: it searches along lines


def caption(family: str, cls: type[Any]) -> str:
    return {
        "activations": f"{cls.__name__} and its derivative",
        "losses": f"{cls.__name__} and its derivative by the prediction",
        "optimizers": f"The way of {cls.__name__} down a narrow valley",
        "schedules": f"The learning rate of {cls.__name__}, step by step",
    }[family]


def draw_activation(ax: Any, cls: type[Any]) -> None:
    x = np.linspace(-4, 4, 401)
    made = cls()
    if cls.kernel.endswith("softmax"):
        rows = np.stack([x, np.zeros_like(x), np.ones_like(x)], axis=1)
        y, label = made.formula(rows)[:, 0], "f of the first of (x, 0, 1)"
    else:
        y, label = made.formula(x), "f(x)"
    slope = np.gradient(y, x)
    for kink in (*cls.kinks, *((0.0,) if cls.kernel == "step" else ())):  # a jump is no steep line
        near = np.abs(x - kink) < 0.021
        slope[near] = np.nan
        if cls.kernel == "step":
            slope[near], y = 0.0, np.where(near, np.nan, y)
    ax.plot(x, y, label=label, lw=2)
    ax.plot(x, slope, "--", label="derivative", lw=1.2)
    ax.set_xlabel("x")
    ax.set_ylim(max(np.nanmin(y), -4) - 0.2, min(max(np.nanmax(y), np.nanmax(slope)), 6.5) + 0.2)


def draw_loss(ax: Any, cls: type[Any]) -> None:
    loss = cls(**({"q": 0.9} if cls.__name__ == "Quantile" else {}))
    probability = loss.targets == "probabilities" and cls.__name__ != "CategoricalHinge"
    if probability:
        p, wanted = np.linspace(0.02, 0.98, 300), (1.0, 0.3)
    elif loss.targets == "signs":
        p, wanted = np.linspace(-3, 3, 300), (1.0, -1.0)
    elif cls.__name__ == "Poisson":
        p, wanted = np.linspace(0.05, 6, 300), (1.0, 3.0)
    else:
        p, wanted = np.linspace(-3, 3, 300), (0.0,)
    for t in wanted:
        if loss.takes_labels or cls.__name__ == "KLDivergence":  # two classes
            rest = 1 - p if probability else np.zeros_like(p)
            each, target = np.stack([p, rest], axis=1), np.array([[t, 1 - t]] if probability else [[1.0, 0.0]])
        else:
            each, target = p[:, None], np.array([[t]])
        value = loss.formula(each, np.repeat(target, len(p), axis=0))
        line = ax.plot(p, value, lw=2, label=f"target {target[0, 0]:g}")
        ax.plot(p, np.gradient(value, p), "--", lw=1, color=line[0].get_color())
    ax.set_xlabel("p (dashed: the derivative by it)")
    ax.set_ylim(-4, 5)


def draw_optimizer(ax: Any, cls: type[Any]) -> None:
    """50 steps on (a^2 + 20 b^2) / 2 from (-4, 1), at a learning rate that goes well."""
    scale = np.array([1.0, 20.0])
    rates = {"sgd": 0.08, "adagrad": 0.6, "lion": 0.06}
    optimizer = cls(learning_rate=rates.get(cls.names[0], 0.2))
    w, states = np.array([-4.0, 1.0]), [np.zeros(2) for _ in range(optimizer.state_count)]
    way = [w.copy()]
    for t in range(1, 51):
        w = optimizer.formula(w, scale * w, states, t, optimizer.learning_rate)
        way.append(np.array(w))
    a, b = np.meshgrid(np.linspace(-4.6, 2, 120), np.linspace(-1.4, 1.4, 80))
    ax.contour(a, b, (a**2 + 20 * b**2) / 2, levels=[0.2, 1, 3, 6, 10, 15], colors="0.8", linewidths=0.8)
    ax.plot(*np.transpose(way), ".-", lw=1, ms=4, label=f"learning_rate={optimizer.learning_rate:g}, 50 steps")
    ax.set_xlim(-4.6, 2)
    ax.set_ylim(-1.4, 1.4)


SCHEDULES: dict[str, dict[str, Any]] = {
    "StepDecay": {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.3},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.3},
    "InverseTime": {"initial_learning_rate": 0.1, "decay_rate": 0.05},
    "CosineDecay": {"initial_learning_rate": 0.0, "decay_steps": 80, "warmup_target": 0.1, "warmup_steps": 20},
    "WarmUp": {"learning_rate": CosineDecay(0.1, 80), "warmup_steps": 20},
    "OneCycle": {"max_learning_rate": 0.1, "total_steps": 100},
}


def draw_schedule(ax: Any, cls: type[Any]) -> None:
    options = SCHEDULES[cls.__name__]
    schedule = cls(**options)
    ax.plot([schedule(t) for t in range(110)], lw=2)
    ax.set_xlabel("step of " + ", ".join(f"{k}={v}" for k, v in options.items()), fontsize=6)
    ax.set_ylim(bottom=0)


DRAW = {"activations": draw_activation, "losses": draw_loss, "optimizers": draw_optimizer, "schedules": draw_schedule}


def picture(family: str, cls: type[Any], path: Path) -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.rcParams |= {"svg.hashsalt": "fastnn", "svg.fonttype": "none", "path.simplify_threshold": 0.5}
    figure, ax = plt.subplots(figsize=(4.6, 2.9), layout="constrained")
    DRAW[family](ax, cls)
    ax.set_title(cls.__name__, fontsize=10)
    ax.axhline(0, color="0.6", lw=0.6)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=7)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    for name, text in pages().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for family in DRAW:
        for cls in filter(partial(has_picture, family), members(family)):
            picture(family, cls, FOLDER / family / f"{slug(cls)}.svg")


if __name__ == "__main__":
    main()
