#!/usr/bin/env bash
# A VI whose context fails, and a card that is pulled out: the applications that use them get an error in the call in
# which they wait. Another VI of the same card goes on, and the simulator stays.
. "$(dirname "$0")/testbed.sh"

cat >"$WORK/server.py" <<'PY'
import socket
listener = socket.socket()
listener.bind(("10.9.0.2", 9000))
listener.listen()
try:
    kept = []
    while True:
        kept.append(listener.accept())
        print("accepted", flush=True)
except OSError as problem:
    print("accept:", problem, flush=True)
    raise SystemExit(3)
PY
cat >"$WORK/client.py" <<'PY'
import socket, time
connection = None
while connection is None:
    try:
        connection = socket.create_connection(("10.9.0.2", 9000), timeout=5)
    except ConnectionRefusedError:
        time.sleep(0.1)
connection.settimeout(None)
print("connected", flush=True)
try:
    print("data", len(connection.recv(100)), flush=True)
except OSError as problem:
    print("recv:", problem, flush=True)
    raise SystemExit(3)
PY

# VI 0 is the host's own stack, VI 1 the first application's. Times are the device's.
up --set b:fault.context_ecc_vi=1 --set b:fault.context_ecc_at_ns=8e9 --set a:fault.removal_at_ns=12e9
background server "$POSTERN" exec b -- python3 "$WORK/server.py"
server=$LAST
background client "$POSTERN" exec a -- python3 "$WORK/client.py"
client=$LAST
wait_for 20 "the client is connected" grep -q connected "$WORK/client.log"

wait_end 60 "the server after its VI halted" "$server"
[ "$STATUS" = 3 ] || fail "the server should have got an error: $(cat "$WORK/server.log")"
kill -0 "$client" 2>/dev/null || fail "the other host's application ended as well: $(cat "$WORK/client.log")"
on b true || fail "host b should still start programs"

wait_end 60 "the client after its card is gone" "$client"
[ "$STATUS" = 3 ] || fail "the client should have got an error: $(cat "$WORK/client.log")"
grep -q "the device is gone" "$WORK"/run/*.log || fail "hostd should say that the device is gone"
echo "server: $(tail -n 1 "$WORK/server.log"); client: $(tail -n 1 "$WORK/client.log")"
