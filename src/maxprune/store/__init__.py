"""Saved models and exports."""

from maxprune.store.coded import load_coded, save_coded
from maxprune.store.convert import convert
from maxprune.store.description import Description, describe
from maxprune.store.model import load, save
from maxprune.store.onnx import export_onnx
from maxprune.store.quantized import QuantizedNetwork, quantize_onnx
from maxprune.store.session import OnnxNetwork
from maxprune.store.vgg_face import read_vgg_face

__all__ = [
    "Description",
    "OnnxNetwork",
    "QuantizedNetwork",
    "convert",
    "describe",
    "export_onnx",
    "load",
    "load_coded",
    "quantize_onnx",
    "read_vgg_face",
    "save",
    "save_coded",
]
