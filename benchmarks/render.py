"""docs/benchmarks.md from a result: ``python benchmarks/render.py docs/benchmarks.json`` writes it again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P and PYTHONSAFEPATH leave it out

from crossover import catches_up
from peers import KNOWN
from statistics_of import duration, geometric_mean, median, quartiles, ratio, share_of_peak

HOW = """\
How to read it: every library runs in a process of its own (NumPy and scikit-learn share fastnn's), pinned to one core
and held to one thread unless threads are named; one runs at a time, sample by sample in turn, so that a change of the
clock touches all. All have the same data, initial weights and mathematics: before the timing, results are compared to
1e-3 (training: the loss after every tenth of 50 steps; where the work grows, after 3), and what differs is not timed.
Times are medians, with the quartiles in parentheses; **ratios are the median over the rounds of the library's time over
fastnn's: above 1 fastnn is faster.** "Of peak" is the rate of the operations in products, over that of a register-only
FMA loop timed for as long in the same round. float32. Adam is each library's own (PyTorch's fused one) with the book's
constants; fastnn and NumPy count the accuracy in each step as well, the others do not. Predictions are timed from a
NumPy array to a NumPy array: by `Session.run` into an array that is there (fastnn.predict: by `Model.predict`),
onnxruntime.bound with input and output bound to memory beforehand.
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def lines_of(result: dict[str, Any], family: str) -> dict[str, dict[str, Any]]:
    """The lines of a family by key, without those of growth and scaling."""
    growing = {key for keys in result["growth"].values() for key in keys}
    return {k: v for k, v in result["workloads"].items()
            if v["family"] == family and k not in growing and not k.startswith(("S1", "T3 batch"))}  # fmt: skip


def time_with_quartiles(samples: Sequence[float]) -> str:
    low, high = quartiles(samples)
    return f"{duration(median(samples))} ({duration(low)}-{duration(high)})"


def against_peers(lines: dict[str, dict[str, Any]]) -> str:
    """fastnn's time, and each peer's ratio with its time."""
    names = [n for n in KNOWN if n != "fastnn" and any(n in line["samples"] for line in lines.values())]
    with_peak = any(line["peaks"] for line in lines.values())
    rows = []
    for key, line in lines.items():
        ours = line["samples"].get("fastnn")
        cells = []
        for name in names:
            r = ratio(line, name)
            cells.append("" if r is None else f"**{r:.2f}** ({duration(median(line['samples'][name]))})")
        share = share_of_peak(line)
        title = line["title"] if key.split()[0] in line["title"] else f"{key.split()[0]} {line['title']}"
        rows.append([title.replace("train step ", ""), time_with_quartiles(ours) if ours else "not timed",
                     *([f"{share:.0%}" if share is not None else ""] if with_peak else []), *cells])  # fmt: skip
    return table(["", "fastnn (quartiles)", *(["of peak"] if with_peak else []), *names], rows)


def refusals(result: dict[str, Any]) -> str:
    """Who is not in a table, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for key, line in result["workloads"].items():
        for name, reason in line["left_out"].items():
            reasons.setdefault((name, reason), []).append(key)
    rows = [
        f"- {name}: {reason.removeprefix('not expressible: ')} ({_few(keys)})"
        for (name, reason), keys in reasons.items()
    ]
    rows += [f"- {name}: {reason}" for name, reason in result["missing"].items()]
    return "\n".join(rows) + "\n"


def _few(keys: list[str]) -> str:
    return ", ".join(keys) if len(keys) < 8 else f"{', '.join(keys[:3])} and {len(keys) - 3} more"


BOOK = ("128x784x128", "784x128x128")


def is_square(title: str) -> bool:
    return len(set(title.partition(",")[0].split("x"))) == 1


def beside_peak(lines: Iterable[dict[str, Any]], head: str) -> str:
    """Products with both sides' shares of the peak of their type."""
    rows = []
    for line in lines:
        ours, theirs, share = line["samples"]["fastnn"], line["samples"]["numpy"], share_of_peak(line)
        rows.append([line["title"], duration(median(ours)), duration(median(theirs)), f"**{ratio(line, 'numpy'):.2f}**",
                     f"{share:.0%}", f"{share_of_peak(line, 'numpy'):.0%}"])  # fmt: skip
    return table([head, "fastnn", "NumPy", "ratio", "of peak", "NumPy's"], rows)


def products(result: dict[str, Any]) -> str:
    every = sorted(lines_of(result, "product").values(), key=lambda line: line["flops"])
    lines = {v["title"]: v for v in every if ratio(v, "numpy") is not None}
    singles = {title: line for title, line in lines.items() if "float64" not in title}
    if not singles:
        return ""
    doubles = [line for title, line in lines.items() if title not in singles]
    book = [line for title, line in singles.items() if title in BOOK]
    ratios = {title: ratio(line, "numpy") or 0.0 for title, line in singles.items()}
    misses = sorted((r, title) for title, r in ratios.items() if r < 0.95)
    said = ", ".join(f"{title} ({r:.2f})" for r, title in misses[:40]) or "none"
    ranked = sorted((r, title) for title, r in ratios.items())
    details = table(["shape (MxKxN)", "ratio"], [[title, f"{r:.2f}"] for r, title in ranked])
    return (
        beside_peak((line for title, line in singles.items() if is_square(title)), "square")
        + (f"\n{beside_peak(book, 'of the book (MxKxN)')}" if book else "")
        + (f"\n{beside_peak(doubles, 'float64, of its own peak')}" if doubles else "")
        + f"\nOver {len(ratios)} shapes in float32, square and sampled from M, K, N in 1 to 784: geometric mean "
        + f"**{geometric_mean(list(ratios.values())):.2f}**, smallest {ranked[0][0]:.2f} ({ranked[0][1]}), largest "
        + f"{ranked[-1][0]:.1f} ({ranked[-1][1]}). Below 0.95: {len(misses)}: {said}.\n\n"
        + f"<details><summary>All {len(ratios)} shapes</summary>\n\n{details}\n</details>\n"
    )


