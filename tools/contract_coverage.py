#!/usr/bin/python3
"""Merges the contract coverage of many runs and compares it with what is wanted.

  contract_coverage.py [--require PERCENT] [--exceptions FILE] [--json FILE] FILE_OR_FOLDER...

Each input is a JSON file as the boundary monitor writes it (docs/monitor.md), or a folder of such files. Prints a table,
what no run has exercised, and the total. An item that is not exercised must be listed with a reason in the exceptions
file (TOML, table [exceptions], "item" = "reason"). Exit status 1: less than required, or an item without a reason. An
exception that has been exercised after all is only noted, since some tests need rights that not everybody has.
"""

import argparse
import collections
import json
import pathlib
import sys
import tomllib


def read_runs(paths):
    """Returns {item: number of runs that exercised it}; files of different contracts do not mix."""
    files = []
    for path in paths:
        files += sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise SystemExit("contract_coverage.py: no coverage files: run the tests with POSTERN_COVERAGE_DIR set")
    totals = None
    for file in files:
        items = json.loads(file.read_text(encoding="utf-8"))["items"]
        if totals is None:
            totals = collections.Counter(dict.fromkeys(items, 0))
        if items.keys() != totals.keys():
            raise SystemExit(f"contract_coverage.py: {file} has other items than the files before it: rebuild, empty the folder")
        for item, seen in items.items():
            totals[item] += 1 if seen else 0
    return totals, len(files)


def print_table(totals, runs):
    groups = collections.OrderedDict()
    for item, count in totals.items():
        group = groups.setdefault(item.split(" ")[0], [0, 0])
        group[0] += 1 if count else 0
        group[1] += 1
    seen = sum(1 for count in totals.values() if count)
    percent = 100.0 * seen / len(totals)
    for name, (covered, total) in groups.items():
        print(f"  {name:<12} {covered:>4} of {total:>4}  {100.0 * covered / total:5.1f} %")
    print(f"contract coverage of {runs} runs: {seen} of {len(totals)} items, {percent:.1f} %")
    return percent


def judge_exceptions(totals, exceptions):
    """Returns what is wrong; prints what can be taken out of the list."""
    problems = [f"not exercised, and no reason is given: {item}"
                for item, count in totals.items() if count == 0 and item not in exceptions]
    for item in exceptions:
        if totals.get(item, 0):
            print(f"note: exercised, so it need not be an exception any more: {item}")
    return problems + [f"no such item in the exceptions: {item}" for item in exceptions if item not in totals]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", nargs="+", type=pathlib.Path, help="JSON files, or folders of them")
    parser.add_argument("--require", type=float, default=0.0, help="least total in percent")
    parser.add_argument("--exceptions", type=pathlib.Path, help="TOML file with reasons")
    parser.add_argument("--json", type=pathlib.Path, help="write the merged counts here")
    arguments = parser.parse_args(argv)
    totals, runs = read_runs(arguments.inputs)
    percent = print_table(totals, runs)
    if arguments.json:
        arguments.json.write_text(json.dumps({"items": dict(totals), "percent": percent}, indent=1) + "\n", encoding="utf-8")
    missing = [item for item, count in totals.items() if count == 0]
    exceptions = {}
    if arguments.exceptions:
        exceptions = tomllib.loads(arguments.exceptions.read_text(encoding="utf-8"))["exceptions"]
    problems = judge_exceptions(totals, exceptions) if arguments.exceptions else []
    if not arguments.exceptions and missing:
        print("not exercised:\n  " + "\n  ".join(missing))
    if percent < arguments.require:
        problems.append(f"{percent:.1f} % is less than the required {arguments.require:.1f} %")
    for problem in problems:
        print(f"contract_coverage.py: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
