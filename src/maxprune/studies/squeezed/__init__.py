"""How small LeNet-5 goes on MNIST, and what cutting it earns over training it small.

LeNet-5 is trained, then cut by measured damage from one size to the next, with the uncut network as
its teacher, and at some sizes trained on for longer. Beside it stands the same architecture from
random weights, which sees as many pictures in all, with and without the teacher. Then single
weights go, and what is left is coded. A tenth of the training set is held out to choose by.
"""

from __future__ import annotations

from maxprune.studies.squeezed.recipe import Recipe
from maxprune.studies.squeezed.records import Squeezed, SqueezedCell
from maxprune.studies.squeezed.study import SqueezedRun, cells

__all__ = ["Recipe", "Squeezed", "SqueezedCell", "SqueezedRun", "cells"]
