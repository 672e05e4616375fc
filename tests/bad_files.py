"""Files that are wrong in one place each, and what the error has to say."""

from __future__ import annotations

import json
from typing import Any

from file_mutants import changed, put_together, sign, take_apart

DESCRIPTIONS: list[tuple[str, Any, str]] = [
    (
        "a huge layer",
        lambda h, d: d["layers"][1].update(n_inputs=2**30),
        r"layers: the tensor 'layer1\.weights' is float32",
    ),
    (
        "huge layers without tensors",
        lambda h, d: d["layers"].append({**d["layers"][1], "n_inputs": 2**30}),
        r"layers: the tensor 'layer4\.weights' of shape \(3, 1073741824\) is missing",
    ),
    (
        "too many layers",
        lambda h, d: d.update(layers=[{"name": "Dropout", "rate": 0.0}] * 5000),
        "layers: expected a list of at most 4096, got 5000",
    ),
    ("no layers", lambda h, d: d.update(layers=[]), "layers: the model has no layers"),
    ("a layer of no name", lambda h, d: d["layers"][0].pop("name"), r"layers\[0\]: expected a name, got None"),
    ("a layer that is none", lambda h, d: d["layers"].insert(1, 7), r"layers\[1\]: expected a dict, got 7"),
    (
        "an unknown layer",
        lambda h, d: d["layers"][0].update(name="Os"),
        r"layers\[0\]: layer: unknown name 'Os'.*custom_objec",
    ),
    (
        "an unknown argument",
        lambda h, d: d["layers"][0].update(code="1"),
        r"layers\[0\]: .*unexpected keyword argument 'code'",
    ),
    ("a loss that is none", lambda h, d: d["loss"].update(name="adam"), "loss: loss: unknown name 'adam'"),
    (
        "NaN in a setting",
        lambda h, d: d["optimizer"].update(beta_1=float("nan")),
        "optimizer: beta_1: expected at least 0",
    ),
    (
        "infinity",
        lambda h, d: d["layers"][0].update(scale=float("inf")),
        r"layers\[0\]: scale: expected a finite number, got inf",
    ),
    ("no such width", lambda h, d: d.update(n_inputs=0), "layers: n_inputs: expected at least 1"),
    ("a width of no number", lambda h, d: d.update(n_inputs="4"), "layers: n_inputs: expected a whole number, got '4'"),
    ("dtype", lambda h, d: d.update(dtype="object"), "dtype: expected float32 or float64, got 'object'"),
    ("the other dtype", lambda h, d: d.update(dtype="float64"), "is float32 of shape .*, the layers make it float64"),
    ("a seed", lambda h, d: d.update(seed=-1), "seed: seed: expected at least 0"),
    ("a seed of many digits", lambda h, d: d.update(seed=10**400), "seed: seed: expected at least 0"),
    ("steps", lambda h, d: d.update(steps_done=2**63), "steps_done: expected at least 0 and at most"),
    ("epochs", lambda h, d: d.update(epochs_done=1.5), "epochs_done: expected a whole number, got 1.5"),
    (
        "more epochs than there are",
        lambda h, d: d["history"].update(epochs=2**60),
        r"history: 'history\.loss' is float64 of shape \(3,\)",
    ),
    (
        "columns",
        lambda h, d: d["history"].update(columns=["loss", "loss"]),
        "history: columns: expected texts, none of them twice",
    ),
    ("no columns", lambda h, d: d["history"].update(columns=[]), "history: expected loss"),
    ("states", lambda h, d: d.update(states=3), r"the tensor 'state2\.layer1\.weights' of shape \(4, 6\) is missing"),
    ("many states", lambda h, d: d.update(states=10**9), "states: states: expected at least 0 and at most"),
    (
        "fewer states",
        lambda h, d: d.update(states=1),
        r"the tensor 'state1\.layer1\.biases' belongs to no part of the model",
    ),
    (
        "labels",
        lambda h, d: d.update(class_labels=["a", "b"]),
        "class_labels: class_labels: expected 3 for 3 outputs, got 2",
    ),
    ("labels twice", lambda h, d: d.update(class_labels=["a", "a", "b"]), "'a' is there twice"),
    ("labels of lists", lambda h, d: d.update(class_labels=[[], [], []]), "class_labels: expected texts or numbers"),
    ("metadata", lambda h, d: d.update(metadata=[]), "metadata: expected a dict"),
    ("a place", lambda h, d: d.update(position=3), "position: expected a dict, got 3"),
    ("callbacks", lambda h, d: d["callbacks"][0].pop("state"), r"callbacks\[0\]: expected name, epochs_seen and state"),
    (
        "callbacks' epochs",
        lambda h, d: d["callbacks"][0].update(epochs_seen=[]),
        r"callbacks\[0\]: epochs_seen: expected a whole",
    ),
    ("no callbacks", lambda h, d: d.update(callbacks=[]), r"the tensor 'callback0\.parameters' belongs to no part"),
    ("precision", lambda h, d: d.update(precision="1"), "precision: expected a number, got '1'"),
    ("accuracy", lambda h, d: d.update(accuracy={"name": "x"}), "accuracy: accuracy: unknown name 'x'"),
    ("another kind", lambda h, d: d.update(kind="weights"), r"of kind 'weights' \(read it with load_weights\)"),
    ("something missing", lambda h, d: d.pop("seed"), "the description lacks seed"),
    (
        "something new",
        lambda h, d: d.update(quantum=1),
        r"has \['quantum'\], which this release does not know: written by a newer",
    ),
    ("a newer format", lambda h, d: d.update(format=2), "format version 2, this release reads 1"),
    ("a format that is none", lambda h, d: d.update(format=True), "format version True"),
    (
        "a tensor too many",
        lambda h, d: h.update(more={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
        "'more' belongs to no part",
    ),
    (
        "no such type",
        lambda h, d: h["layer1.weights"].update(dtype="F7"),
        r"tensor 'layer1\.weights': dtype 'F7' is not known",
    ),
    (
        "a shape",
        lambda h, d: h["layer1.weights"].update(shape=[4, 7]),
        r"tensor 'layer1\.weights': F32 of shape \[4, 7\] takes 112 bytes",
    ),
    ("a huge shape", lambda h, d: h["layer1.weights"].update(shape=[2**62, 2**62]), "takes .* bytes, data_offsets are"),
    (
        "a negative shape",
        lambda h, d: h["layer1.weights"].update(shape=[-4, -6]),
        "expected a shape of up to 8 sizes, got",
    ),
    ("many dimensions", lambda h, d: h["layer1.weights"].update(shape=[1] * 60), "expected a shape of up to 8 sizes"),
    ("offsets", lambda h, d: h["layer1.weights"].update(data_offsets=[2**60, 2**60 + 96]), "leaves a gap before it"),
    ("no dict", lambda h, d: h.update(a=1), "expected what 'a' is, in {}"),
]


def swap(header: dict[str, Any], description: dict[str, Any]) -> None:
    first, second = header["layer1.biases"], header["layer3.biases"]
    first["data_offsets"], second["data_offsets"] = [0, 24], [0, 12]


def deepened(blob: bytes) -> bytes:
    header, description, data = take_apart(blob)
    description["metadata"] = "HERE"
    text = json.dumps(description).replace('"HERE"', "[" * 100_000 + "]" * 100_000)
    return put_together(header, None, data, text)


TEXTS: list[tuple[str, Any, str]] = [
    ("empty", lambda b: b"", "not a model file: 0 bytes"),
    ("text", lambda b: b"no model at all", "not a model file, or cut off: a header of"),
    ("cut off", lambda b: b[:-1], "cut off or too long: the tensors take"),
    ("too long", lambda b: b + b"\0", "cut off or too long"),
    ("a header past the end", lambda b: (2**63).to_bytes(8, "little") + b[8:], "a header of 9223372036854775808 bytes"),
    ("a pickle", lambda b: b"\x80\x04\x95\x64\0\0\0\0\0\0\0" + b, r"a pickle\. Such a file can run any code"),
    ("damage", lambda b: b[:-1] + bytes([b[-1] ^ 1]), "damaged, its SHA-256 does not match its contents"),
    ("another signature", lambda b: b.replace(b'"sha256":"', b'"sha257":"'), "its SHA-256 is not in its place"),
    ("no entry", lambda b: sign(b.replace(b'"fastnn":"', b'"fastno":"', 1)), "without a fastnn entry"),
    (
        "a key twice",
        lambda b: sign(b.replace(b'"layer1.biases"', b'"layer3.biases"')),
        r"the key 'layer3\.biases' is there twice",
    ),
    ("depth", deepened, "the description: nested too deep"),
    ("overlap", lambda b: changed(b, swap), "overlaps the one before"),
    (
        "a key of the description twice",
        lambda b: sign(b.replace(rb"\"kind\":", rb"\"seed\":")),
        "the description: the key 'seed' is there twice",
    ),
    ("no JSON", lambda b: sign(b.replace(rb"\"kind\":", rb"\"kind\" ")), "the description: not JSON"),
    ("no UTF-8", lambda b: sign(b.replace(b"history.loss", b"history.lo\xffs")), "the header, byte .*: not JSON"),
]


def nested(depth: int) -> dict[str, Any]:
    layer: dict[str, Any] = {"name": "relu"}
    for _ in range(depth):
        layer = {"name": "Residual", "layers": [layer], "projection": False}
    return layer


def norm(**config: Any) -> Any:
    return lambda h, d: d["layers"][5].update(name="Normalization", **config)


# of the file of tests/files/v1/graph.fnn: Input a, Input b, Dense, Dense, Add, Multiply, Concatenate, Residual, Dense
GRAPHS: list[tuple[str, Any, str]] = [
    ("no wiring", lambda h, d: d.update(graph=None), "graph: these sources make no graph of 9 layers"),
    ("a layer that reads itself", lambda h, d: d["graph"][4].append(4), "graph: these sources make no graph"),
    ("a circle", lambda h, d: d["graph"][2].__setitem__(0, 8), "graph: these sources make no graph"),
    ("out of range", lambda h, d: d["graph"][4].append(2**70), "graph: these sources make no graph"),
    ("before the first", lambda h, d: d["graph"][4].append(-1), "graph: these sources make no graph"),
    ("a place of no number", lambda h, d: d["graph"][4].append([0]), "graph: these sources make no graph"),
    ("a truth", lambda h, d: d["graph"][4].append(True), "graph: these sources make no graph"),
    ("two for one", lambda h, d: d["graph"][2].append(1), "graph: these sources make no graph"),
    ("one layer less", lambda h, d: d["layers"].pop(), "graph: these sources make no graph of 8 layers"),
    ("a loose end", lambda h, d: d["graph"][6].pop(0), r"the only one that none reads, got \[4, 8\]"),
    ("one to add", lambda h, d: d["graph"].__setitem__(4, [2]), r"layer 4 \(Add\): joins two or more values"),
    (
        "other widths",
        lambda h, d: d["graph"].__setitem__(4, [2, 3, 0]),
        r"layer 4 \(Add\): expected values of equal width, got 4 .*, 3",
    ),
    (
        "endless sources",
        lambda h, d: d["graph"].__setitem__(4, [2, 3] * 9000),
        "graph: the layers of a model read at most 16384 values together",
    ),
    (
        "two inputs of one name",
        lambda h, d: d["layers"][1].update(input_name="a"),
        "inputs: two have the same name: 'a', 'a'",
    ),
    ("an input of no width", lambda h, d: d["layers"][1].pop("n_inputs"), r"layers\[1\]: KeyError: 'n_inputs'"),
    ("other inputs", lambda h, d: d.update(n_inputs=6), "n_inputs: the inputs of the model have 5 columns together"),
    ("a chain", lambda h, d: d.pop("graph"), r"layers: layer 0 \(Input\): expected input of width 3"),
    ("nesting", lambda h, d: d["layers"].__setitem__(7, nested(33)), "at most 32 layers may hold one another"),
    ("deep nesting", lambda h, d: d["layers"].__setitem__(7, nested(150)), "at most 32 layers may hold one another"),
    ("a wide nest", lambda h, d: d["layers"][7]["layers"].extend([{"name": "relu"}] * 4085), "has at most 4096 layers"),
    ("an empty nest", lambda h, d: d["layers"][7].update(layers=[]), r"layers\[7\]: layers: expected at least one"),
    ("numbers in a nest", lambda h, d: d["layers"][7].update(layers=[8]), r"layers\[7\]: layers\[0\]: expected a dict"),
    ("no nest", lambda h, d: d["layers"][7].pop("layers"), r"layers\[7\]: KeyError: 'layers'"),
    (
        "a nest of a text",
        lambda h, d: d["layers"][7].update(layers="relu"),
        r"layers\[7\]: layers\[0\]: expected a Layer",
    ),
    (
        "a projection that is none",
        lambda h, d: d["layers"][7].update(projection={"name": "relu"}),
        r"layers\[7\]: projection: expected True, False or a Dense",
    ),
    (
        "a merge in a row",
        lambda h, d: d["layers"][7]["layers"].append({"name": "Add"}),
        r"layers\[7\]: layers\[3\]: Add has no place in a row",
    ),
    ("another layer in a row", lambda h, d: d["layers"][7].update(more=1), "unexpected keyword argument 'more'"),
    (
        "momentum",
        lambda h, d: d["layers"][7]["layers"][0].update(momentum=1.0),
        r"layers\[7\]: layers\[0\]: momentum: expected at least 0 and below 1",
    ),
    (
        "epsilon",
        lambda h, d: d["layers"][7]["layers"][0].update(epsilon=0.0),
        "epsilon: expected more than 0, got 0.0",
    ),
    (
        "no factors",
        lambda h, d: d["layers"][7]["layers"][0].update(scale=False),
        r"the tensor 'layer8\.gamma' belongs to no part",
    ),
    ("factors", lambda h, d: d["layers"][7]["layers"][0].update(scale=1), "scale: expected True or False, got 1"),
    ("a moment alone", norm(mean=1.0), r"layers\[5\]: mean, variance: expected both or neither"),
    ("moments of texts", norm(mean=["1"], variance=["1"]), r"layers\[5\]: mean: expected a number or one for each"),
    ("moments of nothing", norm(mean=[], variance=[]), r"layers\[5\]: mean: expected a number or one for each"),
    ("moments of lists", norm(mean=[[1.0]], variance=1.0), r"layers\[5\]: mean: expected a number or one for each"),
    ("an infinite moment", norm(mean=float("inf"), variance=1.0), r"layers\[5\]: mean: expected finite numbers"),
    ("huge moments", norm(mean=10**300 * 7, variance=[1.0]), r"layers\[5\]: "),
    ("a variance below 0", norm(mean=0.0, variance=-1.0), r"layers\[5\]: variance: expected at least 0, got -1.0"),
    ("moments of other widths", norm(mean=[0.0, 1.0], variance=[1.0]), r"layers\[5\]: mean, variance: |broadcast"),
    ("metrics", lambda h, d: d.update(metrics="f1"), "metrics: expected a list of at most 1000, got 'f1'"),
    ("a metric", lambda h, d: d.update(metrics=[{"name": "os"}]), r"metrics\[0\]: metric: unknown name 'os'"),
    (
        "a metric twice",
        lambda h, d: d.update(metrics=[{"name": "f1"}, {"name": "f1"}]),
        r"metrics\[1\]: 'f1' cannot be its name in the history",
    ),
    (
        "a metric called loss",
        lambda h, d: d.update(metrics=[{"name": "f1", "column": "loss"}]),
        r"metrics\[0\]: 'loss' cannot be its name in the history",
    ),
    (
        "an average",
        lambda h, d: d.update(metrics=[{"name": "f1", "average": ["macro"]}]),
        r"metrics\[0\]: metric f1: average",
    ),
    (
        "counts that are no tensors",
        lambda h, d: d["position"].update(arrays={"rows": 5}),
        "position: arrays: expected them among the tensors",
    ),
    (
        "counts of no place",
        lambda h, d: (d.update(position=None), h.update({"position.rows": h.pop("history.loss")})),
        r"the tensor 'position\.rows' belongs to no part|history",
    ),
]
