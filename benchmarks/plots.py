"""The pictures of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from crossover import curves
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from peers import KNOWN
from statistics_of import duration, median, ratio

COLOURS = {"fastnn": "#111111", "numpy": "#4c72b0", "sklearn": "#dd8452", "torch": "#c44e52",
           "torch.compile": "#e39a9c", "jax.jit": "#9bcaa3", "jax.scan": "#3f9a55",
           "onnxruntime": "#8172b3"}  # fmt: skip
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def _finish(axes: Any, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _plain_logarithm(axis: Any) -> None:
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(PLAIN)
    axis.set_minor_locator(NullLocator())


def _bars(result: dict[str, Any], family: str, title: str) -> Any:
    """Ratios by workload, a bar a peer."""
    wanted = ("T1", "T2", "T3", "T4", "T5", "T6", "T7") if family == "train" else ("A1",)
    lines = {k: v for k, v in result["workloads"].items() if v["family"] == family and k.split()[0] in wanted}
    names = [n for n in KNOWN if n != "fastnn" and any(n in line["samples"] for line in lines.values())]
    if not lines or not names:
        return None
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    width = 0.84 / len(names)
    for j, name in enumerate(names):
        found = [(i, r) for i, line in enumerate(lines.values()) if (r := ratio(line, name)) is not None]
        at = [i - 0.42 + (j + 0.5) * width for i, _ in found]
        axes.bar(at, [r - 1 for _, r in found], width * 0.94, bottom=1, color=COLOURS[name], label=name)
        for x, (_, r) in zip(at, found, strict=True):
            text = f"{r:.0f}" if r >= 9.95 else f"{r:.1f}"
            axes.annotate(text, (x, max(r, 1)), (0, 2), textcoords="offset points", ha="center", fontsize=6.5)
    axes.axhline(1, color=COLOURS["fastnn"], linewidth=1.2)
    axes.set_yscale("log")
    _plain_logarithm(axes.yaxis)
    labels = []
    for key, line in lines.items():
        size = line["title"].removeprefix("train step ").partition(" ")[2]
        size = size.replace(", batch", "\nbatch").replace(", dropout", "\ndropout")
        labels.append(
            f"{key}\n{size}" if family == "train" else key.removeprefix("A1 ").replace("softmax ", "softmax\n")
        )
    axes.set_xticks(range(len(lines)), labels, fontsize=7.5)
    axes.set_ylabel("times as long as fastnn")
    axes.set_title(title, fontsize=10, loc="left")
    axes.legend(fontsize=7.5, frameon=False, ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, -0.2))
    _finish(axes, "y")
    return figure


def _growth(result: dict[str, Any]) -> Any:
    """Time of a step over its size, and below it the ratios."""
    kinds = list(result["growth"])
    if not kinds:
        return None
    figure, grid = plt.subplots(2, len(kinds), figsize=(9, 5.4), layout="constrained", sharex="col", squeeze=False)
    found = curves(result)
    for column, kind in enumerate(kinds):
        top, bottom = grid[0, column], grid[1, column]
        keys = [k for k in result["growth"][kind] if "fastnn" in result["workloads"][k]["samples"]]
        for name in KNOWN:
            points = [
                (int(k.split()[1]), median(s[name])) for k in keys if name in (s := result["workloads"][k]["samples"])
            ]
            if points:
                xs, ys = zip(*points, strict=True)
                top.plot(xs, ys, marker="o", markersize=2.5, linewidth=1.3, color=COLOURS[name], label=name)
            if (kind, name) in found:
                bottom.plot(*found[kind, name], marker="o", markersize=2.5, linewidth=1.3, color=COLOURS[name])
        bottom.axhline(1, color=COLOURS["fastnn"], linewidth=1.3)
        for axes in (top, bottom):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.xaxis.set_major_formatter(PLAIN)
            axes.tick_params(labelsize=7)
            _finish(axes, "both")
        top.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: duration(value).replace(".00", "").replace(".0", ""))
        )
        _plain_logarithm(bottom.yaxis)
        bottom.set_xlabel(kind, fontsize=9)
    grid[0, 0].set_ylabel("time of a train step", fontsize=8)
    grid[1, 0].set_ylabel("times as long as fastnn", fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, frameon=False, ncols=len(labels), loc="outside upper center")
    return figure


def _products(result: dict[str, Any]) -> Any:
    """Ratio of every shape over its number of operations."""
    lines = [v for v in result["workloads"].values() if v["family"] == "product" and "float64" not in v["title"]
             and ratio(v, "numpy") is not None]  # fmt: skip
    if not lines:
        return None
    figure, axes = plt.subplots(figsize=(9, 3.4), layout="constrained")
    for is_square, colour, label in ((False, "#9db4d6", "sampled shape"), (True, "#1f3f77", "square")):
        some = [v for v in lines if (len(set(v["title"].split("x"))) == 1) == is_square]
        axes.scatter([v["flops"] for v in some], [ratio(v, "numpy") for v in some], s=30 if is_square else 14,
                     color=colour, label=label, linewidths=0)  # fmt: skip
        if is_square:
            for v in some:
                r = ratio(v, "numpy") or 1.0
                size, below = v["title"].split("x")[0], r < 1
                axes.annotate(size, (v["flops"], r), (0, -13 if below else 6), textcoords="offset points", fontsize=7,
                              ha="center")  # fmt: skip
    axes.axhline(1, color=COLOURS["fastnn"], linewidth=1.2)
    axes.axhline(0.95, color=COLOURS["torch"], linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_logarithm(axes.yaxis)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("operations (2MNK)", fontsize=9)
    axes.set_ylabel("NumPy's time over fastnn's", fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    _finish(axes, "both")
    return figure


def _accuracy(result: dict[str, Any]) -> Any:
    """Seconds by peer."""
    found = result.get("accuracy")
    if not found:
        return None
    names = list(found)[::-1]
    seconds = [median(found[name]["seconds"]) for name in names]
    figure, axes = plt.subplots(figsize=(7, 0.5 + 0.36 * len(names)), layout="constrained")
    bars = axes.barh(names, seconds, color=[COLOURS[name] for name in names], height=0.7)
    axes.bar_label(bars, [f"{s:.1f} s, {found[n]['epochs']} epochs" for n, s in zip(names, seconds, strict=True)],
                   padding=3, fontsize=7.5)  # fmt: skip
    axes.set_xlim(0, max(seconds) * 1.2)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("seconds, process start to end", fontsize=8)
    _finish(axes, "x")
    return figure


def draw(result: dict[str, Any], folder: Path) -> dict[str, str]:
    """Write the pictures there is something for; file name -> what it shows."""
    pictures: dict[str, tuple[str, Callable[[], Any]]] = {
        "benchmarks-train.png": ("Train steps: each peer's time over fastnn's",
                                 lambda: _bars(result, "train", "Train steps (log scale; fastnn is 1)")),
        "benchmarks-activation.png": ("Activations: each peer's time over fastnn's",
                                      lambda: _bars(result, "activation", "10,000 elements (log scale)")),
        "benchmarks-products.png": ("Products: NumPy's time over fastnn's by size", lambda: _products(result)),
        "benchmarks-growth.png": ("Time of a step as the work grows", lambda: _growth(result)),
        "benchmarks-accuracy.png": ("Time to accuracy", lambda: _accuracy(result)),
    }  # fmt: skip
    written = {}
    for name, (title, make) in pictures.items():
        figure = make()
        if figure is not None:
            figure.savefig(folder / name, dpi=110)
            plt.close(figure)
            written[name] = title
    return written
