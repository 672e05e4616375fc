"""Requests a second and latencies of examples/serve.py: with fastnn's Session, with ONNX Runtime, with nothing.

Each runs in a process of its own behind the same application (uvicorn with uvloop and httptools where they are
installed); this process is the load: so many connections, each with one request under way. The three take turns, so
that what else the machine does meets all of them; the table gives the median of the rounds and the best one.

    python benchmarks/serving.py [--rounds 5] [--seconds 2] [--connections 1 8]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "examples")]
NETS = {"small": (4, 64, 64, 2), "images": (784, 128, 128, 10)}
BACKENDS = ("fastnn", "onnxruntime", "nothing")


def model_of(widths: tuple[int, ...]) -> Any:
    from fastnn import Dense, Model

    layers = [Dense(a, b, activation="relu") for a, b in pairwise(widths[:-1])]
    model = Model([*layers, Dense(widths[-2], widths[-1], activation="softmax")], seed=0)
    model.finalize()
    return model


class Runtime:
    """ONNX Runtime on one thread with what the application wants of a session."""

    def __init__(self, model: Any) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            model.export_onnx(file.name)
            self.session = onnxruntime.InferenceSession(file.name, options, providers=["CPUExecutionProvider"])
        self.n_in, self.n_out, self.dtype = model.plan.n_in, model.plan.n_out, model.dtype

    def __call__(self, rows: Any) -> Any:
        return self.session.run(None, {"x": rows})[0]


class Nothing:
    """No network: what the server costs by itself."""

    def __init__(self, model: Any) -> None:
        self.n_in, self.n_out, self.dtype = model.plan.n_in, model.plan.n_out, model.dtype
        self.answer = np.zeros((1, self.n_out), self.dtype)

    def __call__(self, rows: Any) -> Any:
        return self.answer


def serve(backend: str, net: str, port: int) -> None:
    import uvicorn
    from serve import make_app

    model = model_of(NETS[net])
    makers = {
        "fastnn": lambda: model.session(),
        "onnxruntime": lambda: Runtime(model),
        "nothing": lambda: Nothing(model),
    }
    uvicorn.run(make_app(makers[backend]()), port=port, log_level="error", access_log=False)


def request_of(net: str, as_json: bool) -> bytes:
    row = np.random.default_rng(0).standard_normal((1, NETS[net][0])).astype(np.float32)
    body = json.dumps({"rows": row.tolist()}).encode() if as_json else row.tobytes()
    kind = "application/json" if as_json else "application/octet-stream"
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def connection(port: int, request: bytes, until: float, found: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (begin := time.perf_counter()) < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            size = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(size)
            found.append(time.perf_counter() - begin)
    finally:
        writer.close()


async def load(port: int, request: bytes, seconds: float, connections: int) -> tuple[float, float, float]:
    """(requests a second, median and 99th percentile of the latency in ms)."""
    found: list[float] = []
    begin = time.perf_counter()
    await asyncio.gather(*(connection(port, request, begin + seconds, found) for _ in range(connections)))
    rate = len(found) / (time.perf_counter() - begin)
    median, last = np.percentile(found, [50, 99]) * 1e3
    return rate, float(median), float(last)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not come up in a minute")


def measure(net: str, as_json: bool, args: argparse.Namespace) -> None:
    servers = {}
    try:
        for backend in args.backends:
            port = free_port()
            command = [sys.executable, __file__, "--serve", backend, net, str(port)]
            servers[backend] = port, subprocess.Popen(command, env=os.environ)
        for port, process in servers.values():
            wait_for(port, process)
        request = request_of(net, as_json)
        for port, _ in servers.values():  # warm
            asyncio.run(load(port, request, 0.3, 1))
        for connections in args.connections:
            results: dict[str, list[tuple[float, float, float]]] = {backend: [] for backend in servers}
            for _ in range(args.rounds):
                for backend, (port, _process) in servers.items():
                    results[backend].append(asyncio.run(load(port, request, args.seconds, connections)))
            for backend, rounds in results.items():
                rate, median, last = (statistics.median(column) for column in zip(*rounds, strict=True))
                best_rate, best_last = max(r[0] for r in rounds), min(r[2] for r in rounds)
                what = f"{net} {'JSON' if as_json else 'bytes'} | {connections} | {backend}"
                times = f"{median:.2f} | {last:.2f} ({best_last:.2f})"
                print(f"| {what} | {rate:,.0f} ({best_rate:,.0f}) | {times} |", flush=True)
    finally:
        for _, process in servers.values():
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", nargs=3, metavar=("BACKEND", "NET", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=BACKENDS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve[0], args.serve[1], int(args.serve[2]))
        return
    print("| network, body | connections | serves | requests a second, median (best) | median ms | 99th percentile |")
    print("|---|---|---|---|---|---|")
    for net, as_json in (("small", True), ("images", False), ("images", True)):
        measure(net, as_json, args)


if __name__ == "__main__":
    main()
