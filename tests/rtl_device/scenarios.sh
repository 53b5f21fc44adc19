#!/usr/bin/env bash
# Whole scenarios over the Verilated NIC.   scenarios.sh POSTERN CHECK ARGUMENT...
#   monitored SCENARIO...   every NIC, under the boundary monitor: ok, and no violation
#   line_rate GBPS SCENARIO...   monitored, and each way at GBPS on the wire within 0.2 % without a loss
#   replayed SCENARIO...    recorded on the model, replayed into the RTL with timing ignored: equal
#   waves BUILT SCENARIO...   --wave writes a file per NIC that names its blocks (BUILT ON), or says what to configure
#   waves_around BUILT SCENARIO...   --wave-around-violation: a file around what the monitor reports first, none (nor an older
#                           one) if it reports nothing; report and exit status as without, waves also without a report;
#                           contradictions are refused
#   skipped SCENARIO...     the report is the same whether the clock stands still or runs
set -euo pipefail
POSTERN=$1 CHECK=$2
shift 2
WORK=$(mktemp -d /tmp/postern-rtl-XXXXXX)
trap 'rm -rf "$WORK"' EXIT

case $CHECK in
  monitored)
    "$POSTERN" sim "$@" --monitor | tee "$WORK/report"
    grep -q ': ok$' "$WORK/report"
    ;;
  line_rate)
    GBPS=$1
    shift
    "$POSTERN" sim "$@" --device rtl --monitor --quiet --json "$WORK/report.json"
    python3 - "$WORK/report.json" "$GBPS" <<'PY'
import json, sys
gbps = float(sys.argv[2])
report = json.load(open(sys.argv[1]))
(stream,) = report["workloads"]
assert stream["ok"], stream
for way in ("", "backward_"):
    rate = stream["rates"][way + "wire_gbps"]
    counts = {name: stream["counts"][way + name + "_frames"] for name in ("received", "lost", "damaged", "reordered")}
    print("%s%.3f Gb/s, %s" % (way, rate, counts))
    assert abs(rate / gbps - 1) < 0.002, "expected %g Gb/s" % gbps
    assert counts.pop("received") > 1000 and not any(counts.values()), "expected neither loss nor damage"
for host in report["hosts"].values():
    drops = {name: count for name, count in host["nic"].items() if name.startswith("drops.") and count}
    assert "drops.RX_BUFFER_FULL" in host["nic"] and not drops, drops
    assert host["nic"]["rtl.cycles"] > 0, "expected the RTL"
PY
    ;;
  replayed)
    # What the RTL has: 64 VIs. Software reads the number, so the recording must have it too.
    "$POSTERN" sim "$@" --set vi_table.vi_count=64 --quiet --record "$WORK/run.trace"
    "$POSTERN" replay "$WORK/run.trace" --device rtl --timing ignore | tee "$WORK/outcome"
    grep -qE '^equal: [0-9]+ records, [0-9]{3,} outputs compared' "$WORK/outcome"
    ;;
  waves)
    BUILT=$1
    shift
    if [[ $BUILT != ON ]]; then
      status=0
      "$POSTERN" sim "$@" --device rtl --quiet --wave "$WORK/run.fst" 2> "$WORK/error" || status=$?
      [[ $status == 2 ]]
      grep -q 'this build.s RTL has no waves; configure it with -DPOSTERN_RTL_WAVES=ON' "$WORK/error"
      exit
    fi
    "$POSTERN" sim "$@" --device rtl --quiet --json "$WORK/without.json"
    "$POSTERN" sim "$@" --device rtl --quiet --json "$WORK/with.json" --wave "$WORK/run.fst" --wave-from-us 300 --wave-for-us 20
    cmp "$WORK/without.json" "$WORK/with.json"
    for host in a b; do
      [[ -s $WORK/run.$host.fst ]]
      command -v fst2vcd > /dev/null || continue
      fst2vcd -f "$WORK/run.$host.fst" -o "$WORK/$host.vcd"
      grep -q 'module u_rx_dma' "$WORK/$host.vcd"
      python3 - "$WORK/$host.vcd" <<'PY'
