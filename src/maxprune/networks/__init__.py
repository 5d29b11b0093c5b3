"""The networks of the studies, with and without maxout."""

from maxprune.networks.cosine import Cosine, TaughtCosine
from maxprune.networks.discriminant import Discriminant, discriminant
from maxprune.networks.initial import he_normal, xavier_uniform
from maxprune.networks.lenet import lenet5
from maxprune.networks.maxout import Maxout
from maxprune.networks.mirrored import Mirrored
from maxprune.networks.resnet import resnet18, resnet56
from maxprune.networks.vgg import descriptor_network, vgg, vgg_face, vgg_face_small, vgg_small

__all__ = [
    "Cosine",
    "Discriminant",
    "Maxout",
    "Mirrored",
    "TaughtCosine",
    "descriptor_network",
    "discriminant",
    "he_normal",
    "lenet5",
    "resnet18",
    "resnet56",
    "vgg",
    "vgg_face",
    "vgg_face_small",
    "vgg_small",
    "xavier_uniform",
]
