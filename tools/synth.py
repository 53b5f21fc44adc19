#!/usr/bin/env python3
"""Synthesizes each RTL block with Yosys and writes what it takes into a table.

    synth.py [--out DIR] [--write FILE] [MODULE ...]

Generic gates (techmap, abc), memories left whole: cells, flip-flops, bits of RAM, and the longest path in gates, each block as built for
1,024 VIs. --write replaces the rows of these modules in the table of a Markdown file; other rows stay. Logs are in DIR. Exit status 0: all done.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT_S = 1800  # for one block
SKIP = {"pst_nic_top"}  # its blocks are all here
HEADER = "| block | cells | flip-flops | RAM bits | longest path, gates |\n|---|---|---|---|---|\n"


def modules():
    for line in (ROOT / "rtl/files.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, files = line.split(":")
            if name not in SKIP:
                yield name, ["contract/gen/pst_contract_pkg.sv"] + ["rtl/" + file for file in files.split()]


def synthesize(name, files, out):
    log = out / (name + ".log")
    stat = out / (name + ".json")
    script = (f"read_verilog -sv {' '.join(files)}; hierarchy -check -top {name}; proc; flatten; opt; tee -o {stat} stat -json; "
              f"memory -nomap; opt_clean; techmap; opt; abc -fast; opt_clean; tee -a {out / (name + '.cells')} stat; "
              f"tee -o {out / (name + '.path')} ltp -noff")
    (out / (name + ".cells")).unlink(missing_ok=True)
    with open(log, "w") as text:
        subprocess.run(["yosys", "-p", script], cwd=ROOT, stdout=text, stderr=subprocess.STDOUT, timeout=LIMIT_S, check=True)
    cells_text = (out / (name + ".cells")).read_text()
    kinds = {kind: int(count) for kind, count in re.findall(r"^\s+(\$\S+)\s+(\d+)$", cells_text, re.MULTILINE)}
    flip_flops = sum(count for kind, count in kinds.items() if "DFF" in kind)
    memories = {"$mem", "$mem_v2"}
    gates = sum(count for kind, count in kinds.items() if kind not in memories and "DFF" not in kind)
    bits = sum(module["num_memory_bits"] for module in json.loads(stat.read_text())["modules"].values())
    path = re.search(r"length=(\d+)", (out / (name + ".path")).read_text())
    return gates, flip_flops, bits, int(path.group(1)) if path else 0


def write(path, rows):
    text = path.read_text()
    begin = text.index(HEADER) + len(HEADER)
    end = begin
    known = {}
    for line in text[begin:].splitlines(keepends=True):
        if not line.startswith("| `"):
            break
        known[re.match(r"\| `(\w+)`", line).group(1)] = line
        end += len(line)
    for name, (gates, flip_flops, bits, length) in rows.items():
        known[name] = f"| `{name}` | {gates:,} | {flip_flops:,} | {bits:,} | {length} |\n"
    order = [name for name, _ in modules() if name in known]
    path.write_text(text[:begin] + "".join(known[name] for name in order) + text[end:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/synth")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("modules", nargs="*")
    options = parser.parse_args()
    chosen = [(name, files) for name, files in modules() if not options.modules or name in options.modules]
    unknown = set(options.modules) - {name for name, _ in chosen}
    if unknown:
        print(f"synth: rtl/files.txt does not list {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    options.out = options.out.resolve()
    failed = []
    for number, (name, files) in enumerate(chosen, 1):
        begin = time.monotonic()
        try:
            rows = {name: synthesize(name, files, options.out)}
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"[{number}/{len(chosen)}] {name}: FAILED ({type(error).__name__}), see {options.out / (name + '.log')}", flush=True)
            failed.append(name)
            continue
        gates, flip_flops, bits, length = rows[name]
        print(f"[{number}/{len(chosen)}] {name}: {gates:,} cells, {flip_flops:,} flip-flops, {bits:,} RAM bits, "
              f"longest path {length} gates ({time.monotonic() - begin:.0f} s)", flush=True)
        if options.write:
            write(options.write, rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
