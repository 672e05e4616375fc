"""Data to learn from: the book's toy sets, the two MNISTs, and tables from files.

Everything returns NumPy arrays: features ``X`` with one row a sample, targets ``y`` with one entry a sample. Toy sets
have the same bits on every machine; images are checked, pixel for pixel, against the published ones.
"""

from ._download import cache_dir
from ._idx import read_idx
from ._images import FASHION_MNIST_CLASSES, fashion_mnist, mnist
from ._tables import Table, read_csv, read_features, read_npz
from ._toy import sine, spiral, vertical

__all__ = [
    "FASHION_MNIST_CLASSES",
    "Table",
    "cache_dir",
    "fashion_mnist",
    "mnist",
    "read_csv",
    "read_features",
    "read_idx",
    "read_npz",
    "sine",
    "spiral",
    "vertical",
]
