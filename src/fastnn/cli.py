"""The command ``fastnn``: train, evaluate, predict, inspect, export, doctor, bench."""

from __future__ import annotations

import argparse
import csv
import importlib
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

import fastnn
from fastnn import _cli_data, _cli_export, _cli_inspect, _cli_model
from fastnn._cli_args import USER_ERROR, make_parser
from fastnn._cli_data import CLASSIFICATION, Problem
from fastnn._optimizer import BOUNDS
from fastnn._progress import training_bar
from fastnn.model import Model

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (those of the process by default); returns the exit code.

    0 is success, 2 an error of the user's, told in words on stderr, 130 Ctrl-C.
    """
    try:
        args = make_parser(COMMANDS).parse_args(argv)
        run: Callable[[argparse.Namespace], int] = args.run
        with _downloads_shown():
            return run(args)
    except SystemExit as end:  # argparse: --help, --version, or a mistake in the arguments
        return end.code if isinstance(end.code, int) else USER_ERROR
    except KeyboardInterrupt:
        _say("\nstopped")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `fastnn predict ... | head`
        _mute()
        return 1
    except OSError as error:
        named = error.filename is not None and error.strerror is not None
        _say(f"fastnn: error: {f'{error.filename}: {error.strerror}' if named else error}")
    except (ValueError, TypeError, FloatingPointError, ImportError) as error:
        _say(f"fastnn: error: {error}")
    except MemoryError as error:
        _say(f"fastnn: error: out of memory {error}".rstrip())
    return USER_ERROR


def train(args: argparse.Namespace) -> int:
    """``fastnn train``."""
    kind = _cli_data.kind_of(args.data)
    args.recipe = _cli_model.recipe_for(kind)
    output = Path(args.output or f"{Path(args.data).stem}.fnn")
    _check_output(output, args.data)  # now, not after the training
    problem = _cli_data.load(args)
    epochs = args.recipe.epochs if args.epochs is None else args.epochs
    usual = len(problem.X) if args.optimizer.strip().lower().startswith("lbfgs") else args.recipe.batch_size
    batch = min(usual if args.batch_size is None else args.batch_size, len(problem.X))
    model = _cli_model.build(problem, args, epochs * -(-len(problem.X) // batch))
    if not args.quiet:
        optimizer = model.optimizer_object
        order = "in the order given" if args.no_shuffle else "shuffled"
        _row("data", problem.text())
        _row("network", _cli_model.describe(model))
        _row("epochs", f"{epochs}, in batches of {batch}, {order}; seed {args.seed}")
        rate = optimizer.rate
        shown = repr(optimizer.learning_rate) if isinstance(rate, tuple) else f"{rate:g}, decay {optimizer.decay:g}"
        bounds = "".join(f", {k.replace('_', ' ')} {v:g}" for k in BOUNDS if (v := getattr(optimizer, k)) is not None)
        _row("optimizer", f"{args.optimizer}, learning rate {shown}{bounds}")
        if not isinstance(model.layers[0], fastnn.Normalization):
            _warn_of_scales(problem)
    y = _cli_model.targets(model, problem.y)
    start = time.perf_counter()
    try:
        with nullcontext() if args.quiet else training_bar() as bar:
            model.train(problem.X, y, epochs=epochs, batch_size=batch, shuffle=not args.no_shuffle, progress=bar)
    except KeyboardInterrupt:
        _say(f"\nstopped in epoch {min(model.epochs_done + 1, epochs)} of {epochs}; nothing was saved")
        return INTERRUPTED
    seconds = time.perf_counter() - start
    model.save(output)  # before anything else can go wrong
    speed = f", {model.steps_done / seconds:,.0f} steps a second" if seconds > 0 else ""
    ended = getattr(model.optimizer_object, "converged", None)
    _row("trained", f"{model.epochs_done} epochs in {seconds:.2f} s{speed}{f': {ended}' if ended else ''}")
    last = {name: math.nan if value is None else value for name, value in model.history.last().items()}
    _row("training", _result(model, last.get("data_loss", math.nan), last.get("accuracy", math.nan)))
    loss, accuracy = model.evaluate(problem.X_held, _cli_model.targets(model, problem.y_held))
    _row(_short(problem.held_out), _result(model, loss, accuracy))
    _row("saved", f"{output} ({output.stat().st_size / 1024:,.0f} KB)")
    if problem.task == CLASSIFICATION and problem.X.shape[1] == 2 and not args.no_plot:
        picture = output.with_suffix(".png" if output.suffix != ".png" else ".regions.png")
        _picture(model, problem, picture, accuracy)
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """``fastnn evaluate``."""
    model = Model.load(args.model)
    X, y, what = _cli_model.evaluation_rows(model, args)
    _cli_model.check_width(model, args.model, X, args.data)
    loss, accuracy = model.evaluate(X, _cli_model.targets(model, y))
    _row("model", f"{args.model}: {_cli_model.describe(model)}")
    _row("data", f"{what}, {len(X)} rows")
    _row("result", _result(model, loss, accuracy))
    return 0


def predict(args: argparse.Namespace) -> int:
    """``fastnn predict``."""
    model = Model.load(args.model)
    if _cli_data.kind_of(args.data) != "csv":
        raise ValueError(f"{args.data}: predict reads CSV files")
    if args.output is not None:
        _check_output(Path(args.output), args.data, args.model)
    names = model.metadata.get("feature_names") or None
    X, _ = fastnn.data.read_features(args.data, names, _cli_data.delimiter_of(args))
    _cli_model.check_width(model, args.model, X, args.data)
    header, rows = _cli_model.prediction_table(model, model.predict(X))
    if args.output is None:
        _write_csv(sys.stdout, header, rows)
    else:
        with open(args.output, "w", newline="", encoding="utf-8") as file:
            _write_csv(file, header, rows)
        _say(f"{len(rows)} predictions in {args.output}")
    return 0


def export(args: argparse.Namespace) -> int:
    """``fastnn export``."""
    for text in _cli_export.export(args):
        print(text, flush=True)
    return 0


def inspect(args: argparse.Namespace) -> int:
    """``fastnn inspect``."""
    for name, text in _cli_inspect.rows(args.file, tensors=args.tensors):
        _row(name, text)
    return 0


def doctor(args: argparse.Namespace) -> int:
    """``fastnn doctor``."""
    from fastnn._doctor import doctor as examine

    return 0 if "differ" not in examine()["self_test"] or fastnn.active_isa() == "sse2" else 1


def bench(args: argparse.Namespace) -> int:
    """``fastnn bench``."""
    result: int = importlib.import_module("fastnn._bench").main(args.vs)
    return result


COMMANDS = {
    "train": train, "evaluate": evaluate, "predict": predict, "inspect": inspect, "export": export, "doctor": doctor,
    "bench": bench,
}  # fmt: skip


# --- the output ---


def _row(name: str, text: str) -> None:
    try:
        print(f"{name:<11} {text}", flush=True)
    except BrokenPipeError:  # as in `fastnn train ... | head -1`: a training goes on and is saved
        _mute()


def _mute() -> None:
    """The reader of our output has gone: what else is printed goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _short(held_out: str) -> str:
    return held_out.partition(",")[0]


