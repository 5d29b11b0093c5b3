"""Fuzz the parsers of outside bytes, guided by coverage: `tests/fuzz/fuzz_targets.py` has them.

Each target has a process of its own, in which atheris (libFuzzer for Python) changes valid files,
by its own ways and by those of `tests/fuzz/fuzz_changes.py`, and keeps what reaches new lines of
maxprune and of the parsers that are written in Python. An input may take 5 seconds and 64 MiB
beside 64 bytes for each of its own; the process 4 GiB. What is found is written to FOLDER/TARGET;
so is what ends the process, which then goes on. Counted are inputs that were parsed.

    python3 benchmarks/fuzz.py [--runs 100000] [--seconds 1200] [--timeout 20] [--restarts 20]
        [--out FILE] [TARGET ...]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import mmap
import os
import random
import re
import resource
import struct
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "tests/fuzz"
ROOT = Path(__file__).parents[1] / "src/maxprune"
INSTRUMENTED = ["maxprune", "tarfile", "gzip", "lzma", "zipfile", "PIL"]
LONGEST = 1 << 16  # bytes of an input, or as many as its longest seed has
MEMORY = 4096  # MiB of a process, torch and all
COUNTERS = struct.Struct("<QQQ")  # inputs parsed, those refused, the largest peak in KiB


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs a target")
    parser.add_argument("--seconds", type=int, default=1200, help="on the clock a target, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--timeout", type=int, default=20, help="seconds of one input that end the process"
    )
    parser.add_argument(
        "--restarts", type=int, default=20, help="after inputs that end the process"
    )
    parser.add_argument("--out", type=Path, help="JSON; targets in it that are not run again stay")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    return parser.parse_args()


def instrumented() -> dict[str, Any]:
    """The targets, with the lines counted that they reach; once, as it takes its time."""
    import atheris

    sys.path.insert(0, str(TESTS))
    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz_targets import TARGETS
    from fuzz_target import folder

    folder()  # made here, so that it goes with this process however the others end
    return TARGETS


def inside(target: Any, folder: Path, runs: int, seconds: int, seed: int, timeout: int) -> None:
    """The process of one target: fuzz until so many inputs have been parsed, or so long."""
    import atheris
    from fuzz_changes import changed
    from fuzz_target import Finding

    seeds = target.seeds()
    target.warm()
    with (folder / "counters").open("r+b") as file:
        counters = mmap.mmap(file.fileno(), COUNTERS.size)
    done, refused, peak = COUNTERS.unpack(counters[:])
    until = time.monotonic() + seconds

    def one(content: bytes) -> None:
        nonlocal done, refused, peak
        try:
            refused += bool(target.check(content))
        except Finding as error:
            keep(folder, content, error)
        done += 1
        peak = max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        COUNTERS.pack_into(counters, 0, done, refused, peak)
        if done >= runs or time.monotonic() > until:
            os._exit(0)  # libFuzzer's own way to end is not made for a process that was forked

    def change(content: bytes, most: int, chance: int) -> bytes:
        if chance % 2:
            return bytes(atheris.Mutate(content, most))
        return changed(content, target.form, seeds, random.Random(chance))[:most]  # noqa: S311

    begun = folder / "begun"
    begun.mkdir(exist_ok=True)
    for number, content in enumerate(seeds):
        (begun / f"{number}").write_bytes(content)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # of libraries that print
    longest = max(LONGEST, *map(len, seeds))
    options = [
        f"-seed={seed}", f"-timeout={timeout}", f"-max_len={longest}",
        f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={folder}/ended-",
        "-print_final_stats=0", str(folder / "corpus"), str(begun),
    ]  # fmt: skip
    (folder / "corpus").mkdir(exist_ok=True)
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=change)
    atheris.Fuzz()


def keep(folder: Path, content: bytes, error: Exception) -> None:
    """Write down an input, if it is the smallest of its kind."""
    where = str(error).partition(":")[0]
    if error.__cause__ is not None:
        frames = traceback.extract_tb(error.__cause__.__traceback__)
        own = [frame for frame in frames if str(ROOT) in frame.filename] or frames
        where = f"{type(error.__cause__).__name__} at {Path(own[-1].filename).name}:{own[-1].name}"
    place = folder / f"found-{hashlib.sha256(where.encode()).hexdigest()[:12]}"
    if not place.exists() or place.stat().st_size > len(content):
        place.write_bytes(content)
        about = {"what": where, "message": str(error)[:300], "bytes": len(content)}
        place.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")


def forked(target: Any, folder: Path, said: Path, *limits: int) -> int:
    """`inside` in a process of its own, which has everything imported; how it ended."""
    child = os.fork()
    if not child:
        try:
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            inside(target, folder, *limits)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fuzzed(target: Any, chosen: argparse.Namespace) -> dict[str, Any]:
    """Fuzz one target, in as many processes as it takes."""
    features, ended, started = 0, 0, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        folder = Path(place)
        (folder / "counters").write_bytes(bytes(COUNTERS.size))
        while ended <= chosen.restarts:
            done, *_ = COUNTERS.unpack((folder / "counters").read_bytes())
            left = chosen.seconds - int(time.perf_counter() - started)
            if done >= chosen.runs or left < 1:
                break
            limits = chosen.runs, left, chosen.seed + ended, chosen.timeout
            code = forked(target, folder, folder / "said", *limits)
            told = (folder / "said").read_text(encoding="utf-8", errors="replace")
            features = max([features, *map(int, re.findall(r" ft: (\d+)", told))])
            if not code:
                break
            ended += 1
        done, refused, peak = COUNTERS.unpack((folder / "counters").read_bytes())
        findings = collected(folder, chosen.keep / target.name)
        if ended and not findings:
            raise SystemExit(f"{target.name} could not be fuzzed:\n{told[-2000:]}")
    taken = time.perf_counter() - started
    return {
        "engine": "atheris", "runs": done, "refused": refused, "seconds": round(taken, 1),
        "per_second": round(done / taken, 1), "peak_mib": round(peak / 1024),
        "features": features, "restarts": ended, "findings": findings,
    }  # fmt: skip


def collected(folder: Path, kept: Path) -> list[dict[str, Any]]:
    """What was found, its inputs moved to a folder that stays; of those that end it alike one."""
    found, ended = [], dict[str, dict[str, Any]]()
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_size):
        if path.name.startswith("ended-"):
            kind = path.name.split("-")[1]
            if kind in ended:
                ended[kind]["inputs"] += 1
                continue
            ended[kind] = {"what": f"ended by {kind}", "bytes": path.stat().st_size, "inputs": 1}
            found.append(ended[kind])
        elif path.name.startswith("found-") and path.suffix == ".json":
            found.append(json.loads(path.read_text(encoding="utf-8")))
        else:
            continue
        kept.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            source = path.with_suffix("") if path.suffix == ".json" else path
            (kept / source.name).write_bytes(source.read_bytes())
    return found


def main() -> None:
    chosen = arguments()
    targets = instrumented()
    from maxprune.files import read_json, write_json
    from maxprune.runs.environment import environment

    unknown = [name for name in chosen.targets if name not in targets]
    if unknown:
        raise SystemExit(f"no target {unknown[0]!r}; there are {', '.join(targets)}")
    result: dict[str, Any] = {"benchmark": "fuzz", "targets": {}}
    if chosen.out and chosen.out.exists():
        result = read_json(chosen.out)
    for name in chosen.targets or targets:
        found = fuzzed(targets[name], chosen)
        limits = ("runs", "seconds", "seed", "timeout", "restarts")
        given = " ".join(f"--{limit} {getattr(chosen, limit)}" for limit in limits)
        command = f"benchmarks/fuzz.py {given} {name}"
        result["targets"][name] = {"command": command} | found
        result["environment"] = environment(1)
        print(f"{name}: {result['targets'][name]}", flush=True)
        if chosen.out:
            write_json(chosen.out, result)


if __name__ == "__main__":
    main()