import sys
times = [int(line[1:]) for line in open(sys.argv[1]) if line.startswith("#")]
assert times and all(300_000_000 <= time <= 320_000_000 for time in times), times[:3] + times[-3:]
PY
    done
    ;;
  waves_around)
    BUILT=$1
    shift
    refused() { # WHAT ARGUMENT...
      local what=$1 status=0
      shift
      "$POSTERN" "$@" --wave-around-violation 2> "$WORK/error" || status=$?
      [[ $status == 2 ]] && grep -q -e "$what" "$WORK/error"
    }
    refused 'expected --wave FILE' sim "$@" --device rtl
    refused 'leave out --wave-from-us' sim "$@" --device rtl --wave "$WORK/run.fst" --wave-from-us 5
    refused 'postern up --device rtl --record DIR' up --wave "$WORK/run.fst"
    refused 'all are models' sim "$@" --wave "$WORK/run.fst"
    if [[ $BUILT != ON ]]; then
      refused 'configure it with -DPOSTERN_RTL_WAVES=ON' sim "$@" --device rtl --wave "$WORK/run.fst"
      exit
    fi
    for firmware in usual slow; do
      run=("$@" --device rtl --quiet --monitor)
      # Longer than the monitor's bound for a command: R12 of host b, which alone is clocked then.
      [[ $firmware == usual ]] || run+=(--set b:admin.command_ns=101000000)
      mkdir "$WORK/$firmware"
      echo 'of an earlier run' > "$WORK/$firmware/run.a.fst"
      status=0 waved=0
      "$POSTERN" sim "${run[@]}" --json "$WORK/without.json" 2> "$WORK/without" || status=$?
      "$POSTERN" sim "${run[@]}" --json "$WORK/with.json" --wave "$WORK/$firmware/run.fst" --wave-around-violation=2 \
        2> "$WORK/with" || waved=$?
      cmp "$WORK/without.json" "$WORK/with.json"
      [[ $status == "$waved" ]]
      if [[ $firmware == slow ]]; then # what cannot be written makes the status 2, but the waves are complete all the same
        for unwritable in "--json=$WORK/none/report.json" --trace=/dev/full; do
          rm "$WORK/slow/"*.fst
          status=0
          "$POSTERN" sim "${run[@]}" "$unwritable" --wave "$WORK/slow/run.fst" --wave-around-violation=2 \
            2> "$WORK/error" || status=$?
          [[ $status == 2 ]]
          grep -q "${unwritable#*=}" "$WORK/error"
          tail -n 1 "$WORK/error" | grep -q ": $WORK/slow/run.a.fst, $WORK/slow/run.b.fst\$"
        done
      fi
      python3 - "$WORK" "$firmware" <<'PY'
import pathlib, re, sys
work, firmware = pathlib.Path(sys.argv[1]), sys.argv[2]
without, with_waves = (pathlib.Path(work / name).read_text() for name in ("without", "with"))
assert with_waves.startswith(without), with_waves
said = with_waves[len(without):]
files = sorted(file.name for file in (work / firmware).iterdir())
reports = [float(time) for time in re.findall(r"^R\d+ violated at ([0-9.]+) ns", without, re.MULTILINE)]
print("%s: reports at %s ns; %s" % (firmware, reports, said.strip()))
assert said.count("\n") == 1, said
if firmware == "usual":
    assert not reports and "no violation by an RTL NIC" in said and not files, (said, files)
    sys.exit()
first_ps = round(min(reports) * 1000)
assert "at %.6f us" % (first_ps / 1e6) in said, said
assert files == ["run.a.fst", "run.b.fst"], files
header = (work / firmware / "run.b.fst").read_bytes()[9:25]
begin_ps, end_ps = (int.from_bytes(header[i:i + 8], "big") for i in (0, 8))
assert first_ps - 2_000_000 <= begin_ps < first_ps and begin_ps < end_ps <= first_ps + 1_000_000, (begin_ps, end_ps)
PY
    done
    ;;
  skipped)
    "$POSTERN" sim "$@" --device rtl --quiet --json "$WORK/skipping.json"
    "$POSTERN" sim "$@" --device rtl --quiet --json "$WORK/running.json" --set rtl.skip_idle=0
    python3 - "$WORK" <<'PY'
import json, sys
skipping, running = (json.load(open(sys.argv[1] + "/" + name + ".json")) for name in ("skipping", "running"))
cycles = [[host["nic"].pop("rtl.cycles") for host in report["hosts"].values()] for report in (skipping, running)]
assert all(few < many for few, many in zip(*cycles)), "the clock never stood still: %s" % cycles
assert skipping == running, "the reports differ"
print("equal; cycles %s of %s" % tuple(cycles))
PY
    ;;
  *) echo "no check $CHECK" >&2; exit 2 ;;
esac