def _result(model: Model, loss: float, accuracy: float) -> str:
    if model.loss_object.names[0] == "mean_squared_error":
        within = "" if math.isnan(accuracy) else f", accuracy {accuracy:.4f} (share within std / 250)"
        return f"mean squared error {loss:.6g}, its root {math.sqrt(loss):.6g}{within}"
    return f"loss {loss:.4f}" if math.isnan(accuracy) else f"accuracy {accuracy:.4f}, loss {loss:.4f}"


def _check_output(output: Path, *inputs: str) -> None:
    if not output.parent.is_dir():
        raise ValueError(f"--output: there is no folder {output.parent}")
    if output.is_dir():
        raise ValueError(f"--output: {output} is a folder")
    if any(output.exists() and Path(path).exists() and output.samefile(path) for path in inputs):
        raise ValueError(f"--output: {output} is what is read here; name another file")


def _warn_of_scales(problem: Problem) -> None:
    """Features of very different scales are the commonest reason why a first training goes badly."""
    if problem.X.dtype.kind != "f" or len(problem.X) < 2:
        return
    largest = abs(problem.X).max(axis=0)
    if largest.max() > 100:
        worst = int(largest.argmax())
        name = problem.feature_names[worst] if problem.feature_names else f"feature {worst}"
        _row("note", f"{name!r} goes up to {largest[worst]:.4g}: begin --layers with normalization")


def _picture(model: Model, problem: Problem, path: Path, accuracy: float) -> None:
    try:
        from fastnn import plots

        plots.decision_regions(
            model,
            problem.X_held,
            problem.y_held,
            path,
            class_names=[f"class {name}" if name.isdecimal() else name for name in problem.class_names],
            feature_names=problem.feature_names,
            title=f"{problem.name}: decision regions and held-out points, accuracy {accuracy:.3f}",
        )
        _row("picture", str(path))
    except ImportError as error:
        _row("picture", f"none: {error}")


def _write_csv(file: IO[str], header: list[str], rows: list[list[str]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    file.flush()


@contextmanager
def _downloads_shown() -> Iterator[None]:
    """A download takes a while: say what is being fetched, on stderr."""
    log, handler = logging.getLogger("fastnn.data"), logging.StreamHandler()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
