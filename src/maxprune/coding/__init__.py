"""Coded files: networks with zeros and shared weights in few bytes. Needs numpy alone."""

from maxprune.coding.file import Coded, decode, encode

__all__ = ["Coded", "decode", "encode"]
