"""G6. Eight Python threads over what a model, a session, streams, files and functions offer, at a time; no more threads
than allowed; none spinning at rest.

That the C code has no races is ThreadSanitizer's to say: tests/c/run_tsan.py runs its drivers, and the gate of a
session's swap, under it; the full form calls it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

from promise import TESTS, Figure, NotHereError, python

PROMISE = "thread-safe, never oversubscribed, nothing spins at rest"
THREADS = 8

CODE = """
import io, json, os, sys, tempfile, threading, time
import numpy as np
import fastnn
import fastnn.functional as F
from fastnn import Dense, Dropout, Model, _core, callbacks, fit_many, metrics

rounds = int(sys.argv[1])
fastnn.set_num_threads(2)
rng = np.random.default_rng(0)
X, y = rng.standard_normal((300, 200)).astype(np.float32), rng.integers(0, 5, 300)
W, b = rng.standard_normal((200, 150)).astype(np.float32), np.zeros((1, 150), np.float32)

def make(seed):
    model = Model([Dense(150, activation="relu"), Dropout(0.1), Dense(5, activation="softmax")], seed=seed)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    return model

shared = make(99)
shared.train(X, y)
SHARED = shared.predict(X).tobytes()
other = Model.from_bytes(shared.to_bytes())  # of the same weights: whichever a session has, it gives the same bits
session = shared.session()
folder = tempfile.mkdtemp()

def everything(seed):
    model = make(seed)
    model.train(X, y, epochs=2, batch_size=100, shuffle=True, validation_data=(X[:50], y[:50]))
    model.train_on_batch(X[:10], y[:10])
    results = [model.plan.params.tobytes(), model.predict(X).tobytes(), repr(model.evaluate(X, y))]
    path = os.path.join(folder, f"{seed}-{threading.get_ident()}.fnn")
    model.save(path)
    results.append(Model.load(path).predict(X[:7]).tobytes())
    results.append(F.dense(X, W, b, activation="gelu").tobytes())
    results.append(F.dot(X, W).tobytes())
    results.append(str(fit_many([make(seed), make(seed + 1)], X, y, epochs=1, n_jobs=2)[1]["loss"]))
    assert shared.predict(X).tobytes() == SHARED
    results.append(repr(shared.evaluate(X, y)))
    assert session(X).tobytes() == SHARED and session(X[3]).tobytes() == shared.predict(X[3:4]).tobytes()
    if seed == 0:
        session.swap(other)
    results += [shared.input_gradient(X[:20], y[:20]).tobytes(), shared.jacobian(X[:5]).tobytes()]
    results.append(shared.predict_samples(X[:9], 5, seed=seed).tobytes())
    stop = callbacks.EarlyStopping("loss", patience=0)
    model.train_stream([(X[:90], y[:90]), (X[90:], y[90:])], epochs=2, callbacks=[stop])
    copy = Model.from_bytes(model.to_bytes())
    copy.load_state_dict(shared.state_dict())
    results += [repr(model.history.last()), copy.predict(X[:7]).tobytes()]
    model.export_c(os.path.join(folder, f"net{threading.get_ident()}.c"))
    p = shared.predict(X)
    results.append(repr([metrics.roc_auc_score(y, p), metrics.f1_score(y, p, average="macro")]))
    results += [F.loss("categorical_crossentropy", p, y).tobytes(), fastnn.data.spiral(20, 3, seed=seed)[0].tobytes()]
    return results

WANT = {seed: everything(seed) for seed in range(4)}
most, stop = [0], threading.Event()

def watch():
    while not stop.wait(0.002):
        most[0] = max(most[0], len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0)

def work(i):
    for r in range(rounds):
        seed = (i + r) % 4
        try:
            if everything(seed) != WANT[seed]:
                bad.append(f"thread {i}, round {r}: other bits")
        except BaseException as error:
            bad.append(f"thread {i}, round {r}: {error!r}")
            return

bad = []
watcher = threading.Thread(target=watch)
watcher.start()
threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
[t.start() for t in threads]
[t.join() for t in threads]
stop.set()
watcher.join()
time.sleep(0.2)
before = time.process_time()
time.sleep(1.0)
SABOTAGE
idle = time.process_time() - before
print(json.dumps([bad[:3], len(bad), most[0], idle, _core.threads_started()]))
"""


def run(rounds: int, sabotage: str = "") -> Any:
    code = CODE.replace("SABOTAGE", sabotage).replace("THREADS", str(THREADS))
    return json.loads(python(code, str(rounds), timeout=1800))


def prove(full: bool) -> Figure:
    rounds = 50 if full else 2
    examples, bad, most, idle, started = run(rounds)
    # the interpreter's, the watcher's, the eight and two of each one's fit_many, and the pool's one
    allowed = 1 + 1 + THREADS * 3 + 1
    text = (
        f"{bad} of {THREADS * rounds} rounds differ; {started} thread of the package's own where 2 are allowed, "
        f"at most {most} with the callers'; processor time at rest {idle:.3f} s/s"
    )
    passed = bad == 0 and most <= allowed and started <= 1 and idle < 0.02
    if bad:
        text += f": {examples[0]}"
    if full and passed:
        if shutil.which("clang") is None and shutil.which("gcc") is None:
            raise NotHereError("a C compiler with ThreadSanitizer")
        done = subprocess.run([sys.executable, TESTS / "c" / "run_tsan.py"], capture_output=True, text=True)
        text += (
            f"; ThreadSanitizer: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-200:]}"
        )
        passed = done.returncode == 0
    return Figure(passed, text)


def break_it(monkeypatch: Any) -> None:
    """Something spins for a while at rest."""
    good = run
    spin = "end = time.monotonic() + 0.3\nwhile time.monotonic() < end: pass"
    monkeypatch.setitem(globals(), "run", lambda rounds: good(rounds, spin))
