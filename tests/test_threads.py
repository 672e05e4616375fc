"""Threads: the bits do not move, forks do not hang, idle threads do not spin, quotas are honoured."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import python

import fastnn
import fastnn.functional as F
from fastnn import Dense, Dropout, Model, Rescale, _core, _threads

RNG = np.random.default_rng(5)
A = RNG.standard_normal((517, 300)).astype(np.float32)
B = RNG.standard_normal((300, 257)).astype(np.float32)


@pytest.fixture(autouse=True)
def threads_put_back() -> Iterator[None]:
    before = fastnn.get_num_threads()
    yield
    fastnn.set_num_threads(before)


def trained(dtype: str = "float32") -> bytes:
    """Weights and predictions of a model large enough that every shared pass is shared."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (700, 400)).astype(np.uint8), rng.integers(0, 10, 700)
    layers = [Rescale(1 / 255), Dense(256, activation="tanh"), Dense(200, activation="relu"),
              Dense(256, activation="relu"), Dropout(0.2), Dense(150, activation="relu"),
              Dense(10, activation="softmax")]  # fmt: skip
    model = Model(layers, seed=1, dtype=dtype)
    model.set(loss="cce", optimizer="adam")
    model.train(X, y, epochs=2, batch_size=512, shuffle=True)
    return bytes(model.plan.params.tobytes() + model.predict(X).tobytes())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_gives_the_same_bits(dtype: str) -> None:
    results = set()
    for count in (1, 2, 3, 4, 8):
        fastnn.set_num_threads(count)
        results.add(trained(dtype))
    assert len(results) == 1


