"""Are these two the same person? Face verification with a network in one folder.

Runs on the ONNX file with ONNX Runtime; nothing here imports torch.
"""

from maxprune.verify.detect import Box, find_faces
from maxprune.verify.gallery import Gallery, Match
from maxprune.verify.rates import Rates
from maxprune.verify.verifier import Described, Verification, Verifier

__all__ = [
    "Box",
    "Described",
    "Gallery",
    "Match",
    "Rates",
    "Verification",
    "Verifier",
    "find_faces",
]