def scaling(result: dict[str, Any]) -> str:
    rows = []
    for key, line in result["workloads"].items():
        if not key.startswith("S1"):
            continue
        for two in line["samples"]:
            one = "one after another" if two == "in one call" else two.replace("2 threads", "1 thread")
            if one == two or one not in line["samples"]:
                continue
            times = [duration(median(line["samples"][name])) for name in (one, two)]
            rows.append([f"{key[3:]}: {two}", *times, f"**{ratio(line, one, two):.2f}**"])
    return table(["", "one thread", "two threads", "times as fast"], rows) if rows else ""


def memory(result: dict[str, Any]) -> str:
    times, sizes = result["imports"], result["sizes"]
    bare = median(times["python"])
    rows = [
        [name, duration(median(taken)), duration(max(0.0, median(taken) - bare)), *_sizes(sizes.get(name))]
        for name, taken in times.items()
    ]
    return table(["", "process, start to end", "beyond bare Python", "installed", "with its requirements"], rows)


def _sizes(size: dict[str, int] | None) -> list[str]:
    return ["", ""] if size is None else [f"{size[key] / 1e6:.1f} MB" for key in ("own", "with_requirements")]


def to_accuracy(result: dict[str, Any]) -> str:
    found = result["accuracy"]
    best = median(found["fastnn"]["seconds"]) if "fastnn" in found else float("nan")
    rows = [[name, duration(median(v["seconds"])), f"**{median(v['seconds']) / best:.2f}**", str(v["epochs"]),
             f"{v['accuracy']:.4f}"] for name, v in found.items()]  # fmt: skip
    return table(["", "process, start to end", "ratio", "epochs", "test accuracy"], rows) + (
        "\nAccuracy is looked at after each epoch; an epoch more or less is a matter of rounding errors. scikit-learn "
        "is not here, as it has no decay of the learning rate by steps, nor compiled PyTorch, which compiles for "
        "longer than it trains.\n"
    )


def crossovers(result: dict[str, Any]) -> str:
    rows = [f"- {text}" for text in catches_up(result)]
    return (
        "The size from which on, to the end of the range, a peer takes no longer than fastnn:\n\n"
        + "\n".join(rows)
        + "\n"
    )


def head(result: dict[str, Any]) -> str:
    m = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    load = result["load"]["before"]
    peaks = [peak for line in result["workloads"].values() for peak in line["peaks"]]
    peak = f"FMA peak of a core {median(peaks) / 1e9:.0f} GFLOP/s (median)" if peaks else "FMA peak not measured"
    return (
        f"{m['processor']}, {m['cores']} cores, {m['system']}, Python {m['python']}; fastnn "
        f"{result.get('commit', '')} on {m['isa']}, {peak}. {versions}. {result['when']}"
        + (f", load before the run {load[0]:.1f}" if load else "")
        + (". **A quick run: fewer shapes and rounds.**" if result["quick"] else ".")
        + "\n"
    )


def write(result: dict[str, Any], folder: Path) -> None:
    """benchmarks.md and its plots."""
    import plots

    pictures = plots.draw(result, folder)
    picture = {name: f"\n![{title}]({name})\n" for name, title in pictures.items()}
    parts = ["# Benchmarks\n", "Written by `make bench`; not edited by hand.\n", head(result), HOW]
    for title, family, name in (("Training steps", "train", "train"), ("Prediction", "predict", ""),
                                ("Activations (A1)", "activation", "activation")):  # fmt: skip
        if lines := lines_of(result, family):
            parts += [f"## {title}\n", against_peers(lines) + picture.get(f"benchmarks-{name}.png", "")]
    if text := products(result):
        parts += ["## Matrix products (G1)\n", text + picture.get("benchmarks-products.png", "")]
    if text := scaling(result):
        parts += ["## Two threads (S1)\n", text]
    if result["growth"]:
        text = (
            "Train steps as in T1, one size growing: 64-64-64-10 in batches of N, N-N-N-10 in batches of 32, "
            "N hidden layers of 64 in batches of 32.\n"
        )
        parts += ["## Growing work\n", text + picture.get("benchmarks-growth.png", "")]
    parts += ["## Where the peers catch up\n", crossovers(result)]
    if "imports" in result:
        parts += ["## Import and size (M1)\n", memory(result)]
    if "accuracy" in result:
        parts += ["## Time to accuracy\n", "Fashion-MNIST, 784-128-128-10, to 0.86 on the test images.\n",
                  to_accuracy(result) + picture.get("benchmarks-accuracy.png", "")]  # fmt: skip
    if result["skipped"]:
        parts += ["## Skipped\n", "\n".join(f"- {name}: {why}" for name, why in result["skipped"].items()) + "\n"]
    parts += ["## Not in the tables\n", refusals(result)]
    (folder / "benchmarks.md").write_text("\n".join(parts))


if __name__ == "__main__":
    source = Path(sys.argv[1])
    write(json.loads(source.read_text()), source.parent)
