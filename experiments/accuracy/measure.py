#!/usr/bin/python3
"""How far the model's latencies are from the RTL's: the same stimulus on both, by frame size and load.

Runs `postern sim` with --device model and --device rtl, writes DIR/data.csv, prints the table with the constants that
would fit best, and puts the worst row's errors into a benchmark file. Exit status: 0, 1 beyond the limits of
sweep.toml, 2 for bad input or a run that fails.
"""

import argparse
import concurrent.futures
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
FCS_BYTES = 4
HEADER_BYTES = 42  # Ethernet, IPv4, UDP
AROUND_BYTES = 20  # preamble and gap
WIRE_NS_PER_BYTE = 0.8  # 10 Gb/s
BEAT_BYTES = 64  # of the RTL's data path
DEVICES = ("model", "rtl")
ROUND_TRIP_NS = 8000  # under load, with both ends spinning / asleep: a little more than what it takes
ROUND_TRIP_ASLEEP_NS = 13000
RUN_TIMEOUT_S = 600
STATISTICS = ("p50_ns", "p99_ns", "mean_ns")
COLUMNS = ["latency", "frame_bytes", "load"] + [f"{device}_{name}" for device in DEVICES for name in STATISTICS] + \
    ["median_error", "p99_error"]

STREAM = """[[workload]]
kind = "vi_stream"
from = "a"
to = "b"
port = 29000
count = {stream_frames}
size_bytes = {size}
batch = 1
interval_ns = {interval_ns}
poisson = true
"""
PINGPONG = """[[workload]]
kind = "udp_pingpong"
from = "a"
to = "b"
count = {round_trips}
size_bytes = {payload}
"""
SLEEP = "spin_us = 0\n"


def scenarios(size, load, sweep):
    """{latency: scenario text} for one point of the sweep; equal texts are run once."""
    fill = {"size": size, "payload": size - FCS_BYTES - HEADER_BYTES,
            "round_trips": sweep["round_trips"], "stream_frames": sweep["stream_frames"]}
    if load == 0:
        pingpong = PINGPONG.format(**fill)
        return {"doorbell_to_wire": pingpong, "wire_to_event": pingpong, "round_trip": pingpong,
                "event_to_interrupt": SLEEP + pingpong}
    fill["interval_ns"] = round((size + AROUND_BYTES) * WIRE_NS_PER_BYTE / load)
    stream = STREAM.format(**fill)
    beside = PINGPONG.format(**{**fill, "payload": 64 - FCS_BYTES - HEADER_BYTES})

    def loaded(round_trip_ns):  # small messages beside a load that lasts as long as they do
        frames = max(1, round(sweep["round_trips"] * round_trip_ns / fill["interval_ns"]))
        return STREAM.format(**{**fill, "stream_frames": frames}) + beside
    return {"doorbell_to_wire": stream, "wire_to_event": stream, "round_trip": loaded(ROUND_TRIP_NS),
            "event_to_interrupt": SLEEP + loaded(ROUND_TRIP_ASLEEP_NS)}


def run(postern, device, text, folder, number):
    """The report of one run. Errors: RuntimeError with what postern said."""
    path = folder / f"{number}_{device}.toml"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([postern, "sim", str(path), "--device", device, "--json", "-"], capture_output=True, text=True,
                          check=False, timeout=RUN_TIMEOUT_S)
    if done.returncode != 0:
        raise RuntimeError(f"postern sim --device {device} failed with status {done.returncode} on\n{text}{done.stderr}")
    return json.loads(done.stdout)


def latency_of(report, latency):
    if latency == "round_trip":
        rows = [workload["round_trip"] for workload in report["workloads"] if "round_trip" in workload]
    else:
        rows = [row for row in report["device_latencies"] if row["latency"] == latency]
    if not rows or rows[0]["count"] == 0:
        raise RuntimeError(f"the run of {report['scenario']} has no sample of {latency}")
    return rows[0]


