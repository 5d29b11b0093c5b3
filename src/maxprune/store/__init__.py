"""Saved models and exports."""

from maxprune.store.model import Description, describe, load, save
from maxprune.store.onnx import export_onnx

__all__ = ["Description", "describe", "export_onnx", "load", "save"]
