"""`python -m tests.proof`: what the privacy policy promises, proved on bytes and keys.

The main job is played with made-up people whose every field is a marker, with faults on the way: services killed, providers that fail or
say back what they were told, a database that refuses, hostile messages. Then every byte that was written, sent or printed is searched for
the markers, in every encoding, and held against the policy's table of where they must and must not be.

Prints a table, writes .proof/proof.json, and ends with 1 where a marker is where it must not be, or not where it must.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import signal
import sys
from pathlib import Path

from deploy.local.processes import StartError
from deploy.local.stack import ROOT
from tests.proof.proof import NothingProved, Proof

FOLDER = ROOT / ".proof"


def main(words: list[str] | None = None) -> None:
    """Run it once. Exit 0: it holds; 1: it does not, or nothing could be proved."""
    parser = argparse.ArgumentParser(
        "python -m tests.proof", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=FOLDER / "proof.json", metavar="FILE", help="where the report goes")
    parser.add_argument("--small", action="store_true", help="one death instead of three, and no erasure: to see that it works")
    options = parser.parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit("Another proof runs in this clone.")
        folder = FOLDER / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            verdict = Proof(folder, lambda line: print(line, flush=True), is_small=options.small).run()
        except KeyboardInterrupt:
            sys.exit("The proof was interrupted; nothing of it runs any more.")
        except (NothingProved, StartError, AssertionError) as error:
            sys.exit(f"Nothing is proved: {error}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    verdict.write(options.json)
    print("\n".join(verdict.lines()))
    print(f"The report: {options.json}")
    sys.exit(0 if verdict.good else 1)


if __name__ == "__main__":
    main()
