"""A model behind HTTP: one session that all requests share, replaced while it answers. Needs the serve extra.

python examples/serve.py MODEL.fnn [PORT]    serves a file of Model.save
python examples/serve.py [EPOCHS]            trains on the spiral, serves that to itself, and swaps it for a better one

POST /predict   {"rows": [[...], ...]} -> {"outputs": [[...], ...], "version": 1}; with content type
                application/octet-stream the rows are bytes of the model's dtype, and so are the outputs. Rows that
                are none, or not finite, are answered by 400, outputs that are not finite by 422
GET /health     sizes, dtype and version of the model
PUT /model      a file of Model.save of the same sizes: the next answer is by it. With SERVE_TOKEN in the environment,
                and "Authorization: Bearer ..." with that, only
"""

import hmac
import http.client
import json
import os
import sys
import tempfile
import threading
import time

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fastnn import Dense, Model, Session, data, optimizers

MOST_BYTES = 64 << 20  # of a request
LONG = 2048  # rows that take long enough to be worth a thread of their own, while others are answered
BYTES = "application/octet-stream"


def make_app(session, load=None, token=""):
    """The ASGI application. session: anything that is called with rows and has n_in, n_out and dtype; load: makes what
    ``session.swap`` takes of a path."""
    state = {"version": 1}

    async def content(request: Request) -> bytes:
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > MOST_BYTES:
                raise HTTPException(413, f"at most {MOST_BYTES} bytes")
            parts.append(part)
        return b"".join(parts)

    def rows_of(body: bytes, as_bytes: bool) -> np.ndarray:
        if as_bytes:
            rows = np.frombuffer(body, session.dtype).reshape(-1, session.n_in)
        else:
            with np.errstate(over="ignore"):  # what the dtype cannot hold becomes infinite, and is refused below
                rows = np.asarray(json.loads(body)["rows"], session.dtype)
        if rows.ndim != 2 or rows.shape[1] != session.n_in or not len(rows):
            raise ValueError(f"expected at least one row of {session.n_in} numbers, got shape {rows.shape}")
        if not np.isfinite(rows).all():  # JSON's null is NaN here
            raise ValueError("expected finite numbers")
        return rows

    async def predict(request: Request) -> Response:
        as_bytes = request.headers.get("content-type", "").partition(";")[0].strip().lower() == BYTES
        body = await content(request)
        try:
            rows = rows_of(body, as_bytes)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise HTTPException(400, f"rows: {error}") from None
        version = None
        while version != state["version"]:  # again where a swap came while a thread was at it: by whom is it then?
            version = state["version"]
            outputs = session(rows) if len(rows) < LONG else await run_in_threadpool(session, rows)
        if not np.isfinite(outputs).all():
            raise HTTPException(422, "outputs: not finite; the rows are too far from what the model knows")
        if as_bytes:
            return Response(outputs.tobytes(), media_type=BYTES)
        return JSONResponse({"outputs": outputs.tolist(), "version": version})

    async def health(request: Request) -> Response:
        sizes = {"n_inputs": session.n_in, "n_outputs": session.n_out, "dtype": str(session.dtype)}
        return JSONResponse({**sizes, **state})

    async def replace(request: Request) -> Response:
        if load is None or not token:
            raise HTTPException(403, "this server has no SERVE_TOKEN, so its model stays")
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "expected 'Authorization: Bearer' with the token")
        body = await content(request)
        try:
            session.swap(await run_in_threadpool(loaded, body))  # whole or not at all
        except ValueError as error:  # FormatError is one: damaged, or of other sizes
            raise HTTPException(400, str(error)) from None
        state["version"] += 1  # in one step of the event loop with the swap: no answer has the one without the other
        return JSONResponse(state)

    def loaded(body: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.fnn")
            with open(path, "wb") as file:
                file.write(body)
            return load(path)

    async def told(request: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code)

    routes = [
        Route("/predict", predict, methods=["POST"]),
        Route("/health", health),
        Route("/model", replace, methods=["PUT"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: told})


def train(epochs: int) -> Model:
    X, y = data.spiral(samples=300, classes=3, seed=0)
    model = Model([Dense(2, 64, activation="relu"), Dense(3, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy", optimizer=optimizers.Adam(0.02))
    model.train(X, y, epochs=epochs, batch_size=64, shuffle=True)
    return model


def demo(epochs: int) -> None:
    """Serve a model of one epoch to ourselves, ask it, swap it for one of more, ask again."""
    token = "between us"
    config = uvicorn.Config(make_app(train(1).session(), Session.load, token), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> dict:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        assert answer.status == 200, found
        return found

    try:
        X, y = data.spiral(samples=100, classes=3, seed=1)

        def accuracy() -> float:
            answer = ask("POST", "/predict", json.dumps({"rows": X.tolist()}).encode())
            return float(np.mean(np.argmax(answer["outputs"], axis=1) == y))

        print(ask("GET", "/health"))
        print(f"accuracy over HTTP after 1 epoch {accuracy():.3f}")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "better.fnn")
            train(epochs).save(path)
            with open(path, "rb") as file:
                print(ask("PUT", "/model", file.read(), Authorization=f"Bearer {token}"))
        print(f"accuracy over HTTP after the swap {accuracy():.3f}")
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    first = sys.argv[1] if len(sys.argv) > 1 else "150"
    if first.isdecimal():
        demo(int(first))
    else:
        app = make_app(Session.load(first), Session.load, os.environ.get("SERVE_TOKEN", ""))
        uvicorn.run(app, port=int(sys.argv[2]) if len(sys.argv) > 2 else 8000, access_log=False)
