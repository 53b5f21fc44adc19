#!/usr/bin/env bash
# kill -9 of the simulator: applications get an error, in whatever call they wait, and nothing hangs.
. "$(dirname "$0")/testbed.sh"

cat >"$WORK/server.py" <<'PY'
import socket, time
listener = socket.socket()
listener.bind(("10.9.0.2", 9000))
listener.listen()
while True:
    try:
        connection, _ = listener.accept()
    except OSError as problem:
        print("accept:", problem, flush=True)
        raise SystemExit(3)
    print("accepted", flush=True)
    kept = connection
PY
cat >"$WORK/client.py" <<'PY'
import socket, time
for attempt in range(100):
    try:
        connection = socket.create_connection(("10.9.0.2", 9000), timeout=5)
        break
    except OSError:
        time.sleep(0.1)
connection.settimeout(None)
print("connected", flush=True)
try:
    data = connection.recv(100)
    print("data", len(data), flush=True)
except OSError as problem:
    print("recv:", problem, flush=True)
    raise SystemExit(3)
PY

up
background server "$POSTERN" exec b -- python3 "$WORK/server.py"
server=$LAST
background client "$POSTERN" exec a -- python3 "$WORK/client.py"
client=$LAST
wait_for 20 "the client is connected" grep -q connected "$WORK/client.log"

# One that stands still is noticed, and holds up nobody who asks.
pid_of "s['simulator']['pid']"
kill -STOP "$PID"
timeout 10 "$POSTERN" status >/dev/null 2>"$WORK/err"
[ $? = 1 ] || fail "status of a simulator that stands still: $(cat "$WORK/err")"
grep -q "does not answer" "$WORK/err" || fail "status should say why: $(cat "$WORK/err")"

kill -9 "$PID"
for name in client server; do
  wait_end 5 "the $name after the simulator's death" "${!name}"
  [ "$STATUS" = 3 ] || fail "the $name should have got an error: $(cat "$WORK/$name.log")"
done
"$POSTERN" status >/dev/null 2>"$WORK/err" && fail "status should notice"
grep -q "postern down" "$WORK/err" || fail "status should name the remedy: $(cat "$WORK/err")"
"$POSTERN" down >/dev/null || fail "down"
echo "client: $(tail -n 1 "$WORK/client.log"); server: $(tail -n 1 "$WORK/server.log")"
