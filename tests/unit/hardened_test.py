#!/usr/bin/env python3
"""Whether the programs are built as hard as they should be, by their ELF headers.

    hardened_test.py PROGRAM...     exit status 1, and a sentence for each that is not
"""
import re
import subprocess
import sys


def readelf(*args):
    return subprocess.run(["readelf", "--wide", *args], check=True, capture_output=True, text=True).stdout


def faults_of(program):
    header, segments, dynamic = readelf("--file-header", program), readelf("--segments", program), readelf("--dynamic", program)
    if not re.search(r"Type:\s+DYN", header):
        yield "is not position-independent"
    if "GNU_RELRO" not in segments:
        yield "has no read-only relocations (RELRO)"
    if not re.search(r"\bBIND_NOW\b|\bNOW\b", dynamic):
        yield "binds its functions late"
    if "TEXTREL" in dynamic:
        yield "has relocations in its code"
    stack = re.search(r"GNU_STACK.*", segments)
    if not stack or re.search(r"\bRWE\b", stack.group()):
        yield "has an executable stack"
    if re.search(r"LOAD.*\bRWE\b", segments):
        yield "has memory that is both writable and executable"
    if program.endswith("hutch-init"):  # its names are stripped, and it calls no library
        if "INTERP" in segments:
            yield "is not static"
        return
    imported = readelf("--dyn-syms", program)
    if "__stack_chk_fail" not in imported:
        yield "has no stack protector"
    if not re.search(r"__\w+_chk\b", imported.replace("__stack_chk_fail", "")):
        yield "checks no buffer (FORTIFY)"


def main():
    faults = [f"{program} {fault}" for program in sys.argv[1:] for fault in faults_of(program)]
    print("\n".join(faults) if faults else f"hardened: {len(sys.argv) - 1} programs")
    sys.exit(1 if faults or len(sys.argv) < 2 else 0)


if __name__ == "__main__":
    main()
