"""Saved models and exports."""

from maxprune.store.coded import load_coded, save_coded
from maxprune.store.convert import convert
from maxprune.store.description import Description, describe
from maxprune.store.model import load, save
from maxprune.store.onnx import export_onnx
from maxprune.store.vgg_face import read_vgg_face

__all__ = [
    "Description",
    "convert",
    "describe",
    "export_onnx",
    "load",
    "load_coded",
    "read_vgg_face",
    "save",
    "save_coded",
]
