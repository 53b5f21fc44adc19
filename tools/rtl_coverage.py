#!/usr/bin/python3
"""Merges what test processes have counted of the RTL, sets it beside the contract coverage, and holds it to a limit.

  rtl_coverage.py [--exceptions FILE [--require PERCENT]] [--contract FOLDER] [--json FILE] [--html FOLDER] RTL_FOLDER FOLDER...

FOLDER...: files *.dat in Verilator's format (docs/coverage.md). RTL_FOLDER: the sources, rtl/; each file in it is a block, and
<block>_corners.sv in its folder coverage/ names the block's corner cases. --contract: what boundary monitors have written in
the same runs. Exit status 1: fewer of all lines were executed than required; a line was not executed, or a corner case was not
met, and FILE gives no reason; a reason is not needed any more, or is for nothing; or nothing was counted of a block.
"""

import argparse
import collections
import html
import json
import pathlib
import re
import sys
import tomllib

from contract_coverage import read_runs

POINT = re.compile(r"C '(.*)' (\d+)$")
CORNER = re.compile(r"^\s*(?:`PST_CORNER\((\w+)|(\w+)\s*:\s*cover\s+property)", re.MULTILINE)
CORNERS = "_corners"
PACKAGE = "_pkg"


class Block:
    """One file of the RTL: line -> was it executed; points of other kinds -> how often."""

    def __init__(self):
        self.lines = {}
        self.branches = collections.Counter()
        self.toggles = collections.Counter()
        self.corners = collections.Counter()

    def add_lines(self, text, count):
        for part in filter(None, text.split(",")):
            first, _, last = part.partition("-")
            for line in range(int(first), int(last or first) + 1):
                self.lines[line] = self.lines.get(line, 0) + count

    def counted(self):
        """Every block has ports, so one without lines, wiring only, has toggles."""
        return bool(self.lines or self.branches or self.toggles)

    def lines_hit(self):
        return sum(1 for count in self.lines.values() if count)


def hits(counter):
    return sum(1 for count in counter.values() if count)


def percent(hit, total):
    return 100.0 * hit / total if total else 100.0


def read_points(folders):
    """Yields (keys and values, count) of each point of each file."""
    files = sorted(file for folder in folders for file in folder.glob("*.dat"))
    if not files:
        raise SystemExit("rtl_coverage.py: no *.dat: run the tests of a coverage build with POSTERN_RTL_COVERAGE_DIR set")
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            match = POINT.match(line)
            if match:
                yield dict(item.split("\2", 1) for item in match.group(1).split("\1") if item), int(match.group(2))
            elif not line.startswith("#"):
                raise SystemExit(f"rtl_coverage.py: {file} is not in the format of Verilator's coverage: {line[:60]!r}")


def declare(rtl):
    """Returns {block: Block} of the files in folder rtl, with the corner cases that their files name, none of them met."""
    blocks = {file.stem: Block() for file in sorted(rtl.glob("*.sv"))}
    for file in sorted((rtl / "coverage").glob(f"*{CORNERS}.sv")):
        name = file.stem.removesuffix(CORNERS)
        if name not in blocks:
            raise SystemExit(f"rtl_coverage.py: {file} is for a block that is not there: {name}")
        for match in CORNER.finditer(file.read_text(encoding="utf-8")):
            blocks[name].corners[match[1] or match[2]] = 0
    return blocks


def merge(rtl, points):
    """Returns {block: Block} of the files in folder rtl. Instances, parameters and test programs add up."""
    blocks = declare(rtl)
    for keys, count in points:
        file = pathlib.Path(keys["f"])
        kind = keys["page"].split("/")[0]
        if file.parent == rtl / "coverage" and kind == "v_user":
            name = file.stem.removesuffix(CORNERS)
            if name not in blocks or keys["o"] not in blocks[name].corners:
                raise SystemExit(f"rtl_coverage.py: {file} has no corner case {keys['o']}: empty the folder of counts and run again")
            blocks[name].corners[keys["o"]] += count
        elif file.parent == rtl:
            if file.stem not in blocks:
                raise SystemExit(f"rtl_coverage.py: {file} is not there any more: empty the folder of counts and run again")
            block = blocks[file.stem]
            name = (int(keys["l"]), int(keys["n"]), keys["o"])
            if kind == "v_toggle":
                block.toggles[name] += count
            elif kind in ("v_line", "v_branch"):
                block.add_lines(keys.get("S", ""), count)
                block.branches[name] += count
    return {name: block for name, block in blocks.items() if block.counted() or not name.endswith(PACKAGE)}


