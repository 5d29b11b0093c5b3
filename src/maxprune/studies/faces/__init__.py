"""The study of face verification (Moya Rueda, Grzeszick, Fink 2017, section 5.2) on LFW."""

from maxprune.studies.faces.study import WAYS, FaceStudy
from maxprune.studies.faces.table import best_free, face_table, largest_free_share
from maxprune.studies.faces.work import (
    FacePiece,
    faster_precision,
    pieces,
    read_table,
    write_verifier,
)

__all__ = [
    "WAYS",
    "FacePiece",
    "FaceStudy",
    "best_free",
    "face_table",
    "faster_precision",
    "largest_free_share",
    "pieces",
    "read_table",
    "write_verifier",
]
