"""The arguments of the command ``fastnn``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import fastnn

USER_ERROR = 2
Command = Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """argparse with mistakes told in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USER_ERROR, f"{self.prog}: error: {message} ({self.prog} --help says more)\n")


TRAIN_HELP = """\
With no DATA: the book's spiral (1000 points in each of 3 classes), and a picture of what was learned (plot extra).
DATA may also be fashion-mnist or mnist, a CSV file with a header (--target names the column to predict), or an .npz
file with X and y. Features are taken as they are: where their scales differ, begin --layers with normalization.
Images and other bytes are scaled to -1 .. 1."""


def make_parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of the command and its subcommands; ``run`` of what it gives is the one of ``commands`` to call."""
    parser = _Parser(prog="fastnn", description="Neural networks on the CPU: train, evaluate, predict.")
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")

    def show_help(args: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(run=show_help)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    p = subparsers.add_parser(
        "train",
        help="train a network and save it",
        description=TRAIN_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.set_defaults(run=commands["train"])
    p.add_argument(
        "data", nargs="?", default="spiral", metavar="DATA", help="spiral (default), fashion-mnist, mnist, FILE"
    )
    add = p.add_argument_group("data").add_argument
    add("--target", metavar="COLUMN", help="CSV: the column to predict")
    add("--task", choices=("classification", "regression"), help="what the target is (default: judged by its values)")
    add("--validation-split", type=float, metavar="SHARE", help="files: share of rows held out (default 0.2)")
    _add_data_options(add)
    add = p.add_argument_group("network").add_argument
    add(
        "--layers",
        metavar="LIST",
        help="such as 128,relu,dropout:0.1,10,softmax (with the output layer); also normalization, batchnorm, "
        "layernorm, noise:0.1, alphadropout:0.1, gaussiandropout:0.1, leaky_relu:0.2, elu:0.5",
    )
    add(
        "--init",
        default="he",
        choices=("he", "book", "glorot"),
        help="initial weights (default he; book: 0.01 * normal)",
    )
    add("--dtype", default="float32", choices=("float32", "float64"))
    add("--seed", type=_count(0), default=0, metavar="N", help="of weights, order and masks (default 0)")
    add = p.add_argument_group("training").add_argument
    add("--epochs", type=_count(1), metavar="N", help="default 300 for the spiral, 10 for images, 100 for files")
    add("--batch-size", type=_count(1), metavar="N", help="default 128; 32 for files; all rows with lbfgs")
    add(
        "--optimizer",
        default="adam",
        metavar="NAME[:KEY=VALUE,...]",
        help="adam (default), adamw, nadam, sgd, adagrad, rmsprop, lion, lbfgs; such as sgd:momentum=0.9,nesterov=true",
    )
    add(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="default with adam 0.005 for the spiral, 0.001 images, 0.002 files; the others have their own: sgd, "
        "adagrad and lbfgs 1, the rest 0.001",
    )
    add(
        "--decay",
        type=float,
        metavar="D",
        help="rate / (1 + D * step); default with adam 0.001, 0.0001 for files; 0 with the others and with --schedule",
    )
    add(
        "--schedule",
        metavar="NAME[:KEY=VALUE,...]",
        help="learning rate by the step: cosine, one_cycle, step, exponential, inverse_time; it begins at "
        "--learning-rate and lasts the training unless told otherwise, such as cosine:warmup_steps=100",
    )
    add("--clip-norm", type=float, metavar="N", help="bound of the gradient's norm")
    add("--clip-value", type=float, metavar="V", help="bound of each element of the gradient")
    add("--no-shuffle", action="store_true", help="take the rows in the order they have")
    add = p.add_argument_group("output").add_argument
    add("-o", "--output", metavar="FILE", help="model file (default: name of the data, .fnn)")
    add("--no-plot", action="store_true", help="no picture of the decision regions")
    add("--quiet", action="store_true", help="results only")

    p = subparsers.add_parser("evaluate", help="loss and accuracy of a saved model on data")
    p.set_defaults(run=commands["evaluate"])
    p.add_argument("model", metavar="MODEL", help="file of fastnn train")
    p.add_argument("data", metavar="DATA", help="CSV or .npz file, or spiral, fashion-mnist, mnist (the test set)")
    p.add_argument("--target", metavar="COLUMN", help="CSV: the column to predict (default: as in training)")
    _add_data_options(p.add_argument)

    p = subparsers.add_parser("predict", help="predictions of a saved model for the rows of a CSV file")
    p.set_defaults(run=commands["predict"])
    p.add_argument("model", metavar="MODEL", help="file of fastnn train")
    p.add_argument(
        "data", metavar="CSV", help="file with the columns that the model was trained on; others are ignored"
    )
    p.add_argument("-o", "--output", metavar="FILE", help="CSV file to write (default: standard output)")
    p.add_argument("--delimiter", metavar="C", help="between the cells of a CSV file (default ',', tab for .tsv)")

    p = subparsers.add_parser("export", help="a saved model as a file that runs without Python")
    p.set_defaults(run=commands["export"])
    p.add_argument("model", metavar="MODEL", help="file of fastnn train")
    p.add_argument(
        "--to",
        required=True,
        metavar="FORMS",
        help="c: a C file and its header; onnx: for ONNX Runtime and others; with commas between",
    )
    p.add_argument("-o", "--output", metavar="FILE", help="file to write (default: name of the model, .c or .onnx)")
    p.add_argument("--name", metavar="NAME", help="c: what the C names begin with (default: name of the file)")
    p.add_argument("--self-test", action="store_true", help="c: with a program that compares its bits with those here")
    p = subparsers.add_parser("inspect", help="what a model file holds, after checking its SHA-256")
    p.set_defaults(run=commands["inspect"])
    p.add_argument("file", metavar="FILE", help="model, weights or other safetensors file; nothing in it is run")
    p.add_argument("--tensors", action="store_true", help="a line for each tensor")

    p = subparsers.add_parser("doctor", help="processor, kernel tables, threads, versions, self-test")
    p.set_defaults(run=commands["doctor"])
    p = subparsers.add_parser("bench", help="a short benchmark against NumPy")
    p.set_defaults(run=commands["bench"])
    p.add_argument("--vs", nargs="+", default=[], metavar="PEER", help="peers to compare with, where installed")
    return parser


def _add_data_options(add: Callable[..., Any]) -> None:
    add("--delimiter", metavar="C", help="between the cells of a CSV file (default ',', tab for .tsv)")
    add(
        "--data-dir",
        metavar="FOLDER",
        help="images: where their four IDX files are (default: FASTNN_DATA, cache, network)",
    )


def _count(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**63:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return whole_number
