"""Saved models and exports."""

from maxprune.store.description import Description, describe
from maxprune.store.model import load, save
from maxprune.store.onnx import export_onnx

__all__ = ["Description", "describe", "export_onnx", "load", "save"]