def row(name, block):
    return {"block": name, "lines": len(block.lines), "lines_hit": block.lines_hit(),
            "lines_percent": round(percent(block.lines_hit(), len(block.lines)), 1) if block.counted() else 0.0,
            "branches": len(block.branches), "branches_hit": hits(block.branches),
            "toggles": len(block.toggles), "toggles_hit": hits(block.toggles),
            "toggles_percent": round(percent(hits(block.toggles), len(block.toggles)), 1) if block.counted() else 0.0,
            "corners": len(block.corners), "corners_hit": hits(block.corners)}


def total(rows):
    sums = {"block": "total"}
    for key in rows[0]:
        if key not in ("block", "lines_percent", "toggles_percent"):
            sums[key] = sum(each[key] for each in rows)
    sums["lines_percent"] = round(percent(sums["lines_hit"], sums["lines"]), 1)
    sums["toggles_percent"] = round(percent(sums["toggles_hit"], sums["toggles"]), 1)
    return sums


def table(rows, contract):
    """The report as lines of text: blocks, then the contract's items by kind."""
    text = [f"{'block':<24} {'lines':>16} {'branches':>12} {'toggles':>20} {'corner cases':>12}"]
    for each in rows:
        text.append("{block:<24} {lines_hit:>4} of {lines:>4} {lines_percent:5.1f} % {branches_hit:>4} of {branches:>4} "
                    "{toggles_hit:>6} of {toggles:>6} {toggles_percent:5.1f} % {corners_hit:>4} of {corners:>3}".format(**each))
    if contract:
        text.append("")
        text.append(f"{'contract, over the RTL':<24} {'items':>16}")
        for name, (seen, count) in contract_groups(contract).items():
            text.append(f"{name:<24} {seen:>4} of {count:>4} {percent(seen, count):5.1f} %")
    return text


def contract_groups(items):
    groups = collections.OrderedDict()
    for item, count in items.items():
        for name in (item.split(" ")[0], "all items"):
            group = groups.setdefault(name, [0, 0])
            group[0] += 1 if count else 0
            group[1] += 1
    groups.move_to_end("all items")
    return groups


def not_executed(rtl, blocks):
    """Yields (block, number, text) of each line that was not executed."""
    for name, block in blocks.items():
        source = (rtl / f"{name}.sv").read_text(encoding="utf-8").splitlines()
        for line in sorted(line for line, count in block.lines.items() if count == 0):
            yield name, line, source[line - 1].strip()


def excused(kind, name, value):
    """How many lines or corner cases a reason is for: a text is for one, {lines = number, reason = text} for several lines."""
    number, reason = 1, value
    if kind == "lines" and isinstance(value, dict) and value.keys() == {"lines", "reason"}:
        number, reason = value["lines"], value["reason"]
    if not (type(number) is int and number > 0 and isinstance(reason, str) and reason):
        raise SystemExit(f"rtl_coverage.py: [{kind}] {name}: not a reason, nor {{ lines = number, reason = \"...\" }} of lines: {value!r}")
    return number


def judge(everything, missed, blocks, require, reasons):
    """Returns what is wrong. reasons: {"lines": {"block: text of the line": reason}, "corners": {"block.corner": reason}}."""
    problems = [f"nothing was counted of {name}: does a test run it?" for name, block in blocks.items() if not block.counted()]
    if percent(everything["lines_hit"], everything["lines"]) < require:
        problems.append(f"{everything['lines_percent']:.1f} % of all lines is less than the required {require:.1f} %")
    lines = collections.Counter(f"{name}: {text}" for name, _, text in missed)
    corners = collections.Counter(f"{name}.{corner}" for name, block in blocks.items() for corner, count in block.corners.items()
                                  if count == 0)
    for kind, wanting, what in (("lines", lines, "was not executed"), ("corners", corners, "was not met")):
        given = {name: excused(kind, name, value) for name, value in reasons.get(kind, {}).items()}
        problems += [f"{what}, and no reason is given: {name}" for name in sorted(wanting.keys() - given.keys())]
        problems += [f"the reason in [{kind}] is for {given[name]}, but {wanting[name]} are missing: {name}"
                     for name in sorted(wanting.keys() & given.keys()) if given[name] != wanting[name]]
        problems += [f"the reason in [{kind}] is not needed any more, or is for nothing: {name}"
                     for name in sorted(given.keys() - wanting.keys())]
    return problems


