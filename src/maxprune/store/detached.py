"""An ONNX file without its weights, which lie in a coded file beside it."""

from __future__ import annotations

import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from maxprune.coding.onnx import LOCATION, encode_weights

LEAST = 16  # numbers: what is smaller stays in the ONNX file


def detached(content: bytes, model: nn.Module) -> tuple[bytes, bytes]:
    """Take the weights out of an ONNX file.

    Args:
        content: of the ONNX file.
        model: the network that it was exported from; the file is small if it shares values.

    Returns:
        The bytes of the ONNX file, whose initializers are external, and of the coded file.
    """
    proto = onnx.load_from_string(content)
    taken = {}
    for one in proto.graph.initializer:
        array = numpy_helper.to_array(one)
        if one.data_type != TensorProto.FLOAT or array.size < LEAST:
            continue
        taken[one.name] = array
        one.ClearField("raw_data")
        one.ClearField("float_data")
        one.data_location = TensorProto.EXTERNAL
        one.external_data.add(key="location", value=LOCATION)
    own = {
        name: tensor.cpu().numpy()
        for name, tensor in model.state_dict().items()
        if tensor.dtype == torch.float32
    }
    return proto.SerializeToString(), encode_weights(taken, own)
