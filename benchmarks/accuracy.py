"""Time to accuracy: the book's Fashion-MNIST model to 0.86 on the test images, from the start of a process to its end.

    python benchmarks/accuracy.py PEER FOLDER

is one such process: it imports the library, reads the images, trains an epoch at a time (784-128-128-10, batch 128,
Adam with learning rate and decay 1e-3) until the test accuracy is there, and prints epochs and accuracy as JSON.
Every peer has the same initial weights and the same order of rows; the rows that fill no batch are left out.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P and PYTHONSAFEPATH leave it out

TARGET, MOST_EPOCHS = 0.86, 10
FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
         "t10k-labels-idx1-ubyte.gz")  # fmt: skip
# scikit-learn has no decay of the learning rate by steps; compiling takes longer than the training
RACING = ("fastnn", "numpy", "torch", "jax.jit", "jax.scan")


def data_folder() -> Path | None:
    """FASTNN_TEST_DATA, or ../shared/data/fashion-mnist beside the repository; None where the files are not there."""
    given = os.environ.get("FASTNN_TEST_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data" / "fashion-mnist"
    return folder if all((folder / name).is_file() for name in FILES) else None


def race(names: Iterable[str], folder: Path, repeats: int) -> dict[str, Any]:
    """Seconds, epochs and accuracy of each peer, in turn, a process each, on one core."""
    import fastnn
    from fastnn._bench import measure

    package = str(Path(fastnn.__file__).resolve().parents[1])
    environment = {**os.environ, **measure.ONE_THREAD}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), package)))
    environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    results: dict[str, Any] = {}
    racing = [name for name in names if name in RACING]
    for _ in range(repeats):
        for name in racing:
            start = perf_counter()
            command = [sys.executable, str(Path(__file__).resolve()), name, str(folder)]
            with measure.pinned():
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            seconds = perf_counter() - start
            result = results.setdefault(name, {"seconds": [], **json.loads(done.stdout.splitlines()[-1])})
            result["seconds"].append(seconds)
    return results


def read(folder: Path) -> list[Any]:
    """Images as float32 rows from -1 to 1, and labels; of training, then of test."""
    import numpy as np

    arrays = []
    for name in FILES:
        content = np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8)
        images = "images" in name
        arrays.append(content[16:].reshape(-1, 784).astype(np.float32) / np.float32(127.5) - np.float32(1) if images
                      else content[8:].astype(np.int32))  # fmt: skip
    return arrays


def main(name: str, folder: Path) -> int:
    import numpy as np
    import peers

    from fastnn._bench.steps import Net

    net = Net("Fashion-MNIST", (784, 128, 128, 10), 128, 60_000, decay=1e-3)
    X, y, X_test, y_test = read(folder)
    learner = peers.load(name, 1).learner(net)
    rng, rows = np.random.default_rng(0), len(X) // net.batch * net.batch
    accuracy, epoch = 0.0, 0
    while accuracy < TARGET and epoch < MOST_EPOCHS:
        order, epoch = rng.permutation(len(X))[:rows], epoch + 1
        learner.run(learner.feed(X[order], y[order]), 1)
        accuracy = float(np.mean(np.argmax(learner.predict(X_test), axis=1) == y_test))
    print(json.dumps({"epochs": epoch, "accuracy": accuracy}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
