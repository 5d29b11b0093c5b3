"""One thread: the networks here are so small that several only wait for each other.

This file also puts the folder on the path, so that every test finds `small_networks`.
"""

import torch

torch.set_num_threads(1)
