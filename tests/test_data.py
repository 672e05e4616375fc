"""fastnn.data: the toy sets to the bit, the image sets against the published files, tables and every complaint."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastnn import data
from fastnn.data import _download, _images
from fastnn.data._download import Collection, PublishedFile, cache_dir

ROOT = Path(__file__).resolve().parents[1]
NAMES = [file.name for file in _images.FASHION_MNIST.files]


@pytest.fixture(scope="module")
def fashion_dir() -> Path:
    folder = Path(os.environ.get("FASTNN_TEST_DATA") or ROOT.parent / "shared" / "data" / "fashion-mnist")
    if not (folder / (NAMES[0] + ".gz")).is_file():
        pytest.skip(f"no Fashion-MNIST in {folder}; FASTNN_TEST_DATA names the folder that holds its four files")
    return folder


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes the user's folders, and none goes through a proxy."""
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")


# --- toy sets ---


def sha(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


GOLDEN = {
    "spiral": "7d3d3e38f0c86e8d705349221ab6c76909d16b9dfd457cebc0ad4942ef9909ed",
    "vertical": "ea242414d99759762ec87c25d35600fef68b03c51c350734ec27a0b25390e001",
    "sine_x": "ce8c033650bcf78cfdf4b3bccbe6515ebf6931e28fa021cecae4ed2c06295e61",
    "sine_y": "09d3ed86ee2c68f96ef46868519b135a09edd0833849e25acb5469f9885119df",
    "labels": "498a69daf7e5e85de47722eb68a0649300af273a9748e11e7607860a540b60b4",
}


@pytest.mark.parametrize("name", ["spiral", "vertical"])
def test_points_to_the_bit(name: str) -> None:
    X, y = getattr(data, name)(samples=100, classes=3)
    assert X.shape == (300, 2)
    assert X.dtype == np.float32
    assert y.shape == (300,)
    assert y.dtype == np.int32
    assert sha(X) == GOLDEN[name]
    assert sha(y) == GOLDEN["labels"]
    other, _ = getattr(data, name)(100, 3, seed=1)
    assert sha(other) != GOLDEN[name]


def test_sine_to_the_bit() -> None:
    X, y = data.sine()
    assert X.shape == y.shape == (1000, 1)
    assert X.dtype == y.dtype == np.float32
    assert (sha(X), sha(y)) == (GOLDEN["sine_x"], GOLDEN["sine_y"])


def test_spiral_follows_the_formula() -> None:
    X, _ = data.spiral(50, 4, noise=0.0)
    t = np.concatenate([np.linspace(c * 4, (c + 1) * 4, 50) for c in range(4)])
    r = np.tile(np.linspace(0, 1, 50), 4)
    np.testing.assert_allclose(X, np.c_[r * np.sin(2.5 * t), r * np.cos(2.5 * t)], atol=1e-7)


def test_spiral_noise_has_its_spread() -> None:
    X, y = data.spiral(2000, 3)
    outer = np.arange(6000) % 2000 > 500
    angle = np.arctan2(X[:, 0], X[:, 1])
    clean, _ = data.spiral(2000, 3, noise=0.0)
    off = (angle - np.arctan2(clean[:, 0], clean[:, 1]) + np.pi) % (2 * np.pi) - np.pi
    assert np.std(off[outer] / 2.5) == pytest.approx(0.2, rel=0.03)
    # a class keeps its points when classes are added
    np.testing.assert_array_equal(data.spiral(2000, 2)[0], X[y < 2])


def test_vertical_has_its_centres() -> None:
    X, y = data.vertical(4000, 3)
    for c in range(3):
        np.testing.assert_allclose(X[y == c].mean(axis=0), [c / 3, 0.5], atol=0.01)
        np.testing.assert_allclose(X[y == c].std(axis=0), 0.1, atol=0.005)


def test_smallest_sets() -> None:
    X, y = data.spiral(1, 1)
    np.testing.assert_array_equal(X, [[0, 0]])
    np.testing.assert_array_equal(y, [0])
    np.testing.assert_array_equal(data.sine(1)[1], [[0]])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: data.spiral(0, 3), ValueError, "samples must be at least 1, got 0"),
        (lambda: data.spiral(3.0, 3), TypeError, r"samples must be an integer, got 3\.0"),  # type: ignore[arg-type]
        (lambda: data.spiral(3, True), TypeError, "classes must be an integer, got True"),
        (lambda: data.spiral(3, 3, seed=-1), ValueError, "seed must be from 0"),
        (lambda: data.spiral(3, 3, seed="a"), TypeError, "seed must be an integer, got 'a'"),  # type: ignore[arg-type]
        (lambda: data.spiral(3, 3, noise=float("nan")), ValueError, "noise must be a number from 0 to 1000, got nan"),
        (lambda: data.vertical(3, 10_001), ValueError, "classes must be at most 10000, got 10001"),
        (lambda: data.sine(-5), ValueError, "samples must be at least 1, got -5"),
    ],
)
def test_toy_complaints(make, error, text) -> None:
    with pytest.raises(error, match=text):
        make()