@pytest.mark.parametrize(
    ("m", "n", "k"), [(517, 257, 300), (2048, 64, 64), (40, 2100, 200), (64, 2100, 200), (1000, 10, 784)]
)
def test_products_are_shared_without_a_trace(m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(m)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    fastnn.set_num_threads(1)
    alone = F.dot(a, b)
    for count in (2, 5):
        fastnn.set_num_threads(count)
        assert F.dot(a, b).tobytes() == alone.tobytes()
        assert F.dot(a, np.asfortranarray(b)).tobytes() == alone.tobytes()


def test_a_pool_starts_at_first_use_and_stops_when_it_is_not_wanted() -> None:
    fastnn.set_num_threads(1)
    assert _core.threads_started() == 0
    F.dot(A, B)
    assert _core.threads_started() == 0
    fastnn.set_num_threads(3)
    assert _core.threads_started() == 0
    F.dot(A, B)
    assert _core.threads_started() == 2
    fastnn.set_num_threads(2)
    F.dot(A, B)
    assert _core.threads_started() == 1


def test_short_work_starts_no_thread() -> None:
    fastnn.set_num_threads(1)
    fastnn.set_num_threads(4)
    F.dot(A[:8, :8].copy(), B[:8, :8].copy())
    model = Model([Dense(4, 64, activation="relu"), Dense(64, 2, activation="softmax")], seed=0)
    model.set(loss="cce", optimizer="adam")
    model.train(RNG.standard_normal((320, 4)), RNG.integers(0, 2, 320), epochs=3, batch_size=32)
    assert _core.threads_started() == 0


def test_idle_threads_sleep() -> None:
    fastnn.set_num_threads(4)
    F.dot(A, B)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.05


AMID_A_TRAINING = """
import os, signal, threading, time
import numpy as np
from fastnn import Dense, Model, custom
class Same(custom.Activation):
    def formula(self, x):
        return x
    def derivative(self, x):
        return np.ones_like(x)
X, y = np.ones((200, 50), np.float32), np.zeros(200, int)
for part in ([], [Same()]):
    model = Model([Dense(128, activation="relu"), *part, Dense(3, activation="softmax")], seed=0)
    model.set(loss="cce", optimizer="adam")
    model.finalize(50)
    session = model.session()
    trains = threading.Thread(target=lambda: model.train(X, y, epochs=10**9, batch_size=20))
    def ask(model=model, session=session):
        while not model.stop_training:
            session(X)

    asks = threading.Thread(target=ask)
    trains.start()
    asks.start()
    time.sleep(0.2)
    for _ in range(5):
        child = os.fork()
        if not child:
            signal.alarm(100)
            model.predict(X[:5])
            session(X[:5])
            model.train(X, y)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
    while trains.is_alive() or asks.is_alive():
        model.stop_training = True
        time.sleep(0.01)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_while_a_thread_trains_may_use_the_model() -> None:
    assert python(AMID_A_TRAINING).split() == ["0"] * 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_children_compute_and_do_not_hang() -> None:
    fastnn.set_num_threads(3)
    wanted = F.dot(A, B).tobytes()
    for _ in range(50):
        child = os.fork()
        if child == 0:
            os._exit(0 if _core.threads_started() == 0 and F.dot(A, B).tobytes() == wanted else 1)
        deadline = time.monotonic() + 20
        while (done := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert done == (child, 0), "a child hung or computed something else"
        assert F.dot(A, B).tobytes() == wanted


def test_many_callers_share_one_pool() -> None:
    """A busy pool means run serially: whoever computes, the bits are the same."""
    fastnn.set_num_threads(2)
    wanted, wrong = F.dot(A, B).tobytes(), []

    def work() -> None:
        for _ in range(30):
            if F.dot(A, B).tobytes() != wanted:
                wrong.append(1)

    callers = [threading.Thread(target=work) for _ in range(8)]
    for t in callers:
        t.start()
    for count in (1, 3, 2, 4):
        fastnn.set_num_threads(count)
    for t in callers:
        t.join()
    assert not wrong


def test_a_thread_that_stays_serial_starts_nothing() -> None:
    fastnn.set_num_threads(1)
    fastnn.set_num_threads(3)

    def work() -> None:
        _core.stay_serial(True)
        F.dot(A, B)

    t = threading.Thread(target=work)
    t.start()
    t.join()
    assert _core.threads_started() == 0


def test_the_number_is_set_and_put_back() -> None:
    fastnn.set_num_threads(3)
    with fastnn.num_threads(5):
        assert fastnn.get_num_threads() == 5
    assert fastnn.get_num_threads() == 3
    with pytest.raises(RuntimeError), fastnn.num_threads(1):
        raise RuntimeError
    assert fastnn.get_num_threads() == 3
    fastnn.set_num_threads(None)
    assert fastnn.get_num_threads() == _threads.available_threads()


def test_blocks_of_two_threads_that_overlap_put_back_what_was_there() -> None:
    fastnn.set_num_threads(2)
    first, second, seen = fastnn.num_threads(1), fastnn.num_threads(3), []
    first.__enter__()
    second.__enter__()
    seen.append(fastnn.get_num_threads())
    first.__exit__(None, None, None)
    seen.append(fastnn.get_num_threads())
    second.__exit__(None, None, None)
    assert [*seen, fastnn.get_num_threads()] == [3, 3, 2]
    with fastnn.num_threads(1), fastnn.num_threads(4):
        assert fastnn.get_num_threads() == 4
    with pytest.raises(ValueError, match="count: expected 1 to 256"), fastnn.num_threads(0):
        pass
    assert fastnn.get_num_threads() == 2


@pytest.mark.parametrize(
    ("count", "error", "text"),
    [(0, ValueError, "expected 1 to 256, got 0"), (257, ValueError, "got 257"), (True, TypeError, "whole number"),
     (1.5, TypeError, r"got 1\.5"), ("2", TypeError, "got '2'")],
)  # fmt: skip
def test_other_numbers_are_refused(count: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        fastnn.set_num_threads(count)


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "5000 100000"}, 0.05),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota_is_honoured(tmp_path: Path, files: dict[str, str], wanted: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _threads._quota(str(tmp_path)) == wanted
    count = _threads.available_threads(str(tmp_path))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert count == (cores if wanted is None else max(1, min(cores or 1, int(wanted + 0.5))))


@pytest.mark.parametrize(
    ("membership", "files", "wanted"),
    [
        ("0::/system.slice/a.service\n", {"system.slice/a.service/cpu.max": "100000 100000"}, 1.0),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000", "cpu.max": "400000 100000"}, 3.0),
        ("0::/a/b\n", {"a/c/cpu.max": "100000 100000"}, None),
        (
            "7:memory:/m\n4:cpu,cpuacct:/a:b\n0::/\n",
            {"cpu/a:b/cpu.cfs_quota_us": "50000", "cpu/a:b/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("0::/../../etc\n", {"cpu.max": "200000 100000"}, 2.0),
        ("nonsense\n", {"cpu.max": "200000 100000"}, 2.0),
    ],
)
def test_the_quota_of_a_service_and_of_all_above_it_is_honoured(
    tmp_path: Path, membership: str, files: dict[str, str], wanted: float | None
) -> None:
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _threads._quota(str(tmp_path), str(tmp_path / "membership")) == wanted


@pytest.mark.parametrize(("value", "count"), [("1", "1"), ("7", "7")])
def test_the_environment_sets_the_number(value: str, count: str) -> None:
    code = "import fastnn; print(fastnn.get_num_threads())"
    env = os.environ | {"FASTNN_NUM_THREADS": value, "PYTHONPATH": str(Path(fastnn.__file__).resolve().parents[1])}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout.strip() == count


@pytest.mark.parametrize("value", ["0", "many", "-3"])
def test_the_environment_is_checked(value: str) -> None:
    env = os.environ | {"FASTNN_NUM_THREADS": value, "PYTHONPATH": str(Path(fastnn.__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", "import fastnn"], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"FASTNN_NUM_THREADS={value}: expected a whole number, 1 to 256" in done.stderr


def test_threadpoolctl_sees_and_limits_the_pool() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    fastnn.register_threadpoolctl()
    fastnn.register_threadpoolctl()
    fastnn.set_num_threads(3)
    mine = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "fastnn"]
    assert [(p["num_threads"], p["internal_api"], p["version"]) for p in mine] == [(3, "fastnn", fastnn.__version__)]
    assert Path(mine[0]["filepath"]).name == Path(_core.__file__).name
    with threadpoolctl.threadpool_limits(limits=1):
        assert fastnn.get_num_threads() == 1
    assert fastnn.get_num_threads() == 3
    with threadpoolctl.threadpool_limits(limits=2, user_api="fastnn"):
        assert fastnn.get_num_threads() == 2
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        assert fastnn.get_num_threads() == 3


def test_without_threadpoolctl_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setattr("fastnn._threadpools._registered", [])
    with pytest.raises(ImportError, match=r"pip install threadpoolctl, or fastnn-cpu\[threadpoolctl\]"):
        fastnn.register_threadpoolctl()


# --- on a busy machine, in C: whom a helper shares its processor with is set there ---


@pytest.mark.skipif(sys.platform != "linux", reason="threads are kept to processors by Linux's calls")
@pytest.mark.parametrize(
    ("what", "instead", "said"),
    [
        ("", "", "ok"),
        (
            "if (idle())\n        pthread_cond_wait",
            "while (idle())\n        pthread_cond_wait",
            "a helper that came late went back to sleep",
        ),
        (
            "CPU_CLR(atomic_load_explicit(&owner_at, memory_order_relaxed), &others)",
            "(void)owners",
            "a helper stayed where its owner is",
        ),
        ("STAY * waited", "0 * waited", "a helper stayed where its owner is"),
        ("rest_until > 0 && ", "0 && ", "the pool did not rest after a lost processor"),
        ("min(2 * rests, LONGEST)", "1", "the pool did not rest longer for a loss that came again"),
        (
            "rest_until = lost_until = now + lost_rest",
            "lost_until = now + lost_rest, rest_until = now + waited",
            "the pool did not rest longer for a loss that came again",
        ),
    ],
)
def test_the_pool_rests_where_helpers_are_no_help(what: str, instead: str, said: str, tmp_path: Path) -> None:
    """After a helper that lost its processor in the middle of a task, longer if that comes again, and where it shares
    its owner's. A pool that never rests, never longer, or only says so, or in which a late helper stays late, fails."""
    csrc = Path(__file__).parent.parent / "csrc"
    if not csrc.is_dir():
        pytest.skip("the sources are not here")
    source = (csrc / "threads.c").read_text(encoding="utf-8")
    assert not what or source.count(what) == 1
    (tmp_path / "threads.c").write_text(source.replace(what, instead) if what else source, encoding="utf-8")
    check = Path(__file__).parent / "c" / "pool_check.c"
    flags = ["-std=gnu11", "-O2", "-pthread", f"-I{tmp_path}", f"-I{csrc}"]
    try:
        subprocess.run(
            [*os.environ.get("CC", "cc").split(), *flags, str(check), "-o", "pool"],
            cwd=tmp_path,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("no C compiler")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one processor there is nobody to wait for")
    wanted = (1, said) if what else (0, "ok")
    for _ in range(3):  # the machine may be too busy to tell a pool's rest from its own
        done = subprocess.run([str(tmp_path / "pool")], capture_output=True, text=True, timeout=120, check=False)
        if (done.returncode, done.stdout.strip()) == wanted:
            break
    assert (done.returncode, done.stdout.strip()) == wanted
