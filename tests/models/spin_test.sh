#!/usr/bin/env bash
# Checks a Promela model with Spin: the model must hold, or with "mutant" Spin must find an error in it.
#   spin_test.sh MODEL holds|mutant [-DNAME=VALUE …]
set -euo pipefail
model=$(realpath "$1")
expected=$2
shift 2
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"

spin "$@" -a "$model"
cc -O1 -DSAFETY -DMEMLIM=3000 -w -o pan pan.c
# -m is the depth of the search: far beyond what the models reach, so that no part is cut off. -w only sizes a table.
output=$(./pan -m100000 -w22)
errors=$(sed -nE 's/^State-vector.*errors: ([0-9]+).*/\1/p' <<<"$output")
grep -E '^pan:|^State-vector|states, stored' <<<"$output" || true
case "$expected" in
  holds) [ "$errors" = 0 ] && ! grep -qE 'Search not completed|max search depth too small' <<<"$output" ;;
  mutant) [ "${errors:-0}" -gt 0 ] ;;
esac
