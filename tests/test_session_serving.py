"""A session under load: threads, swaps, memory, the GIL, Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits
from test_session import Cube, data, network

import fastnn
from fastnn import Dense, Model, Session
from fastnn.engine.session import GIL_WORK


def in_threads(count: int, work: Any) -> None:
    """``work(i)`` on so many threads at once; what one raises comes out."""
    errors: list[BaseException] = []
    ready = threading.Barrier(count)

    def run(i: int) -> None:
        try:
            ready.wait(30)
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


# --- threads ---


@pytest.mark.parametrize("in_python", [False, True])
def test_many_threads_share_one_session(in_python: bool) -> None:
    model = Model([Dense(10, 40, activation="tanh"), *([Cube()] if in_python else []), Dense(5)], seed=4)
    session, x = model.session(), data(3000, 10) / 40
    want = model.predict(x)

    def work(i: int) -> None:
        out = np.empty(5, np.float32)
        for turn in range(20):
            rows = (1, 2, 30, 700, 3000)[(turn + i) % 5]
            assert_same_bits(session(x[:rows]), want[:rows])
            assert_same_bits(session.run(x[turn], out), want[turn])

    with fastnn.num_threads(2):
        in_threads(8, work)


@pytest.mark.parametrize(
    ("widths", "rows"), [((4, 64, 64, 2), 1), ((4, 64, 64, 2), 20), ((50, 200, 100, 10), 2000)], ids=str
)
def test_a_swap_under_load_never_gives_a_mixed_answer(widths: tuple[int, ...], rows: int) -> None:
    """Sessions of other hidden widths take part: a mixture would not even have a shape."""
    models = [network(widths, seed=s) for s in (1, 2)]
    models.append(network((widths[0], 17, widths[-1]), "tanh", seed=3))
    x = data(rows, widths[0])
    answers = [m.predict(x) for m in models]
    assert len({a.tobytes() for a in answers}) == 3
    session, stop = models[0].session(), threading.Event()
    seen: set[bytes] = set()
    swaps = 0

    def work(i: int) -> None:
        nonlocal swaps
        out, known = np.empty_like(answers[0]), {a.tobytes() for a in answers}
        if i == 8:
            others = [models[1], models[2].session(), models[0]]
            end = time.monotonic() + 900  # under emulation the larger ones take minutes
            try:
                while (swaps < 40 or len(seen) < 3) and time.monotonic() < end:
                    session.swap(others[swaps % 3])
                    assert session(x).tobytes() == answers[(swaps + 1) % 3].tobytes()
                    swaps += 1
            finally:
                stop.set()
        while not stop.is_set():
            session.run(x, out=out)
            got = out.tobytes()
            assert got in known
            seen.add(got)

    in_threads(9, work)
    assert swaps >= 40
    assert len(seen) == 3


def test_swaps_of_several_threads_wait_for_each_other() -> None:
    models = [network((4, 30, 3), seed=s) for s in range(4)]
    session, x = models[0].session(), data(5, 4)
    known = {m.predict(x).tobytes() for m in models}

    def work(i: int) -> None:
        for turn in range(200):
            session.swap(models[(i + turn) % 4])
            assert session(x).tobytes() in known

    in_threads(4, work)


def test_old_weights_are_freed_when_the_last_call_with_them_ends() -> None:
    old, new = network((300, 900, 600, 10)), network((300, 10), seed=2)
    session = old.session()
    weights = weakref.ref(session._weights)
    x = np.broadcast_to(data(1, 300), (60_000, 300))  # long enough to swap meanwhile
    want, started, result = old.predict(x[:1]), threading.Event(), []

    def long_call() -> None:
        started.set()
        result.append(session(x))

    thread = threading.Thread(target=long_call)
    thread.start()
    started.wait()
    time.sleep(0.05)
    session.swap(new)
    assert thread.is_alive(), "the call was to be long"
    assert weights() is not None, "the call is still using them"
    assert_same_bits(session(x[:2]), new.predict(x[:2]))
    thread.join()
    gc.collect()
    assert weights() is None
    assert_same_bits(result[0], np.broadcast_to(want, result[0].shape))


@pytest.mark.skipif("FASTNN_SANITIZED" in os.environ, reason="the sanitizer keeps what was freed for a while")
def test_memory_stays_level_over_swaps() -> None:
    models = [network((500, 500, 10), seed=s) for s in (1, 2)]  # a megabyte each
    session, x = models[0].session(), data(1, 500)
    session(x)
    for i in range(50):
        session.swap(models[i % 2])
    before = resident()
    for i in range(300):
        session.swap(models[i % 2])
        session(x)
    assert resident() - before < 20 << 20


# --- the GIL ---


def test_long_calls_give_up_the_gil_and_short_ones_do_not() -> None:
    """With a switch interval of minutes nobody else runs unless the GIL is given up."""
    session = network((200, 400, 400, 10)).session()
    per_row = 200 * 400 + 400 * 400 + 400 * 10
    before = sys.getswitchinterval()
    try:
        for rows, gives_up in ((30_000, True), (GIL_WORK // per_row, False)):
            x = data(rows, 200)
            out = session(x)
            state = {"in": 0, "seen": 0}

            def work(x: Array = x, out: Array = out, state: dict[str, int] = state) -> None:
                end = time.monotonic() + 0.3
                while time.monotonic() < end:
                    state["in"] = 1
                    session.run(x, out=out)
                    state["in"] = 0

            thread = threading.Thread(target=work)
            sys.setswitchinterval(500)
            thread.start()
            while thread.is_alive():
                state["seen"] += state["in"]
                time.sleep(0.001)
            thread.join()
            assert (state["seen"] > 0) == gives_up
    finally:
        sys.setswitchinterval(before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this system")
def test_a_long_call_can_be_interrupted() -> None:
    session = network((300, 900, 600, 10)).session()
    x = np.broadcast_to(data(1, 300), (2_000_000, 300))  # about a minute on one thread
    out = np.full((len(x), 10), np.nan, np.float32)

    class Alarm(Exception):  # noqa: N818
        pass

    def ring(*_: object) -> None:
        session.swap(network((300, 10)))  # a handler may swap, too
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with fastnn.num_threads(1), pytest.raises(Alarm):
            session.run(x, out=out)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # a handler that only runs after the call raises as well: what tells is how far the call came
    written = np.isfinite(out).all(axis=1)
    assert 0 < written.sum() < len(x) // 4
    assert not np.isfinite(out[written.sum() :]).any()
    assert session(x[:3]).shape == (3, 10)


# --- memory ---


def resident() -> int:
    """Bytes of resident memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        pytest.skip("no /proc on this system")


