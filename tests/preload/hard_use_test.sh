#!/usr/bin/env bash
# Runs the cases of hard_use (all, or those named) between two simulated hosts. Usage: hard_use_test.sh BUILD_DIR [CASE...]
. "$(dirname "$0")/../live/testbed.sh"
shift
PROGRAM=$BUILD/bin/hard_use
[ $# -gt 0 ] || mapfile -t cases < <("$PROGRAM" list)
[ $# = 0 ] || cases=("$@")

up
background sink "$POSTERN" exec b -- "$PROGRAM" sink 7000
sleep 0.5
failed=()
for name in "${cases[@]}"; do
  begin=$(date +%s%N)
  on a "$PROGRAM" "$name" 10.9.0.2 7000 >"$WORK/case.out" 2>&1
  status=$?
  echo "$name: exit status $status after $((($(date +%s%N) - begin) / 1000000)) ms"
  [ "$status" = 0 ] || { cat "$WORK/case.out"; failed+=("$name"); }
done
[ ${#failed[@]} = 0 ] || fail "${failed[*]}"
