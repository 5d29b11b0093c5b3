"""The control of a search: the unpruned network, retrained as often as the one that was found.

Without it a gain is credited to the cuts that may come from the retraining behind them alone.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from maxprune.compression.proposal import Proposal
from maxprune.compression.search import UNPRUNED, Search
from maxprune.compression.settings import UNCUT
from maxprune.compression.tried import Tried
from maxprune.errors import TrainingDiverged
from maxprune.modes import copied
from maxprune.runs.measured import renamed


def retrained_alike(search: Search, last: str) -> Tried | None:
    """The unpruned network after as many retrainings as a network had on its way, each alike.

    Each has the order, the augmentation, the dropout and, but for the rate of values that are
    trained for a coded file, the settings of its counterpart, and is kept as a step like those, so
    a killed run goes on. In the place of a training from nothing are the retrainings before it,
    which are as long.

    Args:
        search: at its end.
        last: the name of the network.

    Returns:
        The network and what was measured of it, called `UNCUT`; None, and a note in the search,
        where nothing was retrained or a retraining broke off.
    """
    found, seconds = search.taken[UNPRUNED], 0.0
    path = search.retrainings(last)
    for number, like in enumerate(path, 1):
        make, alike = partial(copied, found.model), search.known(like)
        proposal = Proposal(UNCUT, found.model, make, times=alike.times, mild=alike.mild)
        try:
            model, measured, size = search.retrained(f"{UNCUT} {number}", proposal, like)
        except TrainingDiverged as error:
            search.notes.append(f"There is no control: {UNCUT} {number}: {error}.")
            return None
        seconds += measured.seconds
        found = Tried(measured, size, model, UNPRUNED)
    if not path:
        search.notes.append("There is no control, since nothing was cut and retrained.")
        return None
    whole = renamed(found.measured, UNCUT).model_copy(update={"before": None, "seconds": seconds})
    return replace(found, measured=whole)
