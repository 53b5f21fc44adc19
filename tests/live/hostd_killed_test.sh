#!/usr/bin/env bash
# kill -9 of a host's hostd: its applications get an error and do not hang; the other host goes on.
. "$(dirname "$0")/testbed.sh"

cat >"$WORK/server.py" <<'PY'
import socket
listener = socket.socket()
listener.bind(("10.9.0.2", 9000))
listener.listen()
print("listening", flush=True)
try:
    listener.accept()
except OSError as problem:
    print("accept:", problem, flush=True)
    raise SystemExit(3)
PY

up
background server "$POSTERN" exec b -- python3 "$WORK/server.py"
server=$LAST
wait_for 20 "the server listens" grep -q listening "$WORK/server.log"
pid_of "s['hosts'][1]['hostd']['pid']"
kill -9 "$PID"
wait_end 5 "the server after its hostd's death" "$server"
[ "$STATUS" = 3 ] || fail "the server should have got an error: $(cat "$WORK/server.log")"
on b true 2>"$WORK/err" && fail "exec on a host without hostd should fail"
grep -q "hostd of host 'b' does not run" "$WORK/err" || fail "exec should say why: $(cat "$WORK/err")"
on a python3 -c 'import socket; s = socket.socket(); s.bind(("10.9.0.1", 9000)); s.listen()' || fail "host a should go on"
echo "server: $(tail -n 1 "$WORK/server.log")"
