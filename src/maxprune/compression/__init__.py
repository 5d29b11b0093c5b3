"""Compressing one's own network: what is wanted, the methods, and the search between them."""

from maxprune.compression.result import Compressed
from maxprune.compression.settings import METHODS, Compression

__all__ = ["METHODS", "Compressed", "Compression"]
