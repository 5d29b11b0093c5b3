"""The picture of the README, from a results file.

python3 docs/picture.py results/lenet/mfc-512-seed0/results.json docs/lenet.svg
"""

import sys
from pathlib import Path

from maxprune.files import write_text
from maxprune.report import accuracy_plot
from maxprune.results import Results

source, target = (Path(name) for name in sys.argv[1:3])
picture = accuracy_plot(Results.read(source))
if "xmlns=" not in picture.split(">", 1)[0]:
    picture = picture.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
write_text(target, picture)
