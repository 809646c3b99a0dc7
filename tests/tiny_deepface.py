"""Tiny networks in the form of DeepFace's: the right inputs, outputs and file names, and random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OUTPUTS = {
    "age_model_weights": (224, 3, 101),
    "gender_model_weights": (224, 3, 2),
    "race_model_single_batch": (224, 3, 6),
    "facial_expression_model_weights": (48, 1, 7),
}


def write_networks(home: Path) -> Path:
    """Write all four to the weights folder below a DeepFace home, and return that folder."""
    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, shape) in enumerate(OUTPUTS.items()):
        onnx.save(network(*shape, np.random.default_rng(number)), folder / f"{name}.onnx")
    return folder


def network(
    side: int, channels: int, classes: int, rng: np.random.Generator, faces: int | str = "faces"
) -> onnx.ModelProto:
    """Softmax of a linear map of the means of a 4 x 4 grid: pictures that differ get answers that differ.

    `faces`: how many it takes at a time; a name is any number.
    """
    patch = side // 4
    weights = (rng.normal(size=(16 * channels, classes)) * 2).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["picture"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["grid"], kernel_shape=[patch, patch], strides=[patch, patch]),
        helper.make_node("Flatten", ["grid"], ["features"], axis=1),
        helper.make_node("MatMul", ["features", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [faces, side, side, channels])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [faces, classes])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
