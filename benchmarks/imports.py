"""M1: how long the first import takes, in a new process, and how much room an installation takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from time import perf_counter

import fastnn

# what is imported, and the distribution that has it
LIBRARIES = {
    "numpy": ("import numpy", "numpy"),
    "fastnn": ("import fastnn", "fastnn-cpu"),
    "sklearn": ("from sklearn.neural_network import MLPClassifier", "scikit-learn"),
    "torch": ("import torch", "torch"),
    "jax": ("import jax, jax.numpy", "jax"),
    "onnxruntime": ("import onnxruntime", "onnxruntime"),
}


def import_times(libraries: Iterable[str], repeats: int) -> dict[str, list[float]]:
    """Seconds of ``python -c 'import ...'`` from start to finish, in turn; "python" is that of nothing imported."""
    commands = {"python": "pass", **{name: LIBRARIES[name][0] for name in libraries}}
    package = str(Path(fastnn.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), package)))
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:  # all are compiled, as an installation is, whatever is set here
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder, "PYTHONPATH": path}
        for turn in range(repeats + 1):
            for name, command in commands.items():
                start = perf_counter()
                subprocess.run([sys.executable, "-c", command], env={**os.environ, **compiled}, check=True)
                if turn:  # the first reads from the disk, and compiles
                    times[name].append(perf_counter() - start)
    return times


def installed_sizes(libraries: Iterable[str]) -> dict[str, dict[str, int]]:
    """Bytes of the files of each library, and of those and all that it requires."""
    sizes = {}
    for name in libraries:
        found = LIBRARIES[name][1]
        try:
            own, required = _size(distribution(found)), _requirements(found, set())
        except PackageNotFoundError:  # a checkout
            own, required = 0, {found} | _requirements("numpy", set())
        if name == "fastnn":  # whose files a checkout or an editable installation does not list
            own = max(own, _package_size())
        others = sum(_size(distribution(other)) for other in required if other != found)
        sizes[name] = {"own": own, "with_requirements": own + others}
    return sizes


def _requirements(name: str, seen: set[str]) -> set[str]:
    """The distributions that one needs, itself included, as far as they are installed."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name in seen:
        return seen
    try:
        needs = distribution(name).requires or []
    except PackageNotFoundError:
        return seen
    seen.add(name)
    for need in needs:
        if "extra ==" not in need:
            _requirements(re.split(r"[^A-Za-z0-9._-]", need, maxsplit=1)[0], seen)
    return seen


def _size(found: Distribution) -> int:
    paths = [Path(str(file.locate())) for file in found.files or () if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _package_size() -> int:
    folder = Path(fastnn.__file__).resolve().parent
    kept = (".py", ".pyi", ".so", ".pyd", ".typed")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in kept)
