#!/usr/bin/env bash
# Whole scenarios over the Verilated NIC.   scenarios.sh POSTERN CHECK ARGUMENT...
#   monitored SCENARIO...   every NIC, under the boundary monitor: ok, and no violation
#   replayed SCENARIO...    recorded on the model, replayed into the RTL with timing ignored: equal
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
  replayed)
    # What the RTL has: 64 VIs. Software reads the number, so the recording must have it too.
    "$POSTERN" sim "$@" --set vi_table.vi_count=64 --quiet --record "$WORK/run.trace"
    "$POSTERN" replay "$WORK/run.trace" --device rtl --timing ignore | tee "$WORK/outcome"
    grep -qE '^equal: [0-9]+ records, [0-9]{3,} outputs compared' "$WORK/outcome"
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
