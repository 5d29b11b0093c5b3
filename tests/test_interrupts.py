"""Being asked to end, in processes that need not know torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import maxprune_start
from maxprune import interrupts

BEGIN = f"""
import importlib.util, multiprocessing, os, signal, sys, tempfile, time
spec = importlib.util.spec_from_file_location("interrupts", {interrupts.__file__!r})
interrupts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(interrupts)
"""
FOLDER = """
with interrupts.asked_to_end() as heard, tempfile.TemporaryDirectory(dir=sys.argv[1]):
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print(heard, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""
CHILD = """
process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(1,))
with interrupts.shielded():
    process.start()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    process.join()
    print(process.exitcode, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
IGNORED = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with interrupts.asked_to_end() as heard:
    os.kill(os.getpid(), signal.SIGTERM)
    print("ready", heard)
"""


@pytest.mark.parametrize(
    ("script", "number", "says"),
    [(FOLDER, signal.SIGTERM, "[15] True"), (CHILD, signal.SIGINT, "0 set()")],
)
def test_a_program_that_is_asked_to_end(
    script: str, number: signal.Signals, says: str, tmp_path: Path
) -> None:
    """With all the processes that it has just started, as by Ctrl-C in a terminal."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + script, str(tmp_path)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, number)
    out, error = process.communicate(timeout=30)
    assert (out, error) == (f"{says}\n", "")
    assert not list(tmp_path.iterdir())


def test_who_ignores_sigterm_goes_on() -> None:
    command = [sys.executable, "-c", BEGIN + IGNORED]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "ready []\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_while_torch_is_imported_reads_one_line(
    number: signal.Signals, tmp_path: Path
) -> None:
    slow = "import time; print('ready', flush=True)\ntry: time.sleep(60)\nexcept: pass\n"
    (tmp_path / "torch.py").write_text(slow)
    folders = [str(tmp_path), str(Path(maxprune_start.__file__).parent)]
    script = f"import sys; sys.path[:0] = {folders}; from maxprune_start import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's & ignores it
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (128 + number, "maxprune: stopped\n")
