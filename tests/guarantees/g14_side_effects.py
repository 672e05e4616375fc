"""G14. In a fresh interpreter: what importing, training and predicting leave behind outside the library."""

from __future__ import annotations

import json
from typing import Any

from promise import Figure, none_of, python

PROMISE = "no side effects: threads at import, rounding mode, environment, signal handlers, NumPy's generator"

CODE = """
import gc, json, os, signal, sys, threading
import numpy as np

def tasks():
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()

def rounding():
    # subnormals are kept and thirds round to nearest where MXCSR/FPCR is as it was. A third of either sign, as float32
    # rounds 1/3 up: to nearest and upward are the same there
    tiny, third = np.float32(1e-38) / np.float32(10), np.float32(1) / np.float32(3)
    minus_third = np.float32(-1) / np.float32(3)
    return b"".join(x.tobytes() for x in (tiny, third, minus_third, np.nextafter(np.float64(0), 1)))

def state():
    return {
        "environment": sorted(os.environ.items()),
        "signals": [str(signal.getsignal(s)) for s in sorted(signal.valid_signals()) if s not in (9, 19)],
        "generator": str(np.random.get_state()),
        "rounding": rounding().hex(),
        "errors": str(np.geterr()),
        "folder": os.getcwd(),
        "switch": sys.getswitchinterval(),
        "limit": sys.getrecursionlimit(),
        "collector": str([gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), gc.callbacks]),
        "hooks": str([sys.excepthook, threading.excepthook, sys.displayhook]),
    }

before, threads = state(), tasks()
import fastnn
import fastnn.functional
from fastnn import Dense, Dropout, Model
found = {"threads at import": tasks() == threads}
after_import = state()
model = Model([Dense(300, activation="relu"), Dropout(0.1), Dense(10, activation="softmax")], seed=0)
model.set(loss="categorical_crossentropy", optimizer="adam")
X = np.linspace(-1, 1, 512 * 300, dtype=np.float32).reshape(512, 300)
fastnn.set_num_threads(2)
model.train(X, np.arange(512) % 10, epochs=3, batch_size=256, shuffle=True)
model.predict(X), model.evaluate(X, np.arange(512) % 10)
after_use = state()
for moment, now in (("import", after_import), ("use", after_use)):
    for key in before:
        found[f"{key} after {moment}"] = before[key] == now[key]
SABOTAGE
print(json.dumps(found))
"""


def look(sabotage: str = "") -> dict[str, bool]:
    found: dict[str, bool] = json.loads(python(CODE.replace("SABOTAGE", sabotage)))
    return found


def prove(full: bool) -> Figure:
    found = look()
    bad = [name for name, same in found.items() if not same]
    figure = none_of(len(bad), len(found), "things changed")
    return figure if not bad else Figure(False, f"{figure.text}: {', '.join(bad)}")


def break_it(monkeypatch: Any) -> None:
    """Somebody draws from NumPy's generator."""
    good = look
    draw = "np.random.rand(); found['generator after use'] = before['generator'] == state()['generator']"
    monkeypatch.setitem(globals(), "look", lambda: good(draw))