def measure(postern, sweep, jobs):
    """The rows of the table, in the order of latencies, sizes and loads."""
    points = [(latency, size, load, text) for load in sweep["loads"] for size in sweep["sizes_bytes"]
              for latency, text in scenarios(size, load, sweep).items()]
    texts = sorted({text for *_, text in points})
    with tempfile.TemporaryDirectory() as name, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        started = {(text, device): pool.submit(run, postern, device, text, pathlib.Path(name), number)
                   for number, text in enumerate(texts) for device in DEVICES}
        reports = {key: future.result() for key, future in started.items()}
    rows = []
    for latency, size, load, text in points:
        row = {"latency": latency, "frame_bytes": size, "load": load}
        for device in DEVICES:
            found = latency_of(reports[text, device], latency)
            row.update({f"{device}_{name}": found[name] for name in STATISTICS})
        row["median_error"] = (row["model_p50_ns"] - row["rtl_p50_ns"]) / row["rtl_p50_ns"]
        row["p99_error"] = (row["model_p99_ns"] - row["rtl_p99_ns"]) / row["rtl_p99_ns"]
        rows.append(row)
    order = ["doorbell_to_wire", "wire_to_event", "event_to_interrupt", "round_trip"]
    return sorted(rows, key=lambda row: (order.index(row["latency"]), row["load"], row["frame_bytes"]))


def worst(rows, name):
    return max(abs(row[name]) for row in rows)


def print_table(rows, limits):
    print(f"{'latency, ns':<20}{'frame':>6}{'load':>6}{'model p50':>11}{'RTL p50':>10}{'error':>8}"
          f"{'model p99':>11}{'RTL p99':>10}{'error':>8}")
    for row in rows:
        beyond = abs(row["median_error"]) > limits["median_error"] or abs(row["p99_error"]) > limits["p99_error"]
        print(f"{row['latency']:<20}{row['frame_bytes']:>6}{row['load']:>6.0%}{row['model_p50_ns']:>11.1f}"
              f"{row['rtl_p50_ns']:>10.1f}{row['median_error']:>8.1%}{row['model_p99_ns']:>11.1f}"
              f"{row['rtl_p99_ns']:>10.1f}{row['p99_error']:>8.1%}{'  <' if beyond else ''}")
    print(f"worst row: median {worst(rows, 'median_error'):.1%}, 99th percentile {worst(rows, 'p99_error'):.1%}")


def fit_line(points):
    """Least squares of y = a + b x: (a, b)."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = 0.0 if spread == 0 else sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return mean_y - slope * mean_x, slope


def print_residuals(rows):
    """What the model lacks without load, as a line over the beats of a frame: what its constants should grow by."""
    print("\nRTL less model, mean, without load: what the model's constants should grow by")
    for latency in ("doorbell_to_wire", "wire_to_event", "event_to_interrupt"):
        points = [((row["frame_bytes"] - FCS_BYTES + BEAT_BYTES - 1) // BEAT_BYTES, row["rtl_mean_ns"] - row["model_mean_ns"])
                  for row in rows if row["latency"] == latency and row["load"] == 0]
        base, per_beat = fit_line(points)
        print(f"  {latency:<20}{base:>8.1f} ns {per_beat:>+7.2f} ns per beat of {BEAT_BYTES} bytes;  each: "
              + " ".join(f"{y:.1f}" for _, y in points))


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})


def merge_bench(path, rows):
    """Replaces this tool's two entries in a list of {"name", "value", "unit"}, as postern-bench writes it."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    unit = "of the RTL's latency, worst row"
    mine = [{"name": f"accuracy_{name}", "value": round(worst(rows, name), 5), "unit": unit}
            for name in ("median_error", "p99_error")]
    entries = [entry for entry in entries if entry["name"] not in {one["name"] for one in mine}] + mine
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--postern", required=True, help="the program")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR", help="where data.csv goes")
    parser.add_argument("--bench", type=pathlib.Path, metavar="FILE", help="list of benchmarks that gets the worst errors")
    parser.add_argument("--smoke", action="store_true", help="the few points of [smoke] only")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once (default: 2)")
    arguments = parser.parse_args()
    sweep = tomllib.loads((HERE / "sweep.toml").read_text(encoding="utf-8"))
    limits = sweep["limits"]
    try:
        rows = measure(arguments.postern, sweep["smoke"] if arguments.smoke else sweep, arguments.jobs)
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_csv(arguments.out / "data.csv", rows)
    print_table(rows, limits)
    print_residuals(rows)
    if arguments.bench:
        merge_bench(arguments.bench, rows)
    within = worst(rows, "median_error") <= limits["median_error"] and worst(rows, "p99_error") <= limits["p99_error"]
    if not within:
        print(f"accuracy: the model is farther from the RTL than {limits['median_error']:.0%} (median) or "
              f"{limits['p99_error']:.0%} (99th percentile): see the rows with <; experiments/accuracy/README.md says "
              "which constants to change", file=sys.stderr)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
