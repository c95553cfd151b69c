#!/usr/bin/env python3
"""Whether docs/licences.md names every library that the programs load, each under a licence that goes with Apache-2.0.

    licences_test.py TABLE PROGRAM...     exit status 1, and a sentence for each that is not so
    licences_test.py                      whether this script finds what is wrong
"""
import re
import subprocess
import sys

ALLOWED = {
    "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "BSD-4-Clause", "Zlib", "curl", "bzip2-1.0.6", "ICU", "OLDAP-2.8",
    "LicenseRef-public-domain",
    # Loaded, and so replaceable, as these ask.
    "LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-or-later",
    "GPL-3.0-or-later WITH GCC-exception-3.1",
}
LOADER = re.compile(r"ld-linux.*")


def rows_of(table):
    """{library: licence}"""
    rows = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and ".so" in cells[0]:
            rows.update({name: cells[2] for name in cells[0].split(", ")})
    return rows


def libraries_of(program):
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    if "not found" in said:
        sys.exit(f"{program} does not find its libraries:\n{said}")
    names = {line.split()[0].rsplit("/", 1)[-1] for line in said.splitlines()}
    return {name for name in names if not name.startswith("linux-vdso")}


def faults_of(table, linked):
    """`linked`: {program: its libraries}"""
    rows = rows_of(table)
    for program, libraries in linked.items():
        for name in sorted(libraries - rows.keys()):
            yield f"{program} loads {name}, which docs/licences.md does not name"
    for name, licence in sorted(rows.items()):
        if not any(choice in ALLOWED for choice in licence.split(" OR ")):
            yield f"{name} is under {licence}, which does not go with Apache-2.0"
    for name in sorted(rows.keys() - set().union(*linked.values())):
        if not LOADER.fullmatch(name):  # each architecture has its own
            yield f"docs/licences.md names {name}, which no program loads"


def check_itself():
    table = "| a | version | licence |\n|---|---|---|\n| liba.so.1, libb.so.2 | 1 | MIT |\n| libc.so.6 | 2 | GPL-2.0-only |\n"
    found = list(faults_of(table, {"p": {"liba.so.1", "libc.so.6", "libd.so.1"}}))
    assert [words.split(",")[0] for words in found] == [
        "p loads libd.so.1", "libc.so.6 is under GPL-2.0-only", "docs/licences.md names libb.so.2"], found
    either = "| liba.so.1 | 1 | BSD-3-Clause OR GPL-2.0-only |"
    assert not list(faults_of(either, {"p": {"liba.so.1"}}))
    assert len(list(faults_of(either.replace("OR", "AND"), {"p": {"liba.so.1"}}))) == 1


def main():
    check_itself()
    if len(sys.argv) < 3:
        return
    with open(sys.argv[1], encoding="utf-8") as file:
        faults = list(faults_of(file.read(), {program: libraries_of(program) for program in sys.argv[2:]}))
    print("\n".join(faults) if faults else "licences: all are named, and go with Apache-2.0")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
