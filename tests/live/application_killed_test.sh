#!/usr/bin/env bash
# kill -9 of an application, at any moment of its start and with an open connection: its VI, filters and memory are free
# within 1 s, and its peer sees the end.
. "$(dirname "$0")/testbed.sh"

cat >"$WORK/server.py" <<'PY'
import socket, time
listener = socket.socket()
listener.bind(("10.9.0.2", 9000))
listener.listen()
connection, _ = listener.accept()
connection.sendall(b"hello")
time.sleep(60)
PY
cat >"$WORK/client.py" <<'PY'
import socket, time
for attempt in range(100):
    try:
        connection = socket.create_connection(("10.9.0.2", 9000), timeout=5)
        break
    except OSError:
        time.sleep(0.1)
connection.settimeout(20)
assert connection.recv(5) == b"hello"
print("connected", flush=True)
try:
    data = connection.recv(100)
    print("end of data" if not data else "unexpected data", flush=True)
except ConnectionResetError:
    print("reset", flush=True)
PY

# What host b holds: started VIs, filters, regions of DMA memory.
held() {
  [ $# = 1 ] || "$POSTERN" status --json >"$WORK/status.json"
  python3 - "$WORK/status.json" <<'PY'
import json, sys
nics = json.load(open(sys.argv[1]))["simulator"]["status"]["nics"]
print(next((n["started_vis"], n["filters"], n["dma_regions"]) for n in nics if n["host"] == "b"))
PY
}

# Waits until host b holds no more than $before; fails after 1 s. Sets $elapsed_ms.
released() {
  local begin now
  begin=$(date +%s%N)
  while :; do
    # The time counts until the report, not until Python has read it.
    "$POSTERN" status --json >"$WORK/status.json" 2>/dev/null
    elapsed_ms=$((($(date +%s%N) - begin) / 1000000))
    now=$(held "$WORK/status.json")
    [ "$now" != "$before" ] || break
    [ "$elapsed_ms" -lt 15000 ] || fail "$1: host b still holds $now instead of $before (VIs, filters, regions)"
  done
  [ "$elapsed_ms" -le 1000 ] || fail "$1: released only after $elapsed_ms ms"
}

up
before=$(held)
for delay in 0.01 0.02 0.03 0.04 0.05 0.06 0.08 0.1 0.15 0.3; do
  background early "$POSTERN" exec b -- python3 "$WORK/server.py"
  sleep "$delay"
  kill -9 "$LAST"
  sleep 0.05  # what it asked for last has reached hostd
  released "killed $delay s after its start"
done
background server "$POSTERN" exec b -- python3 "$WORK/server.py"
server=$LAST
background client "$POSTERN" exec a -- python3 "$WORK/client.py"
wait_for 20 "the client is connected" grep -q connected "$WORK/client.log"
[ "$(held)" != "$before" ] || fail "a connected server should hold a VI, filters and memory"

kill -9 "$server"
released "killed with a connection"
wait_for 5 "the client sees the end of the connection" grep -qE "reset|end of data" "$WORK/client.log"
echo "released after $elapsed_ms ms; client: $(tail -n 1 "$WORK/client.log")"
