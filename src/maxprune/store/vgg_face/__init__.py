"""The published weights of VGG-Face, from the formats in which they exist."""

from maxprune.store.vgg_face.read import Converted, read_vgg_face

__all__ = ["Converted", "read_vgg_face"]
