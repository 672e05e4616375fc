"""SIGKILL while saving, and while training with checkpoints."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small import X, Y, bits, classifier

import fastnn
from fastnn import Model
from fastnn import callbacks as cb

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")

# a warm process forks children, each of which can be killed; a line of input starts one, its output is the child's pid
FORKS = """
import os, sys
sys.path.insert(0, {tests!r})
from small import X, Y, classifier
from fastnn import Model, callbacks as cb
m = classifier()
m.train(X, Y)
for line in sys.stdin:
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
        {work}
        os._exit(0)
    sys.stdin.readline()  # until it is fetched, its number belongs to nobody else
    os.waitpid(child, 0)
    print("ended", flush=True)
"""
SAVES = """number = int(line)
        while True:
            number += 1
            m.metadata = {"number": number, "filling": "x" * (number * 37 % 5000)}
            m.plan.params[:] = number
            m.save("m.fnn")"""
TRAINS = """m, (folder, frequency) = classifier(), line.split()
        os.chdir(folder)
        frequency = int(frequency) if frequency.isdecimal() else frequency
        m.train(X[:60], Y[:60], epochs=60, batch_size=8, shuffle=True, validation_data=(X[60:], Y[60:]), resume="m.fnn",
                callbacks=[cb.EarlyStopping(patience=10000, restore_best=True),
                           cb.ModelCheckpoint("m.fnn", save_freq=frequency)])
        m.save("done.fnn")"""


class Children:
    """The warm process."""

    def __init__(self, work: str, folder: Path) -> None:
        env = os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).resolve().parents[1])}
        code = FORKS.format(tests=str(Path(__file__).parent), work=work)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, line: str, seconds: float | None) -> None:
        """Start a child with this line and kill it after so many seconds, None for never; returns when it has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        self.process.stdin.write("fetch\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ended\n"

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def saves_survive(kills: int, folder: Path, seed: int) -> int:
    """Kill a process that saves so many times at random moments; after each the file is whole. Returns how many kills
    fell into the writing, to judge by what was left behind."""
    rng, path, left, newest = random.Random(seed), folder / "m.fnn", 0, 0
    model, start = classifier(), time.perf_counter()
    model.finalize(4)
    for _ in range(10):
        model.save(folder / "m.fnn")
    path.unlink()
    longest = (time.perf_counter() - start) / 10 * 4  # some four saves
    with Children(SAVES, folder) as children:
        for _ in range(kills):
            children.run(str(newest), rng.uniform(0.0, longest))
            left += any(p.name.endswith(".tmp") for p in folder.iterdir())
            longest = min(longest * (1 if path.exists() else 1.3), 2.0)
            if path.exists():
                model = Model.load(path)  # raises where it is not whole
                number = model.metadata["number"]
                assert number >= newest
                longest *= 0.98 if number > newest else 1.3  # on a busy machine a save takes many times as long
                assert all((values == number).all() for values in model.state_dict().values())
                newest = number
    assert newest > 2  # they did save; how often depends on the machine
    Model.load(path).save(path)
    assert [p.name for p in folder.iterdir()] == ["m.fnn"]  # what was left is gone
    return left


@pytest.mark.parametrize("kills", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_kills_while_saving_leave_no_bad_file(kills: int, tmp_path: Path) -> None:
    left = saves_survive(kills, tmp_path, seed=kills)
    assert left > kills / 20  # the kills do fall into the writing


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_trainings_end_with_the_bits_of_one_that_was_not(kills: int, tmp_path: Path) -> None:
    """Each is killed up to three times, and then runs to its end. Checkpoints of steps fall within epochs."""
    whole = classifier()
    early = cb.EarlyStopping(patience=10000, restore_best=True)
    whole.train(
        X[:60], Y[:60], epochs=60, batch_size=8, shuffle=True, validation_data=(X[60:], Y[60:]), callbacks=[early]
    )
    rng, killed, within = random.Random(kills), 0, 0
    with Children(TRAINS, tmp_path) as children:
        for number in range(kills * 3):
            folder = tmp_path / str(number)
            folder.mkdir()
            frequency = rng.choice(["1", "3", "7", "13"])
            for _ in range(3):
                children.run(f"{folder} {frequency}", rng.uniform(0.0, 0.8 / int(frequency)))
                if (folder / "done.fnn").exists():
                    break
                killed += 1
                within += (folder / "m.fnn").exists() and Model.load(folder / "m.fnn").position is not None
            children.run(f"{folder} {frequency}", None)
            done = Model.load(folder / "done.fnn")
            assert bits(done) == bits(whole)
            assert [s.tobytes() for s in done.plan.states] == [s.tobytes() for s in whole.plan.states]
            assert done.history.state() == whole.history.state()
            if killed >= kills:
                break
    assert killed >= kills
    assert within > kills / 4
