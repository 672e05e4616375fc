"""Write the seeds of the fuzz targets: small files of every kind that the package writes and reads.

    python tests/fuzz/make_corpus.py

Seeds are written once and then kept, like those of tests/files; a new kind of part gets a seed by a line here.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from onnx_files import content, node

import fastnn
from fastnn import (
    Add,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    Input,
    LayerNorm,
    Model,
    Multiply,
    Normalization,
    Rescale,
    Residual,
)
from fastnn.activations import Activation

HERE = Path(__file__).resolve().parent
FILES = HERE.parent / "files" / "v1"
# of the released files: something in every place, one of each kind that has a form of its own
MODELS = (
    "batch-norm",
    "classifier",
    "clipped",
    "graph",
    "held-and-averaged",
    "layer-norm",
    "metrics",
    "nnfs-model",
    "noise",
    "normalization",
    "optimizer-lbfgs",
    "residual",
    "schedule-one_cycle",
    "untrained",
    "weights",
    "within-an-epoch",
    "within-an-accumulated-step",
    "yes-or-no",
    "float64",
    "activation-leaky_relu",
    "loss-huber",
)


def models() -> dict[str, bytes]:
    return {name: (FILES / f"{name}.fnn").read_bytes() for name in MODELS}


def graph() -> Model:
    a, b = Input(3, name="a"), Input(2, name="b")
    h = Dense(4, activation="relu")(a)
    gated = Multiply()([h, Dense(4, activation="sigmoid")(h)])
    joined = Concatenate()([Add()([gated, h]), b])
    return Model(inputs=[a, b], outputs=Dense(2, activation="softmax")(joined), seed=0)


def onnx_models() -> dict[str, bytes]:
    from fastnn.export import _onnx

    def written(*layers: fastnn.Layer, dtype: str = "float32") -> bytes:
        model = Model([Input(4), *layers], seed=0, dtype=dtype)
        model.finalize()
        return _onnx.to_bytes(model)

    found = {
        "normalized": written(
            Normalization(mean=[0, 1, 2, 3], variance=[1, 2, 3, 4]),
            Dense(3, activation="gelu"),
            BatchNorm(),
            LayerNorm(),
            Dropout(0.5),
            Rescale(0.5, 1.0),
            Dense(2, activation="log_softmax"),
        ),
        "residual": written(Residual([Dense(4, activation="tanh"), Dense(4)]), Dense(2)),
        "double": written(Dense(3, activation="softplus"), Dense(2, activation="selu"), dtype="float64"),
    }
    net = graph()
    net.finalize()
    found["graph"] = _onnx.to_bytes(net)
    for kind in sorted({cls.names[0] for cls in Activation.registry.values()}):
        if kind in ("mish", "gelu_tanh", "hard_swish", "elu", "step", "relu6"):
            found[kind] = written(Activation.registry[kind]())
    w, b = np.arange(12, dtype=np.float32).reshape(4, 3), np.ones(3, np.float32)
    found["gemm"] = content(
        [node("Gemm", "x w b", "h", transB=1), node("Softmax", "h", "y", axis=-1)], {"w": w.T.copy(), "b": b}
    )
    found["shapes"] = content(
        [
            node("Reshape", "x k", "p"),
            node("Flatten", "p", "f", axis=1),
            node("MatMul", "f w", "m"),
            node("Add", "m b", "a"),
            node("Clip", "a lo hi", "c"),
            node("Identity", "c", "y"),
        ],
        {"k": np.array([0, 2, 2], np.int64), "w": w, "b": b, "lo": 0.0, "hi": 6.0},
        typed=True,
    )
    found["constants"] = content(
        [
            node("Constant", "", "w0", value=w.T.copy()),
            node("Transpose", "w0", "w", perm=[1, 0]),
            node("Cast", "x", "z", to=1),
            node("Gemm", "z w", "h"),
            node("Dropout", "h r t", "d"),
            node("PRelu", "d s", "y"),
        ],
        {"r": 0.25, "t": np.array(False), "s": 0.1},
    )
    return found


CSV = {
    "classes": b"a,b,kind\n1,2,ant\n3,4.5,bee\n-1e3,0,ant\n",
    "numbers": b"x0,x1,y\r\n0.5,1,2.25\r\n1.5,2,3.75\r\n",
    "quoted": b'"a ""x""",b,y\n1,"2",0\n"3",4,1\n5,6,0\n7,8,1\n',
    "semicolons": b"a;b;y\n1;2;0\n3;4;1\n1;2;0\n3;4;1\n",
    "tabs": b"a\tb\ty\n1\t2\tno\n3\t4\tyes\n",
    "bom": b"\xef\xbb\xbfa,y\n1,0\n\n2,1\n",
    "pipes": b"a|y\n 1 |0\n2|1\n",
    "no-data": b"a,b,y\n",
    "numbers-as-names": b"1,2,3\n4,5,6\n",
    "not-finite": b"a,y\nnan,1\ninf,2\n",
}


def archives() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4, 3)).astype(np.float32), np.array([0, 1, 0, 2])
    found = {
        "plain": {"X": X, "y": y},
        "pictures": {"x": rng.integers(0, 256, (3, 2, 2), np.uint8), "y": np.eye(3, dtype=np.float64)},
        "split": {"X_train": X, "y_train": y, "X_test": X[:2].astype(np.float64), "y_test": y[:2]},
        "quantities": {"X": np.asfortranarray(X.astype(">f8")), "y": X[:, 0]},
        "truth": {"X": X > 0, "y": (y > 0)[:, None]},
    }
    blobs = {}
    for name, arrays in found.items():
        stream = io.BytesIO()
        (np.savez if name != "split" else np.savez_compressed)(stream, **arrays)
        blobs[name] = stream.getvalue()
    return blobs


def main() -> None:
    kinds = {
        "model": (models(), "fnn"),
        "onnx": (onnx_models(), "onnx"),
        "csv": (CSV, "csv"),
        "npz": (archives(), "npz"),
    }
    for kind, (seeds, ending) in kinds.items():
        folder = HERE / "corpus" / kind
        folder.mkdir(parents=True, exist_ok=True)
        for name, blob in seeds.items():
            if not (folder / f"{name}.{ending}").exists():
                (folder / f"{name}.{ending}").write_bytes(blob)


if __name__ == "__main__":
    main()