def call_many(session: Session, count: int) -> None:
    x, out = data(1, session.n_in), np.empty((1, session.n_out), np.float32)
    row, row_out, strided, pixels = x[0], out[0], data(1, 2 * session.n_in)[:, ::2], data(7, session.n_in, "uint8")
    many_out, run = np.empty((7, session.n_out), np.float32), session.run
    for _ in range(count // 8):
        run(x, out=out)
        run(x, out=out)
        run(row, row_out)
        run(row, out=row_out)
        run(strided, out=out)
        run(pixels, out=many_out)
        session(x)
        session(row)


def test_resident_memory_is_level_over_a_million_calls() -> None:
    session = network((4, 64, 64, 2)).session()
    call_many(session, 20_000)
    gc.collect()
    before = resident()
    call_many(session, 1_000_000)
    assert resident() - before < 256 << 10


@pytest.mark.parametrize("widths", [(4, 64, 64, 2), (784, 128, 128, 10), (5, 3000, 4)], ids=str)
def test_run_with_out_allocates_nothing(widths: tuple[int, ...]) -> None:
    """Neither Python nor NumPy; nor C, after the first call of its thread: test_run_never_calls_malloc."""
    session = network(widths).session()
    cases = [(x, np.empty((*x.shape[:-1], session.n_out), np.float32))
             for x in (data(1, widths[0]), data(1, widths[0])[0], data(64, widths[0], "uint8"))]  # fmt: skip
    run = session.run
    for x, out in cases:
        run(x, out)
    tracemalloc.start()
    try:
        for x, out in cases:
            run(x, out)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()
            run(x, out)
            after = tracemalloc.get_traced_memory()
            # the tuple `before` itself, and no array nor anything that grows with the calls
            assert after[1] - before[0] < 200
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()
        session(data(100, widths[0]))
        assert tracemalloc.get_traced_memory()[1] - before[0] > 100 * session.n_out * 4, "the counter counts"
    finally:
        tracemalloc.stop()


HOOK = r"""
#define _GNU_SOURCE
#include <stddef.h>
#include <stdlib.h>
extern void *__libc_malloc(size_t), *__libc_memalign(size_t, size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
static __thread long count;
long allocations(void) { return count; }
void *malloc(size_t n) { count++; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { count++; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { count++; return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { count++; return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { count++; return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { count++; *p = __libc_memalign(a, n); return *p ? 0 : 12; }
"""
COUNTED = """
import ctypes, itertools
import numpy as np
from fastnn import Dense, Model
allocations = ctypes.CDLL(None).allocations
allocations.restype = ctypes.c_long
for widths in ((4, 64, 64, 2), (784, 128, 128, 10), (5, 3000, 4)):
    model = Model([Dense(n, activation="relu") for n in widths[1:]], seed=0)
    model.finalize(widths[0])
    run = model.session().run
    for rows, kind in ((1, "f4"), (8, "f4"), (64, "u1"), (300, "f8")):
        x, out = np.ones((rows, widths[0]), kind), np.empty((rows, widths[-1]), "f4")
        run(x, out)
        before = allocations()
        for _ in itertools.repeat(None, 2000):
            run(x, out)
        made = allocations() - before
        assert made < 20, (widths, rows, made)  # the interpreter's own, for the loop
before = allocations()
for _ in itertools.repeat(None, 2000):
    model.predict(x[:1])
assert allocations() - before > 1000, "the counter counts"
print("level")
"""


@pytest.mark.slow
def test_run_never_calls_malloc(tmp_path: Path) -> None:
    (tmp_path / "hook.c").write_text(HOOK)
    built = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", "hook.so", "hook.c"], cwd=tmp_path, check=False)
    if sys.platform != "linux" or built.returncode:
        pytest.skip("no C compiler, or not glibc")
    environment = {**os.environ, "LD_PRELOAD": str(tmp_path / "hook.so"), "PYTHONMALLOC": "malloc",
                   "PYTHONPATH": str(Path(fastnn.__file__).parents[1]), "FASTNN_NUM_THREADS": "1"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", COUNTED], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "level\n", done.stderr


def test_references_to_what_goes_in_and_out_are_given_back() -> None:
    session = network((4, 9, 2)).session()
    batch, wide = data(3, 4), data(3, 8)
    for x in (batch, batch[0].copy(), wide[:, ::2], batch.astype(np.float64), batch.astype(">f4"), batch.tolist()):
        out = np.empty((3, 2) if np.ndim(x) == 2 else 2, np.float32)
        before = [sys.getrefcount(o) for o in (x, out, session, session._weights)]
        for _ in range(50):
            session.run(x, out=out)
            session(x)
        bad: Any = None
        for _ in range(50):
            with pytest.raises(ValueError):
                session.run(x, out=out[..., :1].copy())
            with pytest.raises(TypeError):
                session.run(x, out=bad or [])
        assert [sys.getrefcount(o) for o in (x, out, session, session._weights)] == before


# --- the gate that a swap goes through, in C: without a GIL to hide behind ---


@pytest.mark.parametrize("broken", [False, True])
def test_the_gate_lets_nobody_touch_what_was_freed(broken: bool, tmp_path: Path) -> None:
    """Eight threads take hold through the gate while a ninth replaces; without the gate the same program fails."""
    here = Path(__file__).parent
    flags = ["-std=c11", "-O2", "-pthread", f"-I{here.parent / 'csrc'}", *(["-DNO_GATE"] if broken else [])]
    command = [os.environ.get("CC", "cc").split()[-1], *flags, str(here / "c" / "gate_check.c"), "-o", "gate"]
    try:
        built = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no C compiler")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(tmp_path / "gate"), "3000" if not broken else "1000000"], check=False, timeout=120)
    assert done.returncode == (1 if broken else 0)