# --- IDX files ---


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


PIXELS = np.arange(2 * 3 * 4).reshape(2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_is_read(tmp_path: Path, pack) -> None:
    path = tmp_path / "a-file"
    path.write_bytes(pack(idx(PIXELS)))
    array = data.read_idx(path)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, PIXELS)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not an IDX file: it has 0 bytes"),
        (b"PK\x03\x04 and more", "not an IDX file: it starts with 0x504b0304"),
        (struct.pack(">HBB", 0, 8, 0), "not an IDX file"),
        (idx(PIXELS, kind=0x0D), "IDX values of type 0x0d"),
        (idx(PIXELS)[:10], "ends within its header"),
        (idx(PIXELS)[:-1], r"the header \(2, 3, 4\) promises 24 bytes, the file has only 23"),
        (idx(PIXELS) + b"x", "promises 24 bytes, the file has more"),
        (struct.pack(">HBB4I", 0, 8, 4, *[2**32 - 1] * 4), "has only 0"),
        (struct.pack(">HBB4I", 0, 8, 4, 0, *[2**32 - 1] * 3), r"the header \(0, 4294967295, .* is of no array"),
        (gzip.compress(idx(PIXELS))[:-12], "damaged gzip file"),
        (gzip.compress(idx(PIXELS), mtime=0)[:10] + b"\xff" * 30, "damaged gzip file"),
        (gzip.compress(idx(PIXELS), mtime=0)[:-8] + b"\0" * 8, "damaged gzip file: CRC check failed"),
    ],
)
def test_idx_complaints(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "bad-file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"bad-file: .*{text}"):
        data.read_idx(path)


def test_idx_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.read_idx(tmp_path / "nowhere")


# --- finding, fetching and checking ---


def little_collection(mirrors: tuple[str, ...] = ()) -> tuple[Collection, dict[str, bytes]]:
    """A collection of four small files, and the official gzip of each by its name."""
    zipped, files = {}, []
    for k, name in enumerate(NAMES):
        content = idx(np.arange(6 + k).reshape(-1, 1) if "images" in name else np.arange(6 + k))
        zipped[name] = gzip.compress(content, 9, mtime=0)
        files.append(PublishedFile(name, hashlib.sha256(zipped[name]).hexdigest(), hashlib.sha256(content).hexdigest()))
    return Collection("Little", "little", mirrors, tuple(files)), zipped


def put(folder: Path, zipped: dict[str, bytes], plain: tuple[str, ...] = ()) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zipped.items():
        if name in plain:
            (folder / name).write_bytes(gzip.decompress(content))
        else:
            (folder / (name + ".gz")).write_bytes(content)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator:
    """serve(folder): the address of an HTTP server of that folder, on this machine only."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args) -> None:
            pass

    def start(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=str(folder)))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("below", ["", "little"])
@pytest.mark.parametrize("plain", [(), (NAMES[0], NAMES[3])])
def test_files_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str, plain: tuple[str, ...]) -> None:
    collection, zipped = little_collection()
    put(tmp_path / below, zipped, plain)
    for arrays in (_download.load(collection, tmp_path), _download.load(collection, str(tmp_path))):
        assert [len(a) for a in arrays] == [6, 7, 8, 9]
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    assert [len(a) for a in _download.load(collection)] == [6, 7, 8, 9]


def test_any_gzip_of_the_right_bytes(tmp_path: Path) -> None:
    collection, zipped = little_collection()
    put(tmp_path, {name: gzip.compress(gzip.decompress(z), 1, mtime=7) for name, z in zipped.items()})
    assert len(_download.load(collection, tmp_path)) == 4


def test_one_changed_byte_is_seen(tmp_path: Path) -> None:
    collection, zipped = little_collection()
    content = bytearray(gzip.decompress(zipped[NAMES[2]]))
    content[-1] ^= 1
    put(tmp_path, zipped | {NAMES[2]: gzip.compress(bytes(content))})
    with pytest.raises(ValueError, match=rf"{NAMES[2]}\.gz: a sound IDX file .* but not Little's"):
        _download.load(collection, tmp_path)


def test_data_dir_complaints(tmp_path: Path) -> None:
    collection, zipped = little_collection()
    with pytest.raises(FileNotFoundError, match=r"data_dir: there is no folder .*nowhere"):
        _download.load(collection, tmp_path / "nowhere")
    put(tmp_path / "little", {name: zipped[name] for name in NAMES[:3]})
    with pytest.raises(FileNotFoundError, match=rf"lacks {NAMES[3]} of Little \(each with or without \.gz"):
        _download.load(collection, tmp_path)


def test_fetched_once_then_from_the_cache(tmp_path: Path, serve) -> None:
    collection, zipped = little_collection()
    put(tmp_path / "site", zipped)
    there = replace(collection, mirrors=(serve(tmp_path / "site"),))
    assert [len(a) for a in _download.load(there)] == [6, 7, 8, 9]
    cached = cache_dir() / "little"
    assert sorted(p.name for p in cached.iterdir()) == sorted(name + ".gz" for name in NAMES)
    assert len(_download.load(collection)) == 4  # no mirror any more


def test_dead_and_corrupt_mirrors_are_passed_over(tmp_path: Path, serve) -> None:
    collection, zipped = little_collection()
    put(tmp_path / "good", {name: gzip.compress(gzip.decompress(z), 1, mtime=7) for name, z in zipped.items()})
    put(tmp_path / "bad", {name: z[:-9] for name, z in zipped.items()})
    put(tmp_path / "other", {name: gzip.compress(idx(PIXELS)) for name in zipped})
    (tmp_path / "empty").mkdir()
    dead = "http://127.0.0.1:9/"
    mirrors = (dead, *(serve(tmp_path / name) for name in ("empty", "bad", "other")))
    collection = replace(collection, mirrors=mirrors)
    with pytest.raises(OSError, match="could not be fetched") as caught:
        _download.load(collection)
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    for line, mirror, reason in zip(
        lines[1:5], mirrors, ["refused", "HTTP 404", "damaged gzip file", "but not Little's"], strict=True
    ):
        assert mirror in line
        assert reason in line
    assert "data_dir=" in lines[5]
    assert "FASTNN_DATA" in lines[5]
    assert not list((cache_dir() / "little").iterdir())  # nothing half-done is left
    good = replace(collection, mirrors=(*mirrors, serve(tmp_path / "good")))
    assert len(_download.load(good)) == 4


def test_damaged_cache_is_fetched_again(tmp_path: Path, serve, caplog: pytest.LogCaptureFixture) -> None:
    collection, zipped = little_collection()
    put(tmp_path / "site", zipped)
    put(cache_dir() / "little", zipped | {NAMES[1]: b"not gzip"})
    collection = replace(collection, mirrors=(serve(tmp_path / "site"),))
    assert len(_download.load(collection)) == 4
    assert "fetching it again" in caplog.text
    assert (cache_dir() / "little" / (NAMES[1] + ".gz")).read_bytes() == zipped[NAMES[1]]


def test_a_connection_that_ends_early(tmp_path: Path) -> None:
    collection, _ = little_collection()

    class Short(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"x" * 10)

        def log_message(self, format, *args) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Short) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        collection = replace(collection, mirrors=(f"http://127.0.0.1:{server.server_address[1]}/",))
        with pytest.raises(OSError, match=r"IncompleteRead|ended after 10 of 100000 bytes"):
            _download.load(collection)
        thread.join()


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection, _ = little_collection(("http://127.0.0.1:9/",))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"the cache folder .* cannot be written: .*FASTNN_CACHE names another"):
        _download.load(collection)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_download.sys, "platform", "linux")
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("FASTNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "fastnn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "fastnn"
    monkeypatch.setattr(_download.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_dir() == tmp_path / "local" / "fastnn"


# --- the image sets ---


def test_sums_are_whole_and_different() -> None:
    sums = [s for c in (_images.MNIST, _images.FASHION_MNIST) for f in c.files for s in (f.gzip_sha256, f.idx_sha256)]
    assert len(set(sums)) == 16
    assert all(len(s) == 64 and set(s) <= set("0123456789abcdef") for s in sums)


def test_fashion_mnist(fashion_dir: Path) -> None:
    (X, y), (X_test, y_test) = data.fashion_mnist(fashion_dir)
    assert X.shape == (60000, 784)
    assert X_test.shape == (10000, 784)
    assert X.dtype == X_test.dtype == np.uint8
    assert y.dtype == y_test.dtype == np.int32
    np.testing.assert_array_equal(np.bincount(y), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(y_test), [1000] * 10)
    assert len(data.FASHION_MNIST_CLASSES) == 10
    (pictures, _), _ = data.fashion_mnist(fashion_dir, flatten=False)
    assert pictures.shape == (60000, 28, 28)
    _, (scaled, _) = data.fashion_mnist(fashion_dir, dtype="float32")
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, (X_test.astype(np.float32) - 127.5) / 127.5)


def test_fashion_mnist_from_a_mirror(fashion_dir: Path, monkeypatch: pytest.MonkeyPatch, serve) -> None:
    mirror = serve(fashion_dir)
    monkeypatch.setattr(_images, "FASHION_MNIST", replace(_images.FASHION_MNIST, mirrors=(mirror,)))
    (X, _), _ = data.fashion_mnist()
    assert len(X) == 60000
    assert len(list((cache_dir() / "fashion-mnist").iterdir())) == 4


def test_mnist_is_not_fashion_mnist(fashion_dir: Path) -> None:
    with pytest.raises(ValueError, match="but not MNIST's train-images-idx3-ubyte"):
        data.mnist(fashion_dir)


def test_image_dtype_complaint() -> None:
    with pytest.raises(ValueError, match="dtype must be 'uint8' or 'float32', got 'int8'"):
        data.mnist(dtype="int8")


# --- tables ---


@pytest.fixture
def write(tmp_path: Path):
    def write_text(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "t.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write_text


def test_csv_with_named_classes(write) -> None:
    table = data.read_csv(write("a,kind,b\n1,oak,2\n3,elm,4.5\n-1e3,oak,.5\n"), "kind")
    np.testing.assert_array_equal(table.X, np.array([[1, 2], [3, 4.5], [-1000, 0.5]], np.float32))
    assert table.X.dtype == np.float32
    assert table.y.dtype == np.int32
    np.testing.assert_array_equal(table.y, [1, 0, 1])
    assert table.feature_names == ("a", "b")
    assert table.class_names == ("elm", "oak")


def test_csv_names_that_say_none_are_no_fallback(write) -> None:
    rows = write("a,severity\n1,None\n2,Mild\n3,maybe\n")
    with pytest.raises(ValueError, match="line 4, column 'severity': 'maybe' is none of the classes Mild, None"):
        data.read_csv(rows, "severity", class_names=["Mild", "None"])


def test_csv_integer_targets(write) -> None:
    rows = "\n".join(f"{i},{label}" for i, label in enumerate(["10", "9", "2.0", "2", "9", "10"]))
    table = data.read_csv(write("x,y\n" + rows), "y")
    assert table.class_names == ("2", "9", "10")  # by value, not by text
    np.testing.assert_array_equal(table.y, [2, 1, 0, 0, 1, 2])
    as_numbers = data.read_csv(write("x,y\n" + rows), "y", task="regression")
    assert as_numbers.class_names == ()
    assert as_numbers.y.dtype == np.float32
    np.testing.assert_array_equal(as_numbers.y, [[10], [9], [2], [2], [9], [10]])


@pytest.mark.parametrize(
    ("targets", "classes"),
    [
        (["0.5", "1", "1", "1"], 0),  # not integers
        (["1", "2", "3", "3", "2"], 0),  # more than half as many values as rows
        (["1", "2", "2", "1"], 2),
        ([str(i) for i in range(20)] * 2, 20),
        ([str(i) for i in range(21)] * 2, 0),
        (["yes", "1"], 2),
    ],
)
def test_csv_task_rule(write, targets: list[str], classes: int) -> None:
    table = data.read_csv(write("x,y\n" + "".join(f"0,{t}\n" for t in targets)), "y")
    assert len(table.class_names) == classes


def test_csv_forms(write) -> None:
    table = data.read_csv(write('\ufeffx;"the y"\r\n1;"a;b"\r\n\r\n2;c\r\n'), "the y", ";")
    assert table.feature_names == ("x",)
    assert table.class_names == ("a;b", "c")


def test_csv_with_another_files_classes(write) -> None:
    path = write("b,y,a,unread\n1,dog,2,?\n3,cat,4,?\n")
    table = data.read_csv(path, "y", feature_names=["a", "b"], class_names=["cat", "cow", "dog"])
    np.testing.assert_array_equal(table.X, [[2, 1], [4, 3]])
    np.testing.assert_array_equal(table.y, [2, 0])
    with pytest.raises(ValueError, match=r"t\.csv, line 2, column 'y': 'dog' is none of the classes cat, cow"):
        data.read_csv(path, "y", feature_names=["a", "b"], class_names=["cat", "cow"])
    X, names = data.read_features(path, ["a"])
    np.testing.assert_array_equal(X, [[2], [4]])
    assert names == ("a",)


def test_csv_of_many_rows(write) -> None:
    n = 10_000
    X, names = data.read_features(write("i,j\n" + "".join(f"{i},{-i}\n" for i in range(n))))
    np.testing.assert_array_equal(X, np.c_[np.arange(n), -np.arange(n)])
    assert names == ("i", "j")
    with pytest.raises(ValueError, match="line 9003, column 'j': expected a finite number, got 'x'"):
        data.read_features(write("i,j\n" + "".join(f"{i},{'x' if i == 9001 else 0}\n" for i in range(n))))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"t\.csv: the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,y\n", "there is a header but no data"),
        ("1,2\n3,4\n", "the first line must name the columns, but it holds numbers: 1, 2"),
        ("a,a,y\n1,2,3\n", "column 'a' stands in the header more than once"),
        ("a,b\n1,2\n", "no target column 'y'; the columns are a, b"),
        ("a;y\n1;2\n", r"no target column 'y'; the columns are a;y \(is the delimiter not ','\?\)"),
        ("y\n1\n", "no column is left beside the target 'y'"),
        ("a,y\n1,2\n3\n", r"t\.csv, line 3: 1 cells, but the header has 2"),
        ("a,y\n1,2\n3,4,5\n", "line 3: 3 cells, but the header has 2"),
        ("a,y\n1,p\nhigh,q\n", "line 3, column 'a': expected a finite number, got 'high'"),
        ("a,y\n1,p\n,q\n", "line 3, column 'a': expected a finite number, got an empty cell"),
        ("a,y\nnan,p\n", "line 2, column 'a': expected a finite number, got 'nan'"),
        ("a,y\n1e39,p\n", "line 2, column 'a': expected a finite number, got '1e39'"),
        ("a,y\n1,p\n1,\n", "line 3, column 'y': the cell is empty"),
    ],
)
def test_csv_complaints(write, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        data.read_csv(write(text), "y")


def test_csv_other_complaints(write, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.read_csv(tmp_path / "nowhere.csv", "y")
    with pytest.raises(ValueError, match=r"not text in UTF-8 \(.* at byte 4\)"):
        data.read_csv(write("a,y\né,1\n", "latin-1"), "y")
    with pytest.raises(ValueError, match="task must be 'classification' or 'regression', got 'both'"):
        data.read_csv(write("a,y\n1,2\n"), "y", task="both")
    with pytest.raises(ValueError, match=r"delimiter must be one character, .*got ', '"):
        data.read_csv(write("a,y\n1,2\n"), "y", ", ")
    with pytest.raises(ValueError, match="column 'y': expected a finite number, got 'p'"):
        data.read_csv(write("a,y\n1,p\n"), "y", task="regression")
    with pytest.raises(ValueError, match="no feature column 'c'; the columns are a, y"):
        data.read_features(write("a,y\n1,2\n"), ["c"])


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    X = np.arange(24).reshape(4, 3, 2)
    np.savez(path, X=X, y=np.array([[0], [1], [1], [0]]))
    (features, labels), held_out = data.read_npz(path)
    assert features.dtype == np.float32
    assert labels.dtype == np.int32
    assert held_out is None
    np.testing.assert_array_equal(features, X.reshape(4, 6))
    np.testing.assert_array_equal(labels, [0, 1, 1, 0])

    np.savez_compressed(
        path, x_train=X.astype(np.uint8), y_train=np.eye(4), x_test=X[:2].astype(np.uint8), y_test=np.eye(4)[:2]
    )
    (features, targets), held_out = data.read_npz(path)
    assert features.dtype == np.uint8
    assert targets.dtype == np.float32
    assert targets.shape == (4, 4)
    assert held_out is not None
    assert held_out[0].shape == (2, 6)

    np.savez(path, x=np.ones((3, 2)), y=np.array([0.5, 1, 2]))
    (_, targets), _ = data.read_npz(path)
    assert targets.shape == (3, 1)
    assert targets.dtype == np.float32


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"a": np.ones(3)}, "expected arrays X and y, or X_train and y_train; it holds a"),
        ({"X": np.ones(3), "y": np.ones(3)}, r"X must have shape \(n, features\), it has \(3,\)"),
        ({"X": np.ones((3, 2)), "y": np.ones(4)}, r"y must have shape .* n = 3, the rows of X; it has \(4,\)"),
        ({"X": np.ones((0, 2)), "y": np.ones(0)}, r"X is empty, its shape is \(0, 2\)"),
        ({"X": np.array([["a"]]), "y": np.ones(1)}, "X must hold numbers, it has dtype <U1"),
        ({"X": np.array([[1, np.nan]]), "y": np.ones(1)}, r"X\[0, 1\] is not a finite number"),
        ({"X": np.ones((1, 2)), "y": np.array([2**31])}, "y must fit 32-bit integers"),
        ({"X": np.array([[{}]]), "y": np.ones(1)}, "not a readable .npz file: Object arrays"),
        (
            {"X_train": np.ones((2, 2)), "y_train": np.ones(2), "X_test": np.ones((2, 3)), "y_test": np.ones(2)},
            "X_train has 2 features, X_test has 3",
        ),
    ],
)
def test_npz_complaints(tmp_path: Path, arrays: dict[str, np.ndarray], complaint: str) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(ValueError, match=rf"t\.npz: {complaint}"):
        data.read_npz(tmp_path / "t.npz")


def test_npz_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    for content, complaint in [(b"", "No data left"), (b"text", "not a readable"), (b"PK\x03\x04", "not a zip file")]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=complaint):
            data.read_npz(path)
    with open(path, "wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(ValueError, match="a single array"):
        data.read_npz(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.read_npz(tmp_path / "nowhere.npz")
