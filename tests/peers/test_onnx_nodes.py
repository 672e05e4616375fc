"""The ONNX standard's own node tests (onnx.backend.test) for the operators that we import.

Those of float32 whose operators we have are run: their second and further inputs become constants of the file, a test
of one dimension becomes one of one row, and rows of more dimensions are fed flat. What passes and what is refused is
written down here: a test that moves from one list to the other shows.
"""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import import_onnx

onnx = pytest.importorskip("onnx", reason="the onnx package, which holds the standard's tests, is not installed")

PASSING = """
test_add_bcast test_batchnorm_example test_batchnorm_epsilon test_celu test_clip_example test_clip
test_clip_default_min test_clip_default_inbounds test_clip_default_inbounds_expanded test_div_example test_div_bcast
test_dropout_default test_dropout_default_ratio test_dropout_default_mask test_dropout_default_mask_ratio
test_dropout_default_old test_dropout_random_old test_elu_example test_elu test_elu_default test_exp_example
test_exp test_flatten_axis1 test_flatten_default_axis test_flatten_negative_axis3 test_gelu_tanh_1 test_gelu_tanh_2
test_gelu_default_1 test_gelu_default_2 test_gemm_default_zero_bias test_gemm_default_no_bias
test_gemm_default_scalar_bias test_gemm_default_single_elem_vector_bias test_gemm_default_vector_bias
test_gemm_transposeB test_gemm_alpha test_gemm_beta test_hardsigmoid_example test_hardsigmoid
test_hardsigmoid_default test_hardswish test_hardswish_expanded test_identity
test_layer_normalization_2d_axis1 test_layer_normalization_2d_axis_negative_1 test_leakyrelu_example test_leakyrelu
test_leakyrelu_default test_logsoftmax_example_1 test_logsoftmax_large_number test_matmul_2d test_mish
test_mish_expanded test_mul_example test_mul_bcast test_neg_example test_neg test_relu
test_reshape_reordered_last_dims test_reshape_reduced_dims test_reshape_extended_dims test_reshape_negative_dim
test_reshape_zero_dim test_reshape_zero_and_negative_dim test_selu_example test_selu test_selu_default
test_sigmoid_example test_sigmoid test_softmax_example test_softmax_large_number test_softplus_example test_softplus
test_sub_example test_sub_bcast test_swish test_tanh_example test_tanh
"""
PASS = PASSING.split()

REASONS = {  # why: which
    "what it computes is none of the activations": """
        test_abs test_clip_inbounds test_clip_outbounds test_clip_splitbounds test_clip_min_greater_than_max
        test_clip_default_max test_erf test_greater test_greater_bcast test_log_example test_log
        test_pow_bcast_scalar""",
    "a constant of shape": """
        test_add test_div test_mul test_sub test_swiglu_expanded test_swiglu_alpha_expanded""",
    "only inference over the first axis of a row is supported": """
        test_batchnorm_example_training_mode test_batchnorm_epsilon_training_mode""",
    "only inference is supported, its training_mode is true": """
        test_training_dropout_default test_training_dropout_default_mask test_training_dropout
        test_training_dropout_mask test_training_dropout_zero_ratio test_training_dropout_zero_ratio_mask""",
    "rows must stay rows": """
        test_flatten_axis0 test_flatten_axis2 test_flatten_axis3 test_flatten_negative_axis4
        test_flatten_negative_axis2 test_flatten_negative_axis1 test_reshape_reordered_all_dims
        test_reshape_one_dim test_reshape_negative_extended_dims""",
    "expected C of 4": """
        test_gemm_default_matrix_bias""",
    "transA is not supported: rows would be columns": """
        test_gemm_transposeA test_gemm_all_attributes""",
    "expected axis 1": """
        test_logsoftmax_axis_0 test_logsoftmax_axis_2 test_softmax_axis_0 test_softmax_axis_2
        test_layer_normalization_2d_axis0 test_layer_normalization_2d_axis_negative_2
        test_layer_normalization_3d_axis0_epsilon test_layer_normalization_3d_axis2_epsilon
        test_layer_normalization_3d_axis_negative_2_epsilon test_layer_normalization_3d_axis_negative_3_epsilon
        test_layer_normalization_4d_axis0 test_layer_normalization_4d_axis2 test_layer_normalization_4d_axis3
        test_layer_normalization_4d_axis_negative_2 test_layer_normalization_4d_axis_negative_3
        test_layer_normalization_4d_axis_negative_4""",
    "expected rows of one axis, got (3, ": """
        test_layer_normalization_3d_axis1_epsilon test_layer_normalization_3d_axis_negative_1_epsilon
        test_layer_normalization_4d_axis1 test_layer_normalization_4d_axis_negative_1
        test_layer_normalization_default_axis""",
    "expected rows of one axis, got (4, 5): flatten them first": """
        test_logsoftmax_axis_1 test_logsoftmax_negative_axis test_logsoftmax_default_axis
        test_softmax_axis_1 test_softmax_negative_axis test_softmax_default_axis""",
    "expected a matrix": """
        test_matmul_3d test_matmul_4d test_matmul_bcast test_matmul_1d_3d test_matmul_4d_1d
        test_matmul_1d_1d""",
    "expected two inputs": """
        test_max_example test_max_one_input test_min_example test_min_one_input""",
    "input 1 is not a constant number": """
        test_max_two_inputs test_max_float32 test_min_two_inputs test_min_float32 test_pow_example test_pow
        test_pow_bcast_array test_pow_types_float32_int64 test_pow_types_float32_int32
        test_pow_types_float32_uint64 test_pow_types_float32_uint32 test_prelu_example test_prelu_broadcast""",
    "its shape is not a list of whole numbers that the file holds": """
        test_reshape_allowzero_reordered""",
}
REFUSED = {name: why for why, names in REASONS.items() for name in names.split()}
OPERATORS = """
Abs Add BatchNormalization Cast Celu Clip Constant Div Dropout Elu Erf Exp Flatten Gelu Gemm Greater HardSigmoid
HardSwish Identity LayerNormalization LeakyRelu Log LogSoftmax MatMul Max Min Mish Mul Neg PRelu Pow Relu Reshape
Selu Sigmoid Softmax Softplus Sub Swish Tanh
"""
# what the oldest versions of the package that the peers extra takes do not have; 1.23 has all
LATER = {"test_swish", "test_swiglu_expanded", "test_swiglu_alpha_expanded", "test_clip_min_greater_than_max"}


