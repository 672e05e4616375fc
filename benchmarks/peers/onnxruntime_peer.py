"""ONNX Runtime: prediction, with the graph made here, of Gemm, Relu and Softmax, and every optimization on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fastnn._bench.case import Array, Call
from fastnn._bench.steps import Net
from fastnn._bench.workload import Peer


def graph(net: Net) -> bytes:
    """The network with its initial weights, for any number of rows."""
    nodes, tensors, value = [], [], "x"
    for i, (weights, biases) in enumerate(net.parameters()):
        if i:
            nodes.append(helper.make_node("Relu", [value], [f"a{i}"]))
            value = f"a{i}"
        tensors += [numpy_helper.from_array(weights, f"w{i}"), numpy_helper.from_array(biases[0], f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"z{i}"]))
        value = f"z{i}"
    nodes.append(helper.make_node("Softmax", [value], ["y"], axis=1))
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])]
        for name, width in (("x", net.widths[0]), ("y", net.widths[-1]))
    )
    made = helper.make_model(
        helper.make_graph(nodes, "net", inputs, outputs, tensors), opset_imports=[helper.make_opsetid("", 17)]
    )
    made.ir_version = 9
    onnx.checker.check_model(made)
    content: bytes = made.SerializeToString()
    return content


class OnnxRuntime(Peer):
    name, library, distribution = "onnxruntime", "onnxruntime", "onnxruntime"

    def session(self, net: Net) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        return onnxruntime.InferenceSession(graph(net), options, providers=["CPUExecutionProvider"])

    def predictor(self, net: Net) -> Callable[[Array], Array]:
        session = self.session(net)

        def predict(X: Array) -> Array:
            result: Array = session.run(None, {"x": X})[0]
            return result

        return predict


class OnnxRuntimeBound(OnnxRuntime):
    """Input and output bound once to the memory of two arrays: what is left is the run itself."""

    name = "onnxruntime.bound"

    def server(self, net: Net, X: Array) -> Call:
        session, out = self.session(net), np.empty((len(X), net.widths[-1]), np.float32)
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, np.float32, X.shape, X.ctypes.data)
        binding.bind_output("y", "cpu", 0, np.float32, out.shape, out.ctypes.data)

        def predict(of: Array = X) -> Array:  # the binding knows an address: somebody must keep the rows
            session.run_with_iobinding(binding)
            return out

        return predict
