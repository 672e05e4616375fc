"""MNIST (LeCun, Cortes and Burges 1998) and Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, MIT licence)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._download import Collection, PublishedFile, load

Images: TypeAlias = NDArray[Any]  # uint8 or float32
Labels: TypeAlias = NDArray[np.int32]

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _files(*sums: tuple[str, str]) -> tuple[PublishedFile, ...]:
    return tuple(PublishedFile(name, *pair) for name, pair in zip(_NAMES, sums, strict=True))


# For each file: SHA-256 of the official gzip, SHA-256 of the IDX bytes within (header and pixels).
FASHION_MNIST = Collection(
    title="Fashion-MNIST",
    folder="fashion-mnist",
    mirrors=(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    files=_files(
        (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
)

MNIST = Collection(
    title="MNIST",
    folder="mnist",
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    files=_files(
        (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)


def fashion_mnist(
    data_dir: str | Path | None = None, flatten: bool = True, dtype: str = "uint8"
) -> tuple[tuple[Images, Labels], tuple[Images, Labels]]:
    """Fashion-MNIST: 70,000 grey pictures of 28 x 28 of clothes in ten classes (``FASHION_MNIST_CLASSES``).

    Returns (X_train (60000, 784), y_train int32 (60000,)), (X_test (10000, 784), y_test int32 (10000,)); with
    ``flatten=False`` X is (n, 28, 28). ``dtype="uint8"`` gives the pixels as published, 0 to 255: put
    ``Rescale(1 / 127.5, -1)`` in front of the network and the engine scales them while it gathers a batch, in a
    quarter of the memory. ``dtype="float32"`` gives (pixel - 127.5) / 127.5, from -1 to 1, as the book does.

    The four IDX files are taken from ``data_dir``, else from the folder named in FASTNN_DATA, else from the cache, else
    from their public addresses (30 MB, once). Raises FileNotFoundError where ``data_dir`` lacks a file, ValueError
    for a file with other contents, OSError where no address answers.
    """
    return _load(FASHION_MNIST, data_dir, flatten, dtype)


def mnist(
    data_dir: str | Path | None = None, flatten: bool = True, dtype: str = "uint8"
) -> tuple[tuple[Images, Labels], tuple[Images, Labels]]:
    """MNIST: 70,000 grey pictures of 28 x 28 of handwritten digits. Arguments, results and errors of
    ``fashion_mnist``."""
    return _load(MNIST, data_dir, flatten, dtype)


def _load(
    collection: Collection, data_dir: str | Path | None, flatten: bool, dtype: str
) -> tuple[tuple[Images, Labels], tuple[Images, Labels]]:
    if dtype not in ("uint8", "float32"):
        raise ValueError(f"dtype must be 'uint8' or 'float32', got {dtype!r}")
    X, y, X_test, y_test = load(collection, data_dir)
    return (_pixels(X, flatten, dtype), y.astype(np.int32)), (_pixels(X_test, flatten, dtype), y_test.astype(np.int32))


def _pixels(X: NDArray[np.uint8], flatten: bool, dtype: str) -> Images:
    if flatten:
        X = X.reshape(len(X), -1)
    if dtype == "uint8":
        return X
    scaled = X.astype(np.float32)
    scaled -= np.float32(127.5)
    scaled /= np.float32(127.5)
    return scaled
