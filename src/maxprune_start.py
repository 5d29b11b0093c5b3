"""The console script: who stops it while torch is imported reads one line, too.

It lies beside the package, not in it, since all that is in the package imports torch first.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Import the command line and run it."""
    plain = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    known = [number for number, what in plain.items() if signal.getsignal(number) is what]
    before = {number: signal.signal(number, _stopped) for number in known}
    from maxprune.cli import main as command

    for number, handler in before.items():
        signal.signal(number, handler)
    command()


def _stopped(number: int, _: FrameType | None) -> None:
    """Nothing is open yet, and nobody who imports something can catch this."""
    print("maxprune: stopped", file=sys.stderr, flush=True)
    os._exit(128 + number)
