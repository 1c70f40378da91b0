#!/usr/bin/env python3
"""Counts the instructions of each piece of the decision, per request. Needs valgrind.

  count.py              all pieces
  count.py judge token  these"""
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIECES = {
    "head": "the head gate's scan of a small GET",
    "judge": "the judgement of the same request",
    "anyone": "the judgement, and the rule `anyone`",
    "signed": "the judgement, a signed GET found and verified, and the rule `hmac`",
    "by-hand": "the judgement, and a signed GET verified by code written for the native scheme alone",
    "v3.0": "the judgement, and the same GET found and verified by the interpreter",
    "rfc9421": "the same, signed by RFC 9421",
    "sigv4": "the same, signed with AWS Signature Version 4",
    "headers": "`signed`, with the identity headers set",
    "token": "an access token that is remembered",
    "new-token": "an access token that is verified",
    "foreign": "an access token of another algorithm, refused",
}


def instructions(program, piece, times):
    """How many instructions the whole program takes."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, piece, str(times)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return int(re.search(r"Collected : (\d+)", told)[1])


def main():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "countersign", "--example", "instructions"], cwd=ROOT, check=True)
    program = str(target / "release/examples/instructions")
    print("| piece | instructions | |\n|---|---|---|")
    for piece in sys.argv[1:] or PIECES:
        few, many = (instructions(program, piece, times) for times in (200, 1200))
        print(f"| `{piece}` | {(many - few) / 1000:.0f} | {PIECES[piece]} |", flush=True)


if __name__ == "__main__":
    main()