# Of the pages; the index adds the contract.
PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px sans-serif; margin: 2em }} table {{ border-collapse: collapse }} td, th {{ padding: 2px 10px; text-align: right }}
td:first-child, th:first-child {{ text-align: left }} tr:nth-child(even) {{ background: #f4f4f4 }} .bar {{ width: 120px; background: #e6a0a0 }}
.bar div {{ background: #5a9e5a; height: 10px }} pre {{ font: 12px monospace; margin: 0 }} .hit, tr.hit {{ background: #e2f2e2 }}
.miss, tr.miss {{ background: #f6cccc }} .part {{ background: #f8efc4 }} .n {{ color: #888 }}</style><h1>{title}</h1>
"""


def write_index(folder, rows, contract, blocks):
    cells = []
    for each in rows:
        name = each["block"]
        link = f'<a href="{name}.html">{name}</a>' if name in blocks else f"<b>{name}</b>"
        cells.append("<tr><td>{link}<td>{lines_hit} of {lines}<td>{lines_percent:.1f} %<td><div class=bar>"
                     "<div style='width:{lines_percent}%'></div></div><td>{branches_hit} of {branches}<td>{toggles_hit} of {toggles}<td>{toggles_percent:.1f} %"
                     "<td>{corners_hit} of {corners}".format(link=link, **each))
    text = PAGE.format(title="Coverage of the RTL") + (
        "<table><tr><th>block<th colspan=3>lines<th>branches<th colspan=2>toggles<th>corner cases" + "".join(cells) + "</table>")
    text += "<h2>Corner cases</h2><table><tr><th>case<th>times met"
    for name, block in blocks.items():
        for corner, count in sorted(block.corners.items()):
            text += f"<tr class={'hit' if count else 'miss'}><td>{name}.{corner}<td>{count}"
    text += "</table>"
    if contract:
        text += "<h2>Contract, in the same runs</h2><table><tr><th>kind<th>items"
        for name, (seen, count) in contract_groups(contract).items():
            text += f"<tr><td>{name}<td>{seen} of {count}"
        text += "</table><h2>Items of the contract that were not exercised over the RTL</h2><pre>"
        text += html.escape("\n".join(item for item, count in contract.items() if count == 0)) + "</pre>"
    (folder / "index.html").write_text(text, encoding="utf-8")


def write_block(folder, rtl, name, block):
    """The source: green lines were executed, red ones not; yellow: executed, but a way out of it or a signal's change is missing."""
    missing = collections.defaultdict(list)
    for what, points in (("branch", block.branches), ("toggle", block.toggles)):
        for (line, _, comment), count in points.items():
            if count == 0:
                missing[line].append(f"{what} {comment}")
    text = [PAGE.format(title=name), "<p><a href=index.html>all blocks</a></p>"]
    for number, source in enumerate((rtl / f"{name}.sv").read_text(encoding="utf-8").splitlines(), 1):
        count = block.lines.get(number)
        style = "miss" if count == 0 else "part" if number in missing else "hit" if count else ""
        title = html.escape("never: " + ", ".join(missing[number])) if number in missing else ""
        times = "" if count is None else str(count)
        text.append(f'<pre class="{style}" title="{title}"><span class=n>{number:>4} {times:>10} </span>{html.escape(source)}</pre>')
    (folder / f"{name}.html").write_text("\n".join(text), encoding="utf-8")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rtl", type=pathlib.Path, help="folder of the RTL's sources")
    parser.add_argument("inputs", nargs="+", type=pathlib.Path, help="folders of *.dat")
    parser.add_argument("--require", type=float, default=0.0, help="least lines in percent")
    parser.add_argument("--exceptions", type=pathlib.Path, help="TOML file with reasons; without it nothing is judged")
    parser.add_argument("--contract", type=pathlib.Path, help="folder of contract coverage of the same runs")
    parser.add_argument("--json", type=pathlib.Path, help="write the report here, too")
    parser.add_argument("--html", type=pathlib.Path, help="write pages into this folder: index.html, and the source of each block")
    arguments = parser.parse_args(argv)
    rtl = arguments.rtl.resolve()
    blocks = merge(rtl, read_points(arguments.inputs))
    if not any(block.counted() for block in blocks.values()):
        raise SystemExit(f"rtl_coverage.py: the counts are of no file in {rtl}")
    rows = [row(name, block) for name, block in blocks.items()]
    rows.append(total(rows))
    contract = dict(read_runs([arguments.contract])[0]) if arguments.contract else {}
    print("\n".join(table(rows, contract)))
    missed = list(not_executed(rtl, blocks))
    if arguments.json:
        corners = {f"{name}.{corner}": count for name, block in blocks.items() for corner, count in sorted(block.corners.items())}
        report = {"blocks": rows[:-1], "total": rows[-1], "corners": corners, "contract": contract,
                  "lines_not_executed": [{"block": name, "line": line, "text": text} for name, line, text in missed]}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.html:
        arguments.html.mkdir(parents=True, exist_ok=True)
        write_index(arguments.html, rows, contract, blocks)
        for name, block in blocks.items():
            write_block(arguments.html, rtl, name, block)
    problems = []
    if arguments.exceptions:
        problems = judge(rows[-1], missed, blocks, arguments.require, tomllib.loads(arguments.exceptions.read_text(encoding="utf-8")))
    for problem in problems:
        print(f"rtl_coverage.py: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
