"""The study of face verification (Moya Rueda, Grzeszick, Fink 2017, section 5.2) on LFW."""

from maxprune.studies.faces.coded import CodingPiece, coding_pieces
from maxprune.studies.faces.study import WAYS, FaceStudy
from maxprune.studies.faces.table import best_free, face_table, largest_free_share
from maxprune.studies.faces.work import (
    FacePiece,
    faster_precision,
    pieces,
    read_table,
)

__all__ = [
    "WAYS",
    "CodingPiece",
    "FacePiece",
    "FaceStudy",
    "best_free",
    "coding_pieces",
    "face_table",
    "faster_precision",
    "largest_free_share",
    "pieces",
    "read_table",
]
