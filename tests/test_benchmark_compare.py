"""``benchmarks/compare.py``: what it calls slower, and what it does not."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "compare.py"
if not SCRIPT.is_file():
    pytest.skip("benchmarks/ is not here", allow_module_level=True)


@pytest.fixture(scope="module")
def compare():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("benchmark_compare", SCRIPT)
    module = sys.modules["benchmark_compare"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before
    for name in ("benchmark_compare", "statistics_of"):
        sys.modules.pop(name, None)


def run(factor=1.0, noise=0.01, clock=1.0, keys=("T1", "T3"), seed=0):
    """A result file: times of about 1 ms at a peak of 100 GFLOP/s, slower by factor for T3, on a clock of its own."""
    rng = np.random.default_rng(seed)
    lines = {}
    for key in keys:
        seconds = 1e-3 * (1 + noise * rng.standard_normal(15)) * (factor if key == "T3" else 1) / clock
        peaks = np.full(15, 100e9 * clock)
        lines[key] = {"flops": 5e7, "samples": {"fastnn": list(seconds)}, "peaks": list(peaks)}
    return {"workloads": lines}


@pytest.fixture
def code(compare, tmp_path, capsys):
    def call(old, new, *more):
        paths = [tmp_path / name for name in ("old.json", "new.json")]
        for path, content in zip(paths, (old, new), strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        exit_code = compare.main([*map(str, paths), *more])
        return exit_code, "".join(capsys.readouterr())

    return call


def test_a_regression_fails(code):
    exit_code, text = code(run(), run(factor=1.2, seed=1))
    assert exit_code == 1
    assert "1 slower, 1 same, 0 faster" in text
    assert "T3" in text


def test_the_same_speed_passes(code):  # the negative control: noise alone is no regression
    exit_code, text = code(run(), run(seed=1))
    assert exit_code == 0
    assert "0 slower, 2 same, 0 faster" in text


def test_faster_passes_and_is_said(code):
    exit_code, text = code(run(), run(factor=0.7, seed=1))
    assert exit_code == 0
    assert "1 faster" in text


def test_beyond_5_percent_but_within_the_spread_is_noise(code):
    assert code(run(noise=0.01), run(factor=1.08, noise=0.01, seed=1))[0] == 1
    assert code(run(noise=0.2), run(factor=1.08, noise=0.2, seed=1))[0] == 0


def test_beyond_the_spread_but_within_5_percent_is_no_change(code):
    assert code(run(noise=0.001), run(factor=1.04, noise=0.001, seed=1))[0] == 0
    assert code(run(noise=0.001), run(factor=1.04, noise=0.001, seed=1), "--within", "0.02")[0] == 1


def test_a_slower_clock_is_no_regression(code):
    assert code(run(), run(clock=0.7, seed=1))[0] == 0


def test_a_workload_that_is_gone_fails(code):
    exit_code, text = code(run(), run(keys=("T1",)))
    assert exit_code == 1
    assert "T3" in text
    assert "not in both runs" in text


def threads(two, many=1.0):
    """A run of one and two threads, and of many models."""
    ours = {"fastnn, 1 thread": [2e-3] * 9, "fastnn, 2 threads": [two] * 9, "torch, 2 threads": [1e-9] * 9}
    lines = {
        "S1 T6": {"flops": 5e7, "samples": ours, "peaks": [100e9] * 9},
        "S1 fit_many": {"flops": 0, "samples": {"one after another": [2.0], "in one call": [many]}, "peaks": []},
    }
    return {"workloads": lines}  # fmt: skip


def test_two_threads_and_many_models_are_compared(code):
    exit_code, text = code(threads(1e-3), threads(1.2e-3))
    assert exit_code == 1
    assert "S1 T6: fastnn, 2 threads" in text
    assert "1 slower, 3 same, 0 faster" in text
    assert "S1 fit_many: in one call" in code(threads(1e-3), threads(1e-3, many=1.3))[1]
    assert code(threads(1e-3), threads(1e-3))[0] == 0


def test_the_import_and_the_time_to_accuracy_are_compared(code):
    def of(imported, accurate):
        more = {
            "imports": {"python": [0.01] * 5, "numpy": [0.1] * 5, "fastnn": [imported] * 5},
            "accuracy": {"fastnn": {"seconds": [accurate] * 3, "epochs": 2}, "torch": {"seconds": [9.0] * 3}},
        }
        return run() | more  # fmt: skip

    assert code(of(0.12, 2.0), of(0.12, 2.0))[0] == 0
    assert "import" in code(of(0.12, 2.0), of(0.2, 2.0))[1]
    assert "time to accuracy" in code(of(0.12, 2.0), of(0.12, 2.5))[1]


def test_a_side_that_died_is_no_gain(code):
    dead = run(seed=1)
    dead["workloads"]["T3"]["samples"]["fastnn"][7] = float("nan")
    exit_code, text = code(run(), dead)
    assert exit_code == 1
    assert "0 faster" in text
    assert "T3" in text


def test_shares_of_the_peak_are_not_set_against_seconds(code):
    bare = run(seed=1)
    for line in bare["workloads"].values():
        line["peaks"] = []
    assert code(run(), bare)[0] == 0
    assert code(bare, run())[0] == 0
    dead = run(seed=1)
    dead["workloads"]["T1"]["peaks"][3] = 0.0  # the gauge's process ended
    assert code(run(), dead)[0] == 0


@pytest.mark.parametrize("broken", ["", "[]", "{}", '{"workloads": {"T1": 1}}'])
def test_unusable_files_are_told_from_regressions(code, broken):
    assert code(broken, run())[0] == 2


def test_files_without_a_common_workload(code):
    assert code({"workloads": {}}, run())[0] == 2
