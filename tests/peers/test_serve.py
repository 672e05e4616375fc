"""examples/serve.py: what a client may send, and that an answer's version is that of its weights."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastnn import Dense, Model, Session

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

BYTES = {"content-type": "application/octet-stream"}
TOKEN = {"authorization": "Bearer t"}


@pytest.fixture(scope="module")
def serve() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "examples" / "serve.py"
    spec = importlib.util.spec_from_file_location("serve_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def asked(app: Any, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """One request to an ASGI application, without a server."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
             "raw_path": path.encode(), "root_path": "", "scheme": "http", "query_string": b"", "client": ("c", 1),
             "server": ("s", 80), "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def constant(value: float) -> Model:
    """A model whose outputs are all this value, for rows of 0."""
    model = Model([Dense(3)], seed=0)
    model.finalize(2)
    model.layers[0].biases[:] = value
    return model


@pytest.fixture
def ask(serve: ModuleType) -> Callable[..., tuple[int, Any]]:
    app = serve.make_app(constant(1).session(), Session.load, "t")

    def send(body: Any, headers: Any = (), method: str = "POST", path: str = "/predict") -> tuple[int, Any]:
        status, got = asyncio.run(asked(app, method, path, body, dict(headers)))
        return status, got if status == 200 and headers and method == "POST" else json.loads(got)

    return send


def rows(text: str) -> bytes:
    return f'{{"rows": {text}}}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        rows("[[NaN, 1]]"), rows("[[1e400, 1]]"), rows("[[1e39, 1]]"), rows("[[-Infinity, 1]]"), rows("[[null, 1]]"),
        rows(f"[[{'9' * 400}, 1]]"), rows(f"[[{'9' * 5000}, 1]]"), rows("[" * 100_000 + "]" * 100_000),
        rows("[" * 60 + "]" * 60), rows("[]"), rows("[[]]"), rows("[1, 2]"), rows("[[1, 2], [3]]"), rows('{"a": 1}'),
        b"", b"{", b"null", b"[[1, 2]]", b"\xff",
    ],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_rows_that_are_none_are_the_clients_fault(ask: Any, body: bytes) -> None:
    status, answer = ask(body)
    assert (status, list(answer)) == (400, ["error"])
    assert answer["error"].startswith("rows: ")


@pytest.mark.parametrize(
    "body", [b"", b"abc", np.ones(3, "f4").tobytes(), np.full(2, np.nan, "f4").tobytes()], ids=repr
)
def test_bytes_that_are_no_rows_are_the_clients_fault(ask: Any, body: bytes) -> None:
    status, answer = ask(body, BYTES)
    assert status == 400
    assert answer["error"].startswith("rows: ")


@pytest.mark.parametrize("kind", [BYTES["content-type"], "application/octet-stream; x=1", "Application/Octet-Stream "])
def test_bytes_by_any_spelling(ask: Any, kind: str) -> None:
    status, answer = ask(np.zeros((4, 2), "f4").tobytes(), {"content-type": kind})
    assert status == 200
    assert np.array_equal(np.frombuffer(answer, "f4"), np.ones(12))
    assert ask(rows("[[0, 0]]")) == (200, {"outputs": [[1, 1, 1]], "version": 1})


def test_outputs_that_overflow(ask: Any) -> None:
    far = "[[3e38, 3e38], [3e38, -3e38]]"
    for status, answer in (ask(rows(far)), ask(np.array(json.loads(far), "f4").tobytes(), BYTES)):
        assert status == 422
        assert answer["error"].startswith("outputs: not finite")


def test_an_answer_has_the_version_of_its_weights(serve: ModuleType) -> None:
    """A swap while a thread is at many rows."""
    session, begun, swapped = constant(1).session(), threading.Event(), threading.Event()

    class Slow:
        n_in, n_out, dtype, swap = session.n_in, session.n_out, session.dtype, session.swap

        def __call__(self, given: Any) -> Any:
            begun.set()
            swapped.wait(30)
            return session(given)

    app = serve.make_app(Slow(), Session.load, "t")

    async def both() -> tuple[Any, Any]:
        many = np.zeros((serve.LONG, 2)).tolist()
        first = asyncio.create_task(asked(app, "POST", "/predict", rows(str(many)), {}))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        put = await asked(app, "PUT", "/model", constant(2).to_bytes(), TOKEN)
        swapped.set()
        return put, await first

    put, (status, answer) = asyncio.run(both())
    assert put == (200, b'{"version":2}')
    assert status == 200
    got = json.loads(answer)
    assert (got["version"], got["outputs"][0]) == (2, [2, 2, 2])
    other = Model([Dense(4)])
    other.finalize(2)
    status, answer = asyncio.run(asked(app, "PUT", "/model", other.to_bytes(), TOKEN))
    assert (status, b"expected 2 inputs, 3 outputs" in answer) == (400, True)
