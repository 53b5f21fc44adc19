#!/usr/bin/env python3
"""Draws docs/figures/traces.png from a run's Chrome trace and VCD, as their viewers show them.

No screenshot: a drawing of the same data. Usage: make_figures.py POSTERN_BINARY. Requires Debian's package
python3-matplotlib.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw_trace(axes, events, hosts):
    flow = [e for e in events if e["ph"] in "sf"]
    start = flow[20]["ts"] - 0.3
    end = start + 8
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    order = {(e["pid"], e["tid"]): e["args"]["sort_index"] for e in events if e["name"] == "thread_sort_index"}
    slices = [e for e in events if e["ph"] == "X" and start <= e["ts"] <= end]
    tracks = sorted({(e["pid"], e["tid"]) for e in slices}, key=lambda track: (track[0], order[track]))
    rows = {track: len(tracks) - i for i, track in enumerate(tracks)}
    for e in slices:
        axes.barh(rows[e["pid"], e["tid"]], e["dur"], left=e["ts"] - start, color=f"C{e['tid'] % 10}", height=0.8)
    ends = {e["id"]: e for e in flow if e["ph"] == "f"}
    for e in flow:
        to = ends.get(e["id"])
        if e["ph"] == "s" and start <= e["ts"] and to["ts"] <= end and (to["pid"], to["tid"]) in rows:
            axes.annotate("", (to["ts"] - start, rows[to["pid"], to["tid"]]),
                          (e["ts"] - start, rows[e["pid"], e["tid"]]), arrowprops={"arrowstyle": "->"})
    axes.set_yticks([rows[t] for t in tracks], [f"{hosts[t[0]]}: {names[t]}" for t in tracks], fontsize=7)
    axes.set_xlabel("µs")
    axes.set_title("--trace: a slice per stage, arrows from send() to recv()", fontsize=9)
    axes.set_xlim(0, 8)
    return start, end


def draw_vcd(axes, text, start, end):
    scope, signals = [], {}
    for line in text[:text.index("$enddefinitions")].splitlines():
        words = line.split()
        if words[0] == "$scope":
            scope.append(words[2])
        elif words[0] == "$upscope":
            scope.pop()
        elif words[0] == "$var":
            signals[words[3]] = (".".join(scope + [words[4]]), [])
    now = 0.0
    for line in text[text.index("$enddefinitions"):].splitlines()[1:]:
        if line.startswith("#"):
            now = int(line[1:]) / 1e6
        else:
            value, name = re.match(r"b?([01]+) ?(.+)", line).groups()
            signals[name][1].append((now - start, int(value, 2)))
    for row, (name, changes) in enumerate(sorted(signals.values(), reverse=True)):
        before = [c for c in changes if c[0] < 0][-1:]
        shown = [(0, before[0][1])] if before else []
        shown += [c for c in changes if 0 <= c[0] <= end - start]
        if not shown:
            continue
        shown.append((end - start, shown[-1][1]))
        low, high = min(v for _, v in shown), max(v for _, v in shown)
        axes.step([t for t, _ in shown], [row + 0.7 * (v - low) / max(1, high - low) for _, v in shown], where="post",
                  color="tab:green", linewidth=1)
        axes.text(8.05, row, f"{low}..{high}", fontsize=6)
    axes.set_yticks(range(len(signals)), sorted((s[0] for s in signals.values()), reverse=True), fontsize=7)
    axes.set_xlim(0, 8)
    axes.set_xlabel("µs")
    axes.set_title("--vcd: the same time, signals of the hosts (range at the right)", fontsize=9)


def draw_pcap(axes, path, hosts, start, end):
    data = path.read_bytes()
    assert data[:4] == bytes.fromhex("4d3cb2a1"), "nanosecond pcap expected"
    at, lines = 24, []
    while at < len(data):
        seconds, nanoseconds, size, _ = (int.from_bytes(data[at + 4 * i:at + 4 * i + 4], "little") for i in range(4))
        frame = data[at + 16:at + 16 + size]
        at += 16 + size
        if start <= seconds * 1e6 + nanoseconds / 1e3 <= end and frame[12:14] == b"\x08\x00":
            addresses = [".".join(map(str, frame[i:i + 4])) for i in (26, 30)]
            protocol = {6: "TCP", 17: "UDP"}.get(frame[23], str(frame[23]))
            lines.append(f"{seconds}.{nanoseconds:09d}  {addresses[0]:>10} -> {addresses[1]:<10} {protocol} {size} bytes")
    axes.axis("off")
    axes.set_title(f"--pcap: {path.name}", fontsize=9)
    axes.text(0, 1, "\n".join(lines), family="monospace", fontsize=7, va="top")


def main():
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        subprocess.run([sys.argv[1], "sim", "udp_pingpong", "--quiet", "--trace", out / "t.json", "--vcd", out / "t.vcd",
                        "--vcd-signals", "*.vi0.evq_depth,*.vi0.rx_ring,*.vi0.tx_doorbell,*.wire_?x,*.dma_*",
                        "--pcap", out], check=True)
        events = json.loads((out / "t.json").read_text())["traceEvents"]
        hosts = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
        figure, axes = plt.subplots(3, 1, figsize=(10, 10), height_ratios=[4, 4, 1])
        start, end = draw_trace(axes[0], events, hosts)
        draw_vcd(axes[1], (out / "t.vcd").read_text(), start, end)
        draw_pcap(axes[2], out / "a.pcap", hosts, start, end)
        figure.tight_layout()
        figure.savefig(pathlib.Path(__file__).parent / "traces.png", dpi=100)


main()
