"""The command line: every command through main(), what it prints, what it writes, and what it says when things are
wrong."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fastnn
from fastnn import Dense, Model, ReLU, Rescale, Residual, _doctor, plots
from fastnn._cli_model import parse_layers
from fastnn._progress import Lines, figures, training_bar
from fastnn.cli import main
from fastnn.data import spiral
from fastnn.losses import BinaryCrossentropy

ROOT = Path(__file__).resolve().parents[1]
# For processes of their own: the fastnn that is tested here, wherever they run.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).resolve().parents[1])}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """run(words..., code=0): stdout of the command, whose exit code must be that; errors come in run.err."""

    def run_it(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        got = main([str(word) for word in words])
        out, run_it.err = capsys.readouterr()
        assert got == code, out + run_it.err
        return out

    return run_it


def accuracy_in(text: str, row: str) -> float:
    found = re.search(rf"^{row} .*accuracy (\d\.\d+)", text, re.MULTILINE)
    assert found, text
    return float(found.group(1))


def write_table(path: Path, rows: int = 240, task: str = "classes") -> Path:
    """A CSV file that is easy to learn: three kinds of tree, or a price."""
    X, y = fastnn.data.vertical(rows // 3, 3, seed=5)
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        if task == "classes":
            out.writerow(["height", "kind", "girth"])
            out.writerows([h, ("oak", "elm", "ash")[k], g] for (h, g), k in zip(X.tolist(), y, strict=True))
        else:
            out.writerow(["a", "b", "price"])
            out.writerows([a, b, 3 * a - b + 0.25] for a, b in X.tolist())
    return path


# --- train ---


def test_train_spiral(run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = run("train")
    assert accuracy_in(out, "held out") >= 0.88
    assert accuracy_in(out, "training") >= 0.88
    assert re.search(r"^trained +300 epochs in \d+\.\d\d s", out, re.MULTILINE)
    assert "epoch 300/300" in run.err
    assert (tmp_path / "spiral.png").read_bytes().startswith(b"\x89PNG")
    model = Model.load("spiral.fnn")
    assert model.metadata["trained_on"] == "spiral"
    held = model.evaluate(*spiral(1000, 3, seed=1))
    assert held.accuracy == pytest.approx(accuracy_in(out, "held out"), abs=5e-5)
    assert accuracy_in(run("evaluate", "spiral.fnn", "spiral"), "result") == accuracy_in(out, "held out")


def test_train_options(run) -> None:
    words = "train --layers 8,tanh,3,softmax --epochs 2 --batch-size 500 --learning-rate 0.5 --decay 0.01 --seed 3"
    out = run(
        *words.split(), "--optimizer", "sgd", "--init", "book", "--no-shuffle", "--dtype", "float64", "-o", "m.fnn"
    )
    for text in (
        "2 -> 8 tanh -> 3 softmax",
        "float64",
        "2, in batches of 500",
        "in the order given; seed 3",
        "sgd",
    ):
        assert text in out
    model = Model.load("m.fnn")
    assert model.dtype == np.float64
    assert model.seed == 3
    assert model.steps_done == 12
    assert model.optimizer_object.learning_rate == 0.5


def test_schedules_bounds_and_the_optimizers_numbers_have_words(run) -> None:
    few = ("train", "--epochs", 2, "--batch-size", 1000, "--no-plot", "--layers", "4,tanh,3,softmax")
    words = "sgd:momentum=0.9,nesterov=true,use_ema=true"
    out = run(*few, "--optimizer", words, "--clip-norm", 1, "--clip-value", 2)
    made = Model.load("spiral.fnn").optimizer_object
    assert repr(made) == "SGD(clip_value=2.0, clip_norm=1.0, use_ema=True, momentum=0.9, nesterov=True)"
    assert "clip value 2, clip norm 1" in out
    run(*few, "--schedule", "cosine:warmup_steps=2", "--learning-rate", 0.1)
    rate = Model.load("spiral.fnn").optimizer_object.learning_rate
    assert repr(rate) == "CosineDecay(initial_learning_rate=0.0, decay_steps=4, warmup_target=0.1, warmup_steps=2)"
    out = run(*few, "--schedule", "one_cycle", "--optimizer", "adamw:weight_decay=0.1")
    assert "OneCycle(max_learning_rate=0.001, total_steps=6)" in out
    run(*few, "--schedule", "step:decay_steps=2,decay_rate=0.5")
    assert repr(Model.load("spiral.fnn").optimizer_object.learning_rate) == (
        "StepDecay(initial_learning_rate=0.005, decay_steps=2, decay_rate=0.5)"
    )


def test_lbfgs_takes_all_rows_and_says_why_it_ended(run) -> None:
    words = ("train", "--layers", "8,tanh,3,softmax", "--no-plot", "--optimizer")
    assert "trained     0 epochs" in run(*words, "lbfgs:tolerance_grad=10")
    out = run(*words, "lbfgs:tolerance_grad=0.01")
    assert "in batches of 3000" in out
    assert "no element of the gradient is larger than tolerance_grad" in out


def test_other_optimizers_have_their_own_rate(run) -> None:
    run("train", "--epochs", 1, "--optimizer", "rmsprop", "--no-plot", "--quiet")
    assert Model.load("spiral.fnn").optimizer_object.learning_rate == 0.001
    assert not Path("spiral.png").exists()


def test_quiet(run) -> None:
    out = run("train", "--epochs", 1, "--quiet", "--no-plot")
    assert run.err == ""
    assert [line.split()[0] for line in out.splitlines()] == ["trained", "training", "held", "saved"]


def test_the_same_twice(run) -> None:
    for name in ("a.fnn", "b.fnn"):
        run("train", "--epochs", 3, "--quiet", "--no-plot", "-o", name)
    for one, other in zip(Model.load("a.fnn").get_parameters(), Model.load("b.fnn").get_parameters(), strict=True):
        assert one[0].tobytes() == other[0].tobytes()
        assert one[1].tobytes() == other[1].tobytes()


def test_train_with_normalizations_and_noise(run) -> None:
    layers = "normalization,16,batchnorm,relu,noise:0.1,16,layernorm,relu,gaussiandropout:0.05,3,softmax"
    out = run("train", "--epochs", 60, "--layers", layers, "--no-plot", "-o", "m.fnn")
    assert (
        "2 normalization -> 16 batchnorm relu noise 0.1 -> 16 layernorm relu gaussiandropout 0.05 -> 3 softmax" in out
    )
    assert accuracy_in(out, "held out") > 0.5
    model = Model.load("m.fnn")
    kinds = [type(layer).__name__ for layer in model.layers[:4]]
    assert kinds == ["Normalization", "Dense", "BatchNorm", "ReLU"]
    assert model.layers[0].adapted
    again = run("evaluate", "m.fnn", "spiral")
    assert accuracy_in(again, "result") == accuracy_in(out, "held out")


def test_activations_take_their_parameter() -> None:
    layers = parse_layers("8,leaky_relu:0.2,Elu:0.5,elu,leaky_relu,3,softmax", "he")
    assert [layer.alpha for layer in layers[1:5]] == [0.2, 0.5, 1.0, 0.01]  # type: ignore[attr-defined]
    assert [type(layer).__name__ for layer in layers[1:5]] == ["LeakyReLU", "ELU", "ELU", "LeakyReLU"]


def test_a_first_training_with_normalization_is_not_warned_of_scales(run) -> None:
    X, y = fastnn.data.vertical(60, 3, seed=5)
    np.savez("big.npz", X=X * 1000, y=y)
    assert "note " in run("train", "big.npz", "--epochs", 1, "--no-plot")
    out = run("train", "big.npz", "--epochs", 20, "--no-plot", "--layers", "normalization,16,relu,3,softmax")
    assert "note " not in out


def test_train_without_matplotlib(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = run("train", "--epochs", 1)
    assert "picture     none: pictures need matplotlib: pip install 'fastnn-cpu[plot]'" in out
    assert Path("spiral.fnn").exists()


def test_train_fashion_mnist(run) -> None:
    folder = Path(os.environ.get("FASTNN_TEST_DATA") or ROOT.parent / "shared" / "data" / "fashion-mnist")
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"no Fashion-MNIST in {folder}; FASTNN_TEST_DATA names the folder that holds its four files")
    out = run("train", "fashion-mnist", "--data-dir", folder, "--epochs", 1, "--layers", "32,relu,10,softmax")
    assert accuracy_in(out, "test set") > 0.8
    model = Model.load("fashion-mnist.fnn")
    assert isinstance(model.layers[0], Rescale)
    assert model.class_labels == fastnn.data.FASHION_MNIST_CLASSES
    again = run("evaluate", "fashion-mnist.fnn", "fashion-mnist", "--data-dir", folder)
    assert accuracy_in(again, "result") == accuracy_in(out, "test set")


def test_downloads_are_told(run, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.data import _images

    dead = dataclasses.replace(_images.MNIST, mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setattr(_images, "MNIST", dead)
    monkeypatch.setenv("no_proxy", "*")
    run("train", "mnist", code=2)
    lines = run.err.splitlines()
    assert lines[0] == "fetching http://127.0.0.1:9/train-images-idx3-ubyte.gz"
    assert "train-images-idx3-ubyte.gz could not be fetched" in lines[1]
    assert "--data-dir FOLDER" in lines[-1]


# --- tables: train, evaluate, predict ---


def test_table_of_classes(run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "trees.csv")
    out = run("train", table, "--target", "kind", "--no-plot")
    assert "192 rows of 2 features, 3 classes; held out: 48 rows" in out
    assert accuracy_in(out, "held out") > 0.85
    assert accuracy_in(run("evaluate", "trees.fnn", table), "result") > 0.85

    new = tmp_path / "new.csv"  # other order, other columns, no target
    new.write_text("girth,colour,height\n0.5,red,0\n0.5,green,0.667\n")
    rows = list(csv.reader(io.StringIO(run("predict", "trees.fnn", new))))
    assert rows[0] == ["prediction", "p(ash)", "p(elm)", "p(oak)"]
    assert [row[0] for row in rows[1:]] == ["oak", "ash"]
    assert sum(map(float, rows[1][1:])) == pytest.approx(1)
    assert run("predict", "trees.fnn", new, "-o", "out.csv") == ""
    assert "2 predictions in out.csv" in run.err
    with open("out.csv", newline="") as file:
        assert list(csv.reader(file)) == rows


def test_table_of_quantities(run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "prices.csv", task="quantities")
    out = run("train", table, "--target", "price", "--validation-split", 0.5)
    assert "120 rows of 2 features, 1 value(s) to predict; held out: 120 rows" in out
    error = float(re.search(r"^held out +mean squared error (\S+),", out, re.MULTILINE).group(1))
    assert error < 0.01
    assert "mean squared error" in run("evaluate", "prices.fnn", table)
    lines = run("predict", "prices.fnn", table).splitlines()
    assert lines[0] == "price"
    assert len(lines) == 241
    with open(table) as file:
        assert float(lines[1]) == pytest.approx(float(next(csv.DictReader(file))["price"]), abs=0.3)


def test_two_classes_and_one_output(run, tmp_path: Path) -> None:
    X, y = fastnn.data.vertical(100, 2)
    path = tmp_path / "two.csv"
    path.write_text("a,b,sold\n" + "".join(f"{a},{b},{['no', 'yes'][k]}\n" for (a, b), k in zip(X, y, strict=True)))
    out = run("train", path, "--target", "sold", "--layers", "16,relu,1,sigmoid", "--no-plot")
    assert Model.load("two.fnn").loss_object.names[0] == "binary_crossentropy"
    assert accuracy_in(out, "held out") > 0.85
    assert accuracy_in(run("evaluate", "two.fnn", path), "result") > 0.85
    rows = list(csv.reader(io.StringIO(run("predict", "two.fnn", path))))
    assert rows[0] == ["prediction", "p(no)", "p(yes)"]
    assert np.mean([row[0] == ("no", "yes")[k] for row, k in zip(rows[1:], y, strict=True)]) > 0.85


def test_npz(run, tmp_path: Path) -> None:
    X, y = fastnn.data.vertical(80, 3)
    np.savez("t.npz", X=X, y=2 * y - 1)  # labels -1, 1, 3
    out = run("train", "t.npz", "--no-plot")
    assert "192 rows of 2 features, 3 classes" in out
    assert Model.load("t.fnn").class_labels == ("-1", "1", "3")
    assert accuracy_in(run("evaluate", "t.fnn", "t.npz"), "result") > 0.85

    pixels = np.clip(X * 100 + 50, 0, 255).astype(np.uint8)
    np.savez("t.npz", X_train=pixels[::2], y_train=np.eye(3)[y[::2]], X_test=pixels[1::2], y_test=np.eye(3)[y[1::2]])
    out = run("train", "t.npz", "--no-plot")
    assert "120 rows of 2 features, 3 classes; test set: 120 rows" in out
    assert accuracy_in(out, "test set") > 0.8
    assert "the test rows of t.npz, 120 rows" in run("evaluate", "t.fnn", "t.npz")
    run("train", "t.npz", "--validation-split", 0.5, code=2)
    assert "t.npz holds test rows of its own" in run.err

    np.savez("t.npz", X=X, y=y)
    assert "1 value(s)" in run("train", "t.npz", "--task", "regression")
    np.savez("t.npz", X=X, y=y + 0.5)
    assert "1 value(s)" in run("train", "t.npz")
    run("train", "t.npz", "--task", "classification", code=2)
    assert "y has to hold integers or one-hot rows" in run.err


def test_split_is_drawn_by_the_seed(run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "trees.csv")
    lines = [run("train", table, "--target", "kind", "--epochs", 1, "--seed", seed) for seed in (0, 0, 1)]
    held = [re.search(r"^held out .*", text, re.MULTILINE).group() for text in lines]
    assert held[0] == held[1] != held[2]


def test_large_features_are_noted(run, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("km,kind\n" + "".join(f"{i * 100},{'ab'[i > 5]}\n" for i in range(12)))
    assert "'km' goes up to 1100" in run("train", path, "--target", "kind")


def test_model_without_metadata(run, tmp_path: Path) -> None:
    model = Model([Dense(2, 3), ReLU()], seed=0)
    model.finalize()
    model.save("m.fnn")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert run("predict", "m.fnn", "x.csv").splitlines()[0] == "output_0,output_1,output_2"


def test_inspect_tells_what_is_in_a_file(run, tmp_path: Path) -> None:
    model = Model([Dense(2, 3), ReLU()], seed=7)
    model.set(loss="mse", optimizer="adam")
    model.metadata, model.class_labels = {"of": "\x1b[31mtest"}, ("a", "b", "c")
    model.train([[0.0, 1.0]], [[0.0, 1.0, 2.0]], epochs=2)
    model.save("m.fnn")
    out = run("inspect", "m.fnn", "--tensors")
    lines = {line[:11].strip(): line[12:] for line in out.splitlines()}
    assert lines["format"] == "1, model"
    assert re.fullmatch("[0-9a-f]{64}, right", lines["SHA-256"])
    assert lines["layer 0"].startswith("Dense activation=linear")
    assert lines["input"] == "2 features, float32; seed 7"
    assert lines["trained"] == "2 epochs, 2 steps"
    assert lines["classes"] == '["a", "b", "c"]'
    assert "\x1b" not in out  # nothing of a file steers the terminal
    assert "            state1.layer0.weights F32 [2, 3]" in out.splitlines()
    model.save_weights("w.fnn")
    assert "1, weights" in run("inspect", "w.fnn")
    blob = bytearray(Path("m.fnn").read_bytes())
    blob[-1] ^= 1
    Path("m.fnn").write_bytes(blob)
    run("inspect", "m.fnn", code=2)
    assert run.err == "fastnn: error: m.fnn: damaged, its SHA-256 does not match its contents\n"


def test_predictions_have_the_labels_of_the_model(run, tmp_path: Path) -> None:
    model = Model([Dense(2, 3)], seed=0)
    model.class_labels = (10, "b", 0.5)
    model.finalize()
    model.save("m.fnn")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    header, row = run("predict", "m.fnn", "x.csv").splitlines()
    assert header == "prediction,p(10),p(b),p(0.5)"
    assert row.split(",")[0] == str(model.predict_labels([[1.0, 2.0]])[0])


# --- mistakes ---

MISTAKES = [
    ("train nothing.csv --target y", r"nothing\.csv: No such file or directory"),
    ("train fashoin-mnist", "'fashoin-mnist' is neither a file nor one of spiral, fashion-mnist, mnist"),
    ("train trees.csv", "trees.csv: which column is to be predicted\\? --target COLUMN"),
    ("train trees.csv --target sort", "no target column 'sort'; the columns are height, kind, girth"),
    ("train trees.csv --target height --task classification", "column 'kind': expected a finite number, got 'oak'"),
    ("train trees.csv --target kind --delimiter ;", r"is the delimiter not ';'\?"),
    (
        "train trees.csv --target kind --validation-split 2",
        "--validation-split: expected a share between 0 and 1, got 2",
    ),
    ("train trees.csv --target kind --validation-split 0.001", "leaves none on one side"),
    ("train trees.csv --target kind --layers 8,relu,4,softmax", "3 classes, so end in 3,softmax"),
    ("train trees.csv --target kind --layers 8,relu,3", "3 classes, so end in 3,softmax"),
    ("train trees.csv --target kind --data-dir .", "--data-dir goes with fashion-mnist and mnist data, not with csv"),
    ("train --target kind", "--target goes with csv data, not with spiral"),
    ("train one.csv --target y", "'y' is 'a' in every row"),
    ("train --layers 8,rleu,3,softmax", r"--layers: activation: unknown name 'rleu' \(did you mean 'relu'\?\)"),
    ("train --layers 8,dropout:2,3,softmax", "dropout:SHARE with a share from 0 to 1, got 'dropout:2'"),
    ("train --layers noise:-1,8,3,softmax", "noise:STDDEV with a standard deviation of at least 0, got 'noise:-1'"),
    ("train --layers 8,alphadropout,3,softmax", "alphadropout:SHARE with a share from 0 to 1, got 'alphadropout'"),
    ("train --layers 8,normalization,3,softmax --epochs 1", r"layer 1 \(Normalization\) has no mean and variance yet"),
    ("train --layers 8,leaky_relu:-1,3,softmax", "leaky_relu:ALPHA with a number of at least 0, got 'leaky_relu:-1'"),
    ("train --layers 8,elu:,3,softmax", "elu:ALPHA with a number of at least 0, got 'elu:'"),
    (
        "train --layers 8,relu:0.2,3,softmax",
        "got 'relu:0.2'; those that have one: elu, leaky_relu",
    ),
    ("train --layers 8,,3,softmax", "there is an empty place"),
    ("train --layers 0,3,softmax", "n_neurons: expected .* got 0"),
    ("train --learning-rate=-1", "learning_rate: "),
    ("train --learning-rate nan", "learning_rate: expected at least 0, got nan"),
    ("train --decay nan", "decay: expected at least 0, got nan"),
    ("train --epochs 0", "--epochs: expected a whole number of at least 1, got '0'"),
    ("train --batch-size 0", "--batch-size: expected a whole number of at least 1"),
    ("train --seed x", "--seed: expected a whole number of at least 0, got 'x'"),
    ("train --optimizer lamb", "--optimizer lamb: unknown name 'lamb'; known: adagrad, adam, adamw, lbfgs"),
    (
        "train --optimizer adam:beta=1",
        "--optimizer adam:beta=1: there is no beta; known: learning_rate, decay, epsilon",
    ),
    ("train --optimizer adam:beta_1=2", "--optimizer adam:beta_1=2: beta_1: expected at least 0 and below 1"),
    ("train --optimizer adam:fast", "--optimizer adam:fast: expected NAME:KEY=VALUE,KEY=VALUE, got 'fast'"),
    ("train --optimizer lbfgs --batch-size 16", "batch_size: expected None, all rows, with LBFGS"),
    ("train --optimizer lbfgs --clip-norm 1", "there is no clip_norm"),
    (
        "train --optimizer sgd:learning_rate=1 --learning-rate 2",
        "--learning-rate: --optimizer sgd:learning_rate=1 says it",
    ),
    ("train --clip-norm 0", "clip_norm: expected more than 0"),
    (
        "train --schedule slow",
        "--schedule slow: unknown name 'slow'; known: cosine_decay, exponential_decay, inverse_time",
    ),
    ("train --schedule cosine:speed=1", "--schedule cosine:speed=1: there is no speed; known: initial_learning_rate"),
    ("train --schedule exponential", "--schedule exponential: expected decay_rate too, as in NAME:decay_rate=VALUE"),
    ("train --schedule cosine --decay 0.1", "--decay: expected none with --schedule"),
    ("train --epochs 3 --optimizer sgd --learning-rate 1e30", "the loss is not finite"),
    ("train -o nowhere/m.fnn", "--output: there is no folder nowhere"),
    ("train -o .", r"--output: \. is a folder"),
    ("train trees.csv --target kind -o trees.csv", "--output: trees.csv is what is read here"),
    ("train fashion-mnist --data-dir nowhere", "data_dir: there is no folder nowhere"),
    ("train broken.npz", "broken.npz: not a readable .npz file"),
    ("evaluate nothing.fnn trees.csv", r"nothing\.fnn: No such file or directory"),
    ("evaluate trees.csv trees.csv", "trees.csv: not a model file, or cut off"),
    ("evaluate trees.fnn one.csv --target y", "no feature column 'height'; the columns are x, y"),
    ("evaluate trees.fnn spiral", "tells other classes apart than those of spiral: ash, elm, oak"),
    ("evaluate trees.fnn three.npz", "trees.fnn takes 2 features, three.npz has 3"),
    ("evaluate trees.fnn two.npz", "y holds 7, which is none of the model's classes ash, elm, oak"),
    ("predict trees.fnn one.csv", "no feature column 'height'"),
    ("predict trees.fnn two.npz", "predict reads CSV files"),
    ("predict bare.fnn one.csv", r"expected a finite number|bare\.fnn takes 4 features"),
    ("predict trees.fnn trees.csv -o trees.csv", "is what is read here"),
    ("predict trees.fnn trees.csv -o trees.fnn", "--output: trees.fnn is what is read here"),
    ("predict odd.fnn one.csv", "feature_names: expected a list of texts"),
    ("train --schedule cosine:warmup_steps=abc", "warmup_steps: expected a whole number, got 'abc'"),
    ("train --schedule cosine:warmup_steps=none", "warmup_steps: expected a whole number, got None"),
    ("fly", "invalid choice: 'fly'"),
]


@pytest.fixture(scope="module")
def mistakes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mistakes")
    write_table(folder / "trees.csv")
    (folder / "one.csv").write_text("x,y\n1,a\n2,a\n3,a\n4,a\n5,a\n")
    (folder / "broken.npz").write_bytes(b"no archive")
    np.savez(folder / "two.npz", X=np.ones((4, 2)), y=np.array([7, 7, 8, 8]))
    np.savez(folder / "three.npz", X=np.ones((4, 3)), y=np.array([0.5, 1, 2, 3]))
    bare = Model([Dense(4, 3)], seed=0)
    bare.finalize()
    bare.save(folder / "bare.fnn")
    bare.metadata = {"feature_names": "abc"}
    bare.save(folder / "odd.fnn")
    words = ["train", folder / "trees.csv", "--target", "kind", "--epochs", 1, "--quiet", "--no-plot"]
    assert main([str(word) for word in [*words, "-o", folder / "trees.fnn"]]) == 0
    return folder


@pytest.mark.parametrize(("words", "complaint"), MISTAKES)
def test_mistakes(run, monkeypatch: pytest.MonkeyPatch, mistakes_folder: Path, words: str, complaint: str) -> None:
    """One line on stderr, exit code 2, no traceback, and nothing written."""
    monkeypatch.chdir(mistakes_folder)
    before = {path.name: path.read_bytes() for path in mistakes_folder.iterdir()}
    run(*words.split(), code=2)
    lines = [line for line in run.err.splitlines() if not line.startswith("epoch")]
    assert len(lines) == 1, run.err
    assert re.match(r"fastnn( \w+)?: error: ", lines[0])
    assert re.search(complaint, lines[0])
    assert {path.name: path.read_bytes() for path in mistakes_folder.iterdir()} == before


def test_ctrl_c_in_training(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Model, *args, **kwargs) -> None:
        self.epochs_done = 41
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "train", interrupted)
    run("train", code=130)
    assert "stopped in epoch 42 of 300; nothing was saved" in run.err
    assert not Path("spiral.fnn").exists()


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_for_real(tmp_path: Path) -> None:
    # A process started in the background may have SIGINT ignored: the handler is set anew.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from fastnn.cli import main; sys.exit(main(['train', '--epochs', '100000000']))"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, **pipes) as p:
        while "optimizer" not in p.stdout.readline():
            assert p.poll() is None
        time.sleep(0.7)
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=30)
    assert p.returncode == 130
    assert re.search(r"stopped in epoch \d+ of 100000000; nothing was saved", err)
    assert "Traceback" not in err
    assert not (tmp_path / "spiral.fnn").exists()


def test_reader_that_leaves(tmp_path: Path) -> None:
    """`fastnn predict ... | head -1` ends without a traceback."""
    if os.name == "nt":
        pytest.skip("pipes break otherwise here")
    table = write_table(tmp_path / "t.csv", rows=60000, task="quantities")
    assert main(["train", str(table), "--target", "price", "--epochs", "1", "--quiet"]) == 0
    command = [sys.executable, "-m", "fastnn", "predict", "t.fnn", "t.csv"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=ENVIRONMENT, **pipes) as p:
        assert p.stdout.readline() == "price\n"
        p.stdout.close()
        assert p.stderr.read() == ""
        assert p.wait(30) == 1


def test_a_training_is_saved_though_the_reader_leaves(tmp_path: Path) -> None:
    """`fastnn train -o m.fnn | head -1`."""
    if os.name == "nt":
        pytest.skip("pipes break otherwise here")
    command = [sys.executable, "-m", "fastnn", "train", "--epochs", "2", "--no-plot", "-o", "m.fnn"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=ENVIRONMENT, **pipes) as p:
        p.stdout.close()  # before its first line
        assert "Traceback" not in p.stderr.read()
        assert p.wait(30) == 0
    assert Model.load("m.fnn").epochs_done == 2


# --- the rest ---


def test_help_and_version(run) -> None:
    assert run("--version") == f"fastnn {fastnn.__version__}\n"
    for command in ("train", "evaluate", "predict", "doctor", "bench"):
        assert command in run("--help")
        assert f"usage: fastnn {command}" in run(command, "--help")
    assert "COMMAND" in run()
    assert "begin --layers with normalization" in " ".join(run("train", "--help").split())


def test_bench_is_handed_its_peers(run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setitem(sys.modules, "fastnn._bench", SimpleNamespace(main=lambda vs: asked.append(vs) or 3))
    run("bench", code=3)
    run("bench", "--vs", "torch", "jax", code=3)
    assert asked == [[], ["torch", "jax"]]


def test_bench_measures_and_prints_its_table(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is called, but of one small case, and each line for the least time."""
    from fastnn._bench import measure

    start = measure.run_single_threaded
    brief = """if True:
        import runpy
        from fastnn._bench import layers, report
        report.SECONDS, report.short_cases = 1e-3, lambda: [layers.dot(8, 8, 8)]
        runpy.run_module("fastnn._bench", run_name="__main__")"""

    def briefly(*arguments: str) -> int:
        assert arguments == ("-m", "fastnn._bench")
        return start("-c", brief)

    monkeypatch.setattr(measure, "run_single_threaded", briefly)
    out = run("bench")
    assert (
        f"fastnn {fastnn.__version__} on {fastnn.active_isa()}, one thread; NumPy {np.__version__}, its BLAS held"
        in out
    )
    time, ratio, rate = r" +\d+(?:\.\d+)? [mun]?s", r" +\d+\.\d\d", r" +\d+\.\d G\S+ +\d+%"
    lines = re.findall(rf"^(\w.*?\S)(?:{time} ?){{4}}{ratio}{rate}$", out, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["dot", "dot", "dense", "relu", "sgd"], out
    assert re.search(r"above, geometric mean \d+\.\d, smallest \d+\.\d\d\.$", out, re.MULTILINE)


def test_doctor(run) -> None:
    out = run("doctor")
    for text in (
        f"fastnn      {fastnn.__version__}",
        f"NumPy {np.__version__}",
        "in force",
        "chosen",
        "self-test",
        "cache",
    ):
        assert text in out
    for name in fastnn.available_isas():
        assert re.search(rf"^ +{name} +.* yes", out, re.MULTILINE)


def test_doctor_report() -> None:
    report = _doctor.examine()
    assert report == json.loads(json.dumps(report))
    assert report["table"] == fastnn.active_isa()
    assert [t["name"] for t in report["tables"] if t["in_force"]] == [fastnn.active_isa()]
    assert 1 <= report["cores"] <= (os.cpu_count() or 1)


def test_doctor_is_a_function_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert fastnn.doctor()["numpy"] == np.__version__
    assert "self-test" in capsys.readouterr().out


def test_doctor_self_test_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: one bit changed in what the table in force gives."""
    if "scalar" not in fastnn.available_isas():
        pytest.skip("no scalar table here")
    right, isa = _doctor._dense, fastnn.active_isa()

    def wrong(x, w):
        y = right(x, w)
        if fastnn.active_isa() == "scalar":
            y.view(np.uint32)[0, 0] ^= 1
        return y

    other = next(name for name in ("avx2", "neon", "sse2", "scalar") if name in fastnn.available_isas())
    try:
        fastnn._core.use_isa(other)
        if other in ("avx2", "neon"):
            assert _doctor.self_test() == "same bits"
        monkeypatch.setattr(_doctor, "_dense", wrong)
        assert "differ" in _doctor.self_test() or other == "scalar"
        assert fastnn.active_isa() == other
        fastnn._core.use_isa("scalar")
        assert _doctor.self_test() == "not run: the scalar table is in force"
    finally:
        fastnn._core.use_isa(isa)


def test_doctor_names_what_forced_the_table() -> None:
    env = ENVIRONMENT | {"FASTNN_ISA": fastnn.available_isas()[0]}
    out = subprocess.run(
        [sys.executable, "-m", "fastnn", "doctor"], env=env, capture_output=True, text=True, check=True
    )
    assert f"forced by FASTNN_ISA={env['FASTNN_ISA']}" in out.stdout
    if env["FASTNN_ISA"] == "sse2":
        assert "note        sse2 has no fused multiply-add" in out.stdout


# --- progress ---


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def tell(watcher, epochs: int) -> None:
    for epoch in range(epochs + 1):
        loss = float("nan") if epoch == 0 else 1 / epoch
        watcher.update(epoch=epoch, epochs=epochs, step=0, steps=4, loss=loss, accuracy=0.5)


def test_lines_come_now_and_then() -> None:
    stream = io.StringIO()
    tell(Lines(stream), 95)
    lines = stream.getvalue().splitlines()
    assert 9 <= len(lines) <= 11
    assert lines[0] == "epoch  1/95  loss 1.0000  accuracy 0.5000"
    assert lines[-1].startswith("epoch 95/95")


def test_bar_on_a_terminal() -> None:
    pytest.importorskip("rich")
    stream = Terminal()
    with training_bar(stream) as bar:
        tell(bar, 7)
    assert "epoch 7/7" in stream.getvalue()
    assert "loss" in stream.getvalue()


def test_lines_where_rich_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    stream = Terminal()
    with training_bar(stream) as bar:
        tell(bar, 3)
    assert stream.getvalue().splitlines()[-1] == "epoch 3/3  loss 0.3333  accuracy 0.5000"


def test_figures() -> None:
    assert figures(0.5, float("nan")) == "loss 0.5000"
    assert figures(1e9, 1.0) == "loss 1e+09  accuracy 1.0000"


# --- plots ---


def test_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    X, y = spiral(20, 3)
    model = Model([Dense(2, 3, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    with pytest.raises(ValueError, match="the history has no epochs"):
        plots.plot_history(model.history)
    model.train(X, y, epochs=3, validation_data=(X, y))
    plots.plot_history(model.history, tmp_path / "h.png")
    plots.decision_regions(model, X, y, tmp_path / "r.png")
    for name in ("h.png", "r.png"):
        assert (tmp_path / name).stat().st_size > 5000
    with pytest.raises(ValueError, match=r"needs X \(n, 2\) and labels \(n,\), got \(60, 1\)"):
        plots.decision_regions(model, X[:, :1], y)


def test_plots_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'fastnn-cpu\[plot\]'"):
        plots.plot_history({"loss": [1.0]})


def test_predict_tells_scores_from_probabilities(run, tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    np.savetxt("x.csv", X, delimiter=",", header="a,b,c", comments="", fmt="%.9g")
    of_scores = ["score(yes)"]
    cases = (
        ("binary_crossentropy", ["p(no)", "p(yes)"]),
        (BinaryCrossentropy(from_logits=True), of_scores),
        ("hinge", of_scores),
    )
    for loss, heads in cases:
        last = Dense(1, activation="sigmoid") if loss == "binary_crossentropy" else Dense(1)
        model = Model([Dense(8, activation="relu"), last], seed=0)
        model.set(loss=loss, optimizer="adam")
        model.class_labels = ["no", "yes"]
        model.train(X, y, epochs=20)
        model.save("m.fnn")
        run("predict", "m.fnn", "x.csv", "-o", "out.csv")
        header, *rows = csv.reader(Path("out.csv").read_text().splitlines())
        assert header == ["prediction", *heads]
        assert [row[0] for row in rows] == model.predict_labels(X).tolist()


def test_inspect_numbers_layers_as_their_tensors(run) -> None:
    model = Model([Residual([Dense(4), ReLU()]), Residual([Dense(5)], projection=True), Dense(64), Dense(2)], seed=0)
    model.finalize(4)
    model.save("m.fnn")
    out = run("inspect", "m.fnn", "--tensors")
    for line in (
        "layer 0 +Residual",
        "layer 3 +Residual",
        "layer 6 +Dense .*n_neurons=64,",
        "layer 7 +Dense .*n_neurons=2,",
    ):
        assert re.search(line, out), out
    assert "layer6.weights F32 [5, 64]" in out
    assert "layer7.weights F32 [64, 2]" in out


def test_an_error_within_a_training_is_not_taken_for_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    with pytest.raises(ImportError, match="pictures need matplotlib"), training_bar(Terminal()):
        raise ImportError("pictures need matplotlib")
    with pytest.raises(ImportError, match="another"), training_bar(io.StringIO()):
        raise ImportError("another")


def test_the_names_of_optimizers_and_schedules_are_taken_in_any_case(run) -> None:
    shown = []
    for words in ("--optimizer adam --schedule cosine", "--optimizer Adam --schedule Cosine", "--optimizer adam"):
        out = run("train", "--epochs", "1", "--no-plot", *words.split())
        shown.append(next(line for line in out.splitlines() if line.startswith("optimizer")).lower())
    out = run("train", "--epochs", "1", "--no-plot", "--optimizer", "ADAM")
    again = next(line for line in out.splitlines() if line.startswith("optimizer"))
    assert shown[0] == shown[1]
    assert again.lower() == shown[2]