def supported() -> set[str]:
    from fastnn.interop._onnx_elementwise import FUNCTIONS
    from fastnn.interop._onnx_operators import OPERATORS

    return {*OPERATORS, *FUNCTIONS, "Constant"}


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    """The standard's float32 tests of our operators, by name."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, while the standard makes its data
        every = load_model_tests(kind="node")
    found = {}
    for case in every:
        if case.model is None or not case.data_sets or not {n.op_type for n in case.model.graph.node} <= supported():
            continue
        inputs, _ = case.data_sets[0]
        if len(inputs) and getattr(inputs[0], "dtype", None) == np.float32 and np.ndim(inputs[0]):
            found[case.name] = case
    return found


def check(case: Any, path: Path) -> None:
    """AssertionError where the outputs are others, ValueError where the import refuses the file."""
    made = onnx.ModelProto()
    made.CopyFrom(case.model)
    inputs, wanted = case.data_sets[0]
    for port, value in list(zip(made.graph.input, inputs, strict=False))[1:]:
        made.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), port.name))
    del made.graph.input[1:]
    X, Y = inputs[0], np.asarray(wanted[0])
    if X.ndim == 1:
        X, Y = X[None], Y[None]
        shape = made.graph.input[0].type.tensor_type.shape
        size = shape.dim[0].dim_value
        del shape.dim[:]
        shape.dim.add().dim_value, shape.dim.add().dim_value = 1, size
    path.write_bytes(made.SerializeToString())
    model = import_onnx(path, output=made.graph.output[0].name)
    got = model.predict(X.reshape(len(X), -1))
    np.testing.assert_allclose(got, Y.reshape(len(Y), -1), rtol=case.rtol, atol=case.atol)


def test_the_cases_are_all_there(cases: dict[str, Any]) -> None:
    """They are chosen by our own tables of operators: an operator that fell out of one would take its cases along."""
    assert supported() >= set(OPERATORS.split())
    assert (len(PASS), len(REFUSED)) == (78, 89)  # the figures of docs/interop.md
    assert len({*PASS, *REFUSED}) == 78 + 89
    version = tuple(int(part) for part in onnx.__version__.split(".")[:2])
    assert {*PASS, *REFUSED} - set(cases) <= (LATER if version < (1, 23) else set())


def test_the_standards_own_tests_pass(cases: dict[str, Any], tmp_path: Path) -> None:
    for name in [name for name in PASS if name in cases]:
        check(cases[name], tmp_path / f"{name}.onnx")


def test_the_others_are_refused_in_words(cases: dict[str, Any], tmp_path: Path) -> None:
    for name in set(REFUSED) & set(cases):
        with pytest.raises(ValueError, match=re.escape(REFUSED[name])):
            check(cases[name], tmp_path / f"{name}.onnx")


def test_those_of_a_newer_standard_never_come_out_wrong(cases: dict[str, Any], tmp_path: Path) -> None:
    """It may have others than the lists do: those pass or are refused."""
    for name in set(cases) - set(PASS) - set(REFUSED):
        with suppress(ValueError):
            check(cases[name], tmp_path / f"{name}.onnx")
