"""G5. Forks after the pool of threads has run; each child trains with threads again and must end in 5 seconds."""

from __future__ import annotations

import json
import os
from typing import Any

from promise import Figure, NotHereError, none_of, python

PROMISE = "fork-safe: no hang, and the child's bits are the parent's"

CODE = """
import json, os, sys, time, warnings
import numpy as np
import fastnn
from fastnn import Dense, Model
warnings.simplefilter("ignore")

def trained(steps):
    model = Model([Dense(256, activation="relu"), Dense(10, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    model.train(X, y, epochs=steps)
    return model.plan.params.tobytes()

rng = np.random.default_rng(0)
X, y = rng.standard_normal((512, 256)).astype(np.float32), rng.integers(0, 10, 512)
fastnn.set_num_threads(3)
forks, hung, wrong = int(sys.argv[1]), 0, 0
for i in range(forks):
    want = trained(1)  # the pool has just run, and may be awake or asleep
    if i % 3 == 0:
        time.sleep(0.002)
    child = os.fork()
    if child == 0:
        CHILD
        os._exit(0 if trained(1) == want else 1)
    end = time.monotonic() + 5
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            wrong += status != 0
            break
        if time.monotonic() > end:
            hung += 1
            os.kill(child, 9)
            os.waitpid(child, 0)
            break
        time.sleep(0.0005)
print(json.dumps([hung, wrong]))
"""


def forks(count: int, in_child: str = "pass") -> tuple[int, int]:
    """(hung, wrong)."""
    hung, wrong = json.loads(python(CODE.replace("CHILD", in_child), str(count), timeout=count * 6 + 60))
    return hung, wrong


def prove(full: bool) -> Figure:
    if not hasattr(os, "fork"):
        raise NotHereError("this system has no fork")
    count = 1000 if full else 20
    hung, wrong = forks(count)
    figure = none_of(hung + wrong, count, "children bad")
    return Figure(figure.passed, f"{hung} hangs, {wrong} wrong of {count:,} forks")


def break_it(monkeypatch: Any) -> None:
    """The child trains on other data."""
    good = forks
    monkeypatch.setitem(globals(), "forks", lambda count: good(count, "X[0, 0] += 1"))
