"""The picture of the README, from the tables in results/.

python3 docs/picture.py results/lenet/table1.json results/lenet/table2.json docs/lenet.svg
"""

import sys
from pathlib import Path

from maxprune.files import read_json, write_text
from maxprune.report.grid import grid_plot
from maxprune.results import TableCell

*tables, target = (Path(name) for name in sys.argv[1:])
found = [TableCell.model_validate(r) for table in tables for r in read_json(table)["records"]]
write_text(target, grid_plot(list({(c.network, c.fc, c.step): c for c in found}.values())))
