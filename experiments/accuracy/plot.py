#!/usr/bin/python3
"""Draws the latencies of model and RTL beside each other: plot.py DATA.csv FIGURE.png (or .svg). Reads only the data."""

import csv
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of the backend)

TITLES = {"doorbell_to_wire": "doorbell to wire", "wire_to_event": "wire to event",
          "event_to_interrupt": "event to interrupt", "round_trip": "round trip (loaded: 64-byte messages)"}


def draw(rows, path):
    loads = sorted({float(row["load"]) for row in rows})
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), sharex=True)
    for panel, (latency, title) in zip(axes.flat, TITLES.items()):
        for number, load in enumerate(loads):
            points = sorted((int(row["frame_bytes"]), row) for row in rows
                            if row["latency"] == latency and float(row["load"]) == load)
            sizes = [size for size, _ in points]
            for name, line, mark in (("p50_ns", "-", "o"), ("p99_ns", ":", "s")):
                panel.plot(sizes, [float(row["rtl_" + name]) for _, row in points], line, color=f"C{number}",
                           label=f"RTL, load {load:.0%}, {name[:3]}")
                panel.plot(sizes, [float(row["model_" + name]) for _, row in points], mark, color=f"C{number}",
                           fillstyle="none", label=f"model, load {load:.0%}, {name[:3]}")
        panel.set_title(title)
        panel.set_ylabel("ns")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    for panel in axes[1]:
        panel.set_xlabel("frame, bytes with FCS")
    axes[0][0].legend(fontsize="x-small", ncols=2)
    figure.suptitle("Latencies of the model (marks) and the RTL (lines)")
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.endswith(".svg") else {"Software": None})


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1], newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        print(f"plot: {sys.argv[1]} has no rows: run measure.py first", file=sys.stderr)
        return 2
    draw(rows, sys.argv[2])
    print(f"drawn: {sys.argv[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
