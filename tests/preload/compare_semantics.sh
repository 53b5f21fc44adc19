#!/usr/bin/env bash
# Runs socket_semantics on the kernel's loopback and between two simulated hosts, and compares what it printed.
# Usage: compare_semantics.sh BUILD_DIR [SCENARIO]. Needs no root. Exit status 1 and a diff if a line differs.
set -uo pipefail
BUILD=$(realpath "${1:?usage: $0 BUILD_DIR [SCENARIO]}")
SCENARIO=${2:-}
PROGRAM=$BUILD/bin/socket_semantics
POSTERN=$BUILD/bin/postern
WORK=$(mktemp -d /tmp/postern-semantics-XXXXXX)
export POSTERN_RUN_DIR=$WORK/run
unset LD_PRELOAD POSTERN_HOSTD
trap '"$POSTERN" down >/dev/null 2>&1; rm -rf "$WORK"' EXIT

# run NAME SERVER_PREFIX... -- CLIENT_PREFIX... -- SERVER_ADDRESS CLIENT_ADDRESS PORT
run() {
  local name=$1 server_address=$2 client_address=$3 port=$4 server_host=$5 client_host=$6
  local server=(timeout 170 "$PROGRAM") client=(timeout 170 "$PROGRAM")
  [ -n "$server_host" ] && server=(timeout 170 "$POSTERN" exec "$server_host" -- "$PROGRAM")
  [ -n "$client_host" ] && client=(timeout 170 "$POSTERN" exec "$client_host" -- "$PROGRAM")
  "${server[@]}" server "$client_address" "$port" $SCENARIO >"$WORK/$name.server" 2>"$WORK/$name.errors" &
  local server_pid=$!
  "${client[@]}" client "$server_address" "$port" $SCENARIO >"$WORK/$name.client" 2>>"$WORK/$name.errors"
  wait "$server_pid"
}

# Below the ports that the kernel gives to clients, one of which could be a port that a scenario wants to listen on.
run kernel 127.0.0.1 127.0.0.1 "$((12000 + $$ % 20000))" "" ""
"$POSTERN" up >"$WORK/up.log" 2>&1 || { cat "$WORK/up.log"; exit 1; }
run postern 10.9.0.2 10.9.0.1 7000 b a
cat "$WORK"/*.errors >&2

status=0
for role in server client; do
  if ! diff -U2 --label "kernel ($role)" --label "postern ($role)" "$WORK/kernel.$role" "$WORK/postern.$role"; then
    status=1
  fi
done
[ "$status" = 0 ] && echo "equal: $(cat "$WORK"/postern.server "$WORK"/postern.client | wc -l) lines"
exit "$status"
