"""The exported C: bit for bit what predict gives, whole models and every activation; errors leave nothing behind."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits, use
from exported import (
    ACTIVATIONS,
    CC,
    ELEMENTWISE,
    STRICT,
    Library,
    Program,
    Target,
    awkward,
    every_pattern,
    needs_compiler,
    needs_contract,
    self_test,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import ELU, Dense, Dropout, Input, LeakyReLU, Model, ReLU, Rescale, Softmax, _core, custom
from fastnn.activations import Activation
from fastnn.cli import main
from fastnn.export import _c, _c_code, _c_lanes, _c_plan

HERE = Target("here", CC)


def small(dtype: Any = "float32") -> Model:
    model = Model([Dense(5, 20, activation="gelu"), Dropout(0.5), Dense(9), Dense(3, activation="softmax")],
                  seed=3, dtype=dtype)  # fmt: skip
    model.finalize()
    return model


# --- the bits ---


@needs_compiler
@needs_contract
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_activation_over_a_million_bit_patterns(name: str, dtype: Any, tmp_path: Path) -> None:
    model = Model([Input(1), Activation.resolve(name)], seed=0, dtype=dtype)
    model.finalize()
    x = every_pattern(dtype, 1 << 20).reshape(-1, 1)
    assert_same_bits(Library(model, tmp_path, "-O2").predict(x), model.predict(x), name)


@needs_compiler
@needs_contract
@pytest.mark.parametrize(("kind", "alpha"), [(LeakyReLU, 0.2), (ELU, 0.7), (LeakyReLU, 0.0)])
def test_alpha_is_the_layers(kind: Any, alpha: float, dtype: Any, tmp_path: Path) -> None:
    model = Model([Input(1), kind(alpha)], seed=0, dtype=dtype)
    model.finalize()
    x = every_pattern(dtype, 1 << 12).reshape(-1, 1)
    assert_same_bits(Library(model, tmp_path).predict(x), model.predict(x))


@needs_compiler
@needs_contract
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("n", [1, 3, 16, 33])
def test_rows_are_summed_in_the_kernels_order(name: str, n: int, dtype: Any, tmp_path: Path) -> None:
    model = Model([Input(n), Activation.resolve(name)], seed=0, dtype=dtype)
    model.finalize()
    X = awkward(model, 400)
    X[:3] = 2.5  # all are the largest
    assert_same_bits(Library(model, tmp_path).predict(X), model.predict(X))


@needs_compiler
@needs_contract
@pytest.mark.parametrize("n_out", [1, 7, 8, 23])
@pytest.mark.parametrize("n_in", [1, 16, 17, 40])
def test_products_of_every_shape(n_in: int, n_out: int, tmp_path: Path) -> None:
    model = Model([Dense(n_in, n_out), Dense(max(1, 24 - n_out), activation="relu")], seed=n_in)
    model.finalize()
    model.layers[0].biases = np.linspace(-1, 1, n_out)
    X = awkward(model, 200)
    assert_same_bits(Library(model, tmp_path, "-O1").predict(X), model.predict(X))


def layer_lists() -> st.SearchStrategy[list[tuple[str, Any]]]:
    dense = st.tuples(st.just("dense"), st.tuples(st.integers(1, 40), st.sampled_from(ACTIVATIONS)))
    apart = st.tuples(st.just("activation"), st.sampled_from(ACTIVATIONS))
    rescale = st.tuples(st.just("rescale"), st.tuples(st.floats(-2, 2, width=32), st.floats(-2, 2, width=32)))
    return st.lists(
        dense | dense | apart | rescale | st.tuples(st.just("dropout"), st.just(0.5)), min_size=1, max_size=6
    )


@needs_compiler
@needs_contract
@settings(max_examples=12, deadline=None, derandomize=True)
@given(layers=layer_lists(), n_in=st.integers(1, 30), double=st.booleans(), seed=st.integers(0, 99))
def test_models_of_any_make(
    layers: list[tuple[str, Any]], n_in: int, double: bool, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    makers = {
        "dense": lambda a: Dense(a[0], activation=a[1]),
        "activation": Activation.resolve,
        "rescale": lambda a: Rescale(*a),
        "dropout": Dropout,
    }
    made = [makers[kind](argument) for kind, argument in layers]
    model = Model([Input(n_in), *made], seed=seed, dtype="float64" if double else "float32")
    model.finalize()
    X = awkward(model, 60, seed)
    folder = tmp_path_factory.mktemp("export")
    model.export_c(folder / "m.c", self_test=X)
    assert_same_bits(Library(model, folder).predict(X), model.predict(X), repr(model))


# a few layers each, so that the last bits of the first still show in the outputs
GROUPS = [
    ["gelu", "mish", "softplus", "softmax"],
    ["silu", "tanh", "elu", "log_softmax"],
    ["gelu_tanh", "selu", "leaky_relu", "sigmoid"],
    ["relu", "hard_swish", "hard_sigmoid", "relu6", "exponential"],
]


def deep(group: int, dtype: Any = "float32") -> Model:
    hidden = [Dense(16, activation=name, weight_initializer="glorot_normal") for name in GROUPS[group]]
    model = Model([Input(12), Rescale(0.5, 0.1), *hidden, Dense(9)], seed=1, dtype=dtype)
    model.set(loss="mse", optimizer="adam")
    X = np.random.default_rng(0).standard_normal((64, 12))
    model.train(X, X[:, :9], epochs=3, batch_size=16)
    return model


@needs_compiler
@needs_contract
@pytest.mark.parametrize("group", range(len(GROUPS)), ids=lambda i: GROUPS[i][0])
@pytest.mark.parametrize(
    "flags", [["-O0"], ["-Os"], ["-O3", "-march=native"], ["-O2", "-DM_STATIC_SCRATCH"]], ids=" ".join
)
def test_the_compilers_options_change_nothing(flags: list[str], group: int, tmp_path: Path) -> None:
    model = deep(group)
    X = awkward(model, 300)
    assert_same_bits(Library(model, tmp_path, *flags).predict(X), model.predict(X))


@needs_compiler
@needs_contract
def test_every_instruction_set_exports_the_same_file(contract_isa: str, tmp_path: Path) -> None:
    with use("scalar"):
        small().export_c(tmp_path / "m.c", self_test=True)
        want = (tmp_path / "m.c").read_bytes()
    small().export_c(tmp_path / "m.c", self_test=True)
    assert (tmp_path / "m.c").read_bytes() == want


@needs_compiler
def test_fused_by_way_of_double_rounds_once(tmp_path: Path) -> None:
    model = small()
    n = 1 << 20
    a, b, c = (every_pattern(np.dtype(np.float32), n, seed)[:n].copy() for seed in (1, 2, 3))
    rng = np.random.default_rng(4)
    b, c = rng.permutation(b), rng.permutation(c)
    with np.errstate(all="ignore"):
        c[: n // 2] = -a[: n // 2] * b[: n // 2] * np.float32(1 + 2**-20)  # where most cancels
    a[:3], b[:3], c[:3] = np.float32([[0.9474001, 0.25, 1], [4.639901e-7, 3, 1], [-0.24325085, -0.75, -1]])
    own = Library(model, tmp_path, "-DM_SOFT_FMA", fused=True).multiply_add(a, b, c)
    assert_same_bits(own, Library(model, tmp_path, fused=True).multiply_add(a, b, c))
    with np.errstate(all="ignore"):
        twice = (a.astype(np.float64) * b + c).astype(np.float32)
    assert (own != twice)[:1].all(), "the sample has a case where rounding twice shows"


def test_the_probes_of_the_self_test_are_exact() -> None:
    for row in _c.PROBES["float"]:
        a, b, c, want = (Fraction(float.fromhex(word[:-1])) for word in row)
        exact = a * b + c
        below, above = (np.nextafter(np.float32(want), np.float32(s * np.inf)) for s in (-1, 1))
        assert abs(exact - want) < min(abs(exact - Fraction(float(below))), abs(exact - Fraction(float(above))))
    for row in _c.PROBES["double"]:
        a, b, c, want = (Fraction(float.fromhex(word)) for word in row)
        assert float(a * b + c) == want


# --- the self-test, and that it can fail ---


@needs_compiler
@needs_contract
def test_the_self_test_passes_and_says_so(dtype: Any, tmp_path: Path) -> None:
    small(dtype).export_c(tmp_path / "m.c", self_test=True)
    ran = self_test(tmp_path / "m.c", "m", "-O2")
    assert (ran.returncode, ran.stdout) == (0, "m: 0 of 36 outputs differ\n")


@needs_compiler
@needs_contract
@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        (r"(static const float w0\[\d+\] = \{\n\s+-?0x1\.\w\w)\w+(p)", r"\g<1>\2"),  # a weight, a little rounded
        (r"i % 16", "i % 2"),
        (r"return fmaf\(a, b, c\)", "return a * b + c"),
        (r"define NORMAL_TAIL_0 0x1.82b4bcp-1F", "define NORMAL_TAIL_0 0x1.82b4c0p-1F"),
        (r"y\[0\] = s0 \+ b\[0\]", "y[0] = s0"),
    ],
)  # fmt: skip
def test_the_self_test_notices(pattern: str, by: str, tmp_path: Path) -> None:
    model = Model([Dense(9, 40, activation="gelu"), Dense(20, activation="softmax")], seed=1)
    model.finalize()
    model.layers[0].biases = np.linspace(-1, 1, 40)
    model.export_c(tmp_path / "m.c", self_test=True)
    source = (tmp_path / "m.c").read_text()
    broken, count = re.subn(pattern, by, source)
    assert count
    assert broken != source
    (tmp_path / "m.c").write_text(broken)
    ran = self_test(tmp_path / "m.c", "m")
    assert ran.returncode == 1
    assert "0 of" not in ran.stdout.split(":")[1][:4]


@needs_compiler
@needs_contract
def test_rows_of_ones_own_are_the_self_tests(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5)).astype(np.uint8)
    model = small()
    model.export_c(tmp_path / "m.c", self_test=pixels)
    assert "#define TEST_ROWS 3" in (tmp_path / "m.c").read_text()
    assert _c_code.literal(np.float32(pixels[2, 4])) in (tmp_path / "m.c").read_text()
    assert self_test(tmp_path / "m.c", "m").returncode == 0


@needs_compiler
@needs_contract
def test_contraction_is_off_whatever_the_options_say(tmp_path: Path) -> None:
    """GNU C merges products with sums by default; the file turns that off by itself."""
    model = Model([Input(1), Activation.resolve("softplus")], seed=0)
    model.export_c(tmp_path / "m.c")
    x = np.linspace(-20, 20, 10_001, dtype=np.float32).reshape(-1, 1)
    native = ["-std=gnu99", "-O2", "-march=native", "-ffp-contract=on" if "clang" in CC else "-ffp-contract=fast"]
    assert_same_bits(Library(model, tmp_path, *native).predict(x), model.predict(x))
    if platform.machine() in ("x86_64", "aarch64") and "clang" not in CC:  # and without that it would not be so
        source = (tmp_path / "m.c").read_text()
        (tmp_path / "m.c").write_text(re.sub(r"#pragma .*", "", source))
        assert (Library(model, tmp_path, *native).predict(x) != model.predict(x)).any()


@needs_compiler
@needs_contract
def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    model = deep(0)
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    (tmp_path / "empty.c").write_text("int main(void) { return 0; }\n")
    probe = [*CC.split(), *flags, str(tmp_path / "empty.c"), "-o", str(tmp_path / "empty")]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this compiler has no sanitizers")
    X = awkward(model, 50)
    assert_same_bits(Program(model, tmp_path, HERE, *flags).predict(X), model.predict(X))


@needs_compiler
@needs_contract
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler here")
def test_it_is_cplusplus_too(tmp_path: Path) -> None:
    model = small()
    model.metadata["class_names"] = ["a", "b", "c"]
    model.export_c(tmp_path / "m.c", self_test=True)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-DM_SELF_TEST", "-x", "c++"]
    command = ["c++", *flags, str(tmp_path / "m.c"), "-o", str(tmp_path / "t")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert subprocess.run([str(tmp_path / "t")], check=False, capture_output=True).returncode == 0


# --- the files ---


def test_class_labels_are_named_where_the_metadata_have_no_names(tmp_path: Path) -> None:
    model = small()
    model.class_labels = ("ant", "bee", 3)
    model.export_c(tmp_path / "m.c")
    assert '"ant",\n    "bee",\n    "3",\n' in (tmp_path / "m.c").read_text()
    model.metadata["class_names"] = 5
    with pytest.raises(TypeError, match=r"metadata\['class_names'\]: expected a list of names, got 5"):
        model.export_c(tmp_path / "m.c")
    model.metadata["class_names"] = ["a", "b", "c"]
    model.export_c(tmp_path / "m.c")
    assert '"a",\n    "b",\n    "c",\n' in (tmp_path / "m.c").read_text()


@needs_compiler
def test_nothing_is_called_but_fma(tmp_path: Path) -> None:
    model = deep(1)
    model.export_c(tmp_path / "m.c")
    called = ["-std=c99", "-O1", "-ffp-contract=off", "-c", str(tmp_path / "m.c"), "-o", str(tmp_path / "m.o")]
    subprocess.run([*CC.split(), *called], check=True)
    if shutil.which("nm") is None:
        pytest.skip("no nm here")
    listed = subprocess.run(["nm", str(tmp_path / "m.o")], capture_output=True, text=True, check=True).stdout
    undefined = {line.split()[-1] for line in listed.splitlines() if " U " in line}
    # what a compiler calls by itself: for arrays that start as zeros, for a stack that is guarded, for shared libraries
    assert undefined <= {"fmaf", "memset", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


def test_the_report(tmp_path: Path) -> None:
    made = small().export_c(tmp_path / "net.c")
    assert (made.path, made.header) == (str(tmp_path / "net.c"), str(tmp_path / "net.h"))
    assert (made.name, made.dtype, made.n_in, made.n_out) == ("net", "float32", 5, 3)
    assert made.constant_bytes == 4 * (5 * 20 + 20 + 20 * 9 + 9 + 9 * 3 + 3)
    assert made.multiply_adds == 5 * 20 + 20 * 9 + 9 * 3
    assert made.scratch_bytes == 4 * (20 + 9)
    assert [cost.name for cost in made.layers] == ["Dense 5 -> 20, gelu", "Dense 20 -> 9", "Dense 9 -> 3, softmax"]
    assert "net_predict, 5 -> 3, float32" in str(made)
    assert "scratch memory while it runs: 116 bytes" in str(made)
    text = (tmp_path / "net.h").read_text()
    assert "#define NET_SCRATCH 29 " in text
    assert "#define NET_N_IN 5\n#define NET_N_OUT 3\n" in text
    longest = max(len(line) for line in (tmp_path / "net.c").read_text().splitlines())
    assert longest <= 130
    assert "@" not in text + (tmp_path / "net.c").read_text()


@needs_compiler
def test_classes_are_there_by_name(tmp_path: Path) -> None:
    names = ["T-shirt", 'quoted "top"', "Schühe ??/ */"]
    model = small()
    model.metadata = {"class_names": names, "feature_names": ["a", "b */", "c\nd", "é", "/*", "???/"]}
    model.export_c(tmp_path / "m.c", name="net")
    program = tmp_path / "main.c"
    program.write_text(
        '#include <stdio.h>\n#include "m.h"\nint main(void) { for (int i = 0; i < NET_N_CLASSES; i++) '
        "puts(net_classes[i]); return 0; }\n"
    )
    files = [str(program), str(tmp_path / "m.c"), "-o", str(tmp_path / "main"), "-lm"]
    ran = subprocess.run([*CC.split(), *STRICT, *files], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    said = subprocess.run([str(tmp_path / "main")], capture_output=True, check=True).stdout.decode()
    assert said.splitlines() == names
    assert "inputs: a, b * /, c d" in (tmp_path / "m.h").read_text()


@needs_compiler
def test_two_models_in_one_program_and_a_header_of_another(tmp_path: Path) -> None:
    small().export_c(tmp_path / "a.c")
    small("float64").export_c(tmp_path / "b.c")
    program = tmp_path / "main.c"
    program.write_text(
        '#include "a.h"\n#include "b.h"\nint main(void) { float x[5] = {0}, y[3]; double u[5] = {0}, v[3];\n'
        "a_predict(x, y); b_predict(u, v); return !(y[0] > 0 && v[0] > 0); }\n"
    )
    files = [str(program), str(tmp_path / "a.c"), str(tmp_path / "b.c"), "-o", str(tmp_path / "main"), "-lm"]
    subprocess.run([*CC.split(), *STRICT, *files], check=True)
    assert subprocess.run([str(tmp_path / "main")], check=False).returncode == 0

    header = (tmp_path / "a.h").read_text()
    Model([Dense(5, 3)], seed=9).export_c(tmp_path / "a.c")
    (tmp_path / "a.h").write_text(header)
    ran = subprocess.run([*CC.split(), *STRICT, *files], capture_output=True, text=True, check=False)
    assert ran.returncode
    assert "a.c and a.h are of different exports" in ran.stderr


@needs_compiler
@pytest.mark.parametrize("flag", ["-ffast-math", "-ffinite-math-only"])
def test_what_would_change_the_bits_is_refused(flag: str, tmp_path: Path) -> None:
    small().export_c(tmp_path / "m.c")
    command = [*CC.split(), flag, "-c", str(tmp_path / "m.c"), "-o", str(tmp_path / "m.o")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode
    assert "compile it without -ffast-math" in ran.stderr


@needs_compiler
@needs_contract
@pytest.mark.parametrize("layers", [[Input(4)], [Input(4), Dropout(0.5)], [Rescale(2.0, 1.0), Input(4)]], ids=repr)
def test_models_that_do_next_to_nothing(layers: list[Any], tmp_path: Path) -> None:
    model = Model([type(layer)(**layer.config()) for layer in layers], seed=0)
    made = model.export_c(tmp_path / "m.c")
    assert made.scratch_bytes == 0
    X = awkward(model, 40)
    assert_same_bits(Library(model, tmp_path).predict(X), model.predict(X))


def test_layers_that_run_apart_export_alike(tmp_path: Path) -> None:
    fused, apart = small(), small()
    apart = Model([Dense(5, 20, activation="gelu"), Dropout(0.5), Dense(9), Dense(3, activation="softmax")], seed=3)
    apart._fused = False
    for model, name in ((fused, "a"), (apart, "b")):
        model.export_c(tmp_path / f"{name}.c", name="m")
    constants = [re.findall(r"static const float w[\s\S]*?};", (tmp_path / f"{n}.c").read_text()) for n in "ab"]
    assert constants[0] == constants[1]


# --- the memory between the layers ---


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=12))
def test_rows_that_live_at_a_time_never_overlap(described: list[tuple[int, int, int]]) -> None:
    rows = []
    for width, a, b in described:
        row = _c_plan.Row(width, min(a, b))
        row.last = max(a, b)
        rows.append(row)
    total = _c_plan.place(rows)
    for i, a in enumerate(rows):
        assert a.offset + a.width <= total <= sum(row.width for row in rows)
        for b in rows[:i]:
            if a.first <= b.last and b.first <= a.last:
                assert a.offset + a.width <= b.offset or b.offset + b.width <= a.offset


def test_a_chain_takes_two_rows_of_memory(tmp_path: Path) -> None:
    model = Model([Dense(9, 40), ReLU(), Dense(50), Dense(30), Softmax(), Dense(60), Dense(2)], seed=0)
    assert model.export_c(tmp_path / "m.c").scratch_bytes == 4 * (40 + 50)


# --- errors ---


class Doubled(custom.Layer):
    def forward(self, x: Any) -> Any:
        return 2 * x

    def backward(self, dy: Any) -> Any:
        return 2 * dy


def refused(
    model: Model, folder: Path, error: type[Exception], message: str, path: str = "m.c", **options: Any
) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(error, match=message):
        model.export_c(folder / path, **options)
    assert sorted(folder.iterdir()) == before


def test_errors_name_the_argument_and_write_nothing(tmp_path: Path) -> None:
    model = small()
    for path in ("m", "m.cpp", "m.h", ".c"):
        refused(model, tmp_path, ValueError, re.escape(f"path: expected a name that ends in .c, got '{path}'"), path)
    refused(model, tmp_path, ValueError, "path: .* cannot stand in an #include", 'a"b.c')
    refused(model, tmp_path, FileNotFoundError, "path: there is no folder .*nowhere", "nowhere/m.c")
    refused(model, tmp_path, ValueError, r"name: expected a C identifier .* got 'a-b': say which with name=", "a-b.c")
    for name in ("", "1st", "a b", "_m", "ä", "m;"):
        refused(model, tmp_path, ValueError, f"name: expected a C identifier .* got '{name}'$", name=name)
    refused(model, tmp_path, TypeError, "name: expected a str, got 3", name=3)
    refused(model, tmp_path, ValueError, r"self_test: layer 0: expected input of shape \(rows, 5\), got \(4, 3\)",
            self_test=np.zeros((4, 3)))  # fmt: skip
    refused(model, tmp_path, ValueError, "self_test: there are no rows", self_test=np.zeros((0, 5)))
    refused(model, tmp_path, TypeError, "self_test: expected real numbers", self_test=np.zeros((1, 5), "complex64"))
    refused(Model([Dense(3)]), tmp_path, ValueError, r"the model is not finalized: call finalize\(\)")
    part = Model([Dense(3, 4), Doubled(), Dense(2)])
    refused(part, tmp_path, ValueError, r"layer 1 \(Doubled\) cannot be exported to C: it is written in Python")
    model.layers[2].weights[1, 1] = np.nan
    refused(model, tmp_path, ValueError, r"layer 2 \(Dense\): the weights hold NaN or infinity: nothing is exported")


def test_the_old_files_stay_where_the_new_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small().export_c(tmp_path / "m.c")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Model([Dense(2, 3)]).export_c(tmp_path / "m.c")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_fma_there_is_no_self_test(tmp_path: Path) -> None:
    if "sse2" not in _core.available_isas():
        pytest.skip("there is no sse2 table on this architecture")
    with use("sse2"):
        refused(small(), tmp_path, ValueError, "self_test: this processor has no fused multiply-add", self_test=True)
        small().export_c(tmp_path / "m.c")


def test_the_headers_that_c_is_made_from_are_installed() -> None:
    """setup.py copies them into the package; it cannot import the list."""
    setup = Path(__file__).resolve().parents[1] / "setup.py"
    listed = re.search(r"EXPORTED_HEADERS = \[([^]]*)\]", setup.read_text(encoding="utf-8"))
    assert listed
    assert tuple(re.findall(r'"([^"]+)"', listed[1])) == _c_lanes.FILES


def test_a_primitive_without_a_form_is_an_error() -> None:
    lib = _c_lanes.Library(32)
    with pytest.raises(ValueError, match="has no form on one lane"):
        lib.text_of(["row_max"])


def test_primitives_become_operators() -> None:
    lib = _c_lanes.Library(64)
    for source, want in [
        ("y = vf_sub(a, vf_sub(b, vf_add(c, d)));", "y = a - (b - (c + d));"),
        ("y = vf_div(vf_mul(a, b), vf_mul(c, d));", "y = a * b / (c * d);"),
        ("return vf_select(vf_gt(x, vf_zero()), vf_neg(vf_neg(x)), vf_set1(1));", "return (x > 0.0) ? -(-x) : 1.0;"),
        ("y = vf_fnma(vf_add(a, b), c, vf_set1(-1));", "y = fused(-(a + b), c, -1.0);"),
        ("k = vi_sub(vi_srl(vi_add(k, vi_set1(3)), 2), k);", "k = ((k + 3) >> 2) - k;"),
        ("y = vf_max(vf_zero(), vf_max(a, b));", "y = at_least_zero(larger(a, b));"),
        ("y = vf_set1(FNN_EXPONENT_BIAS);", "y = (double)(FNN_EXPONENT_BIAS);"),
        ("y = vf_set1((real)0.1);", "y = (double)0.1;"),
        ("y = vf_mul(vf_set1((real)0.5), x) + a;", "y = (0.5 * x) + a;"),
    ]:
        assert lib.translated(source) == want, source


# --- the command line ---


@needs_compiler
@needs_contract
def test_fastnn_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small()
    model.set(loss="categorical_crossentropy", optimizer="adam")
    model.save(tmp_path / "net.fnn")
    assert main(["export", str(tmp_path / "net.fnn"), "--to", "c", "--self-test"]) == 0
    assert "net_predict, 5 -> 3, float32" in capsys.readouterr().out
    assert self_test(tmp_path / "net.c", "net").returncode == 0
    named = ["export", str(tmp_path / "net.fnn"), "--to", "c", "--name", "other", "-o", str(tmp_path / "x.c")]
    assert main(named) == 0
    assert "void other_predict(" in (tmp_path / "x.h").read_text()


def test_fastnn_export_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small()
    model.save(tmp_path / "net.fnn")
    file = str(tmp_path / "net.fnn")
    for arguments, message in [
        ([file, "--to", "d"], "--to: expected c, onnx, got 'd'"),
        ([file, "--to", "c,c", "-o", "x.c"], "--output: names one file"),
        ([file, "--to", "c", "-o", str(tmp_path / "x")], "path: expected a name that ends in .c"),
        ([str(tmp_path / "none.fnn"), "--to", "c"], "No such file"),
    ]:
        assert main(["export", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_names_of_layers_stay_within_their_comments(tmp_path: Path) -> None:
    """And a text that could not be written leaves the old pair as it was."""
    made = type("Schl\u00e4fer*/", (Dense,), {})
    model = Model([made(2, 3)], seed=0)
    model.export_c(tmp_path / "net.c")
    assert "Schl" in (tmp_path / "net.c").read_text()
    assert "*/ */" not in (tmp_path / "net.c").read_text()


def test_a_list_of_layers_that_was_changed_is_exported_nowhere(tmp_path: Path) -> None:
    model = Model([Dense(2, 3), Dense(1)], seed=0)
    model.finalize()
    model.layers.pop()
    for export in (lambda: model.export_c(tmp_path / "a.c"), lambda: model.export_onnx(tmp_path / "a.onnx"),
                   model.to_numpy):  # fmt: skip
        with pytest.raises(ValueError, match="layers: the list was changed"):
            export()
    assert not list(tmp_path.iterdir())
