"""The networks of the studies, with and without maxout."""

from maxprune.networks.initial import xavier_uniform
from maxprune.networks.lenet import lenet5
from maxprune.networks.maxout import Maxout

__all__ = ["Maxout", "lenet5", "xavier_uniform"]
