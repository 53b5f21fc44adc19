#!/usr/bin/env bash
# up, exec, status, down: an unmodified python3 server on host b, an unmodified curl on host a.
. "$(dirname "$0")/testbed.sh"

up
"$POSTERN" status >"$WORK/status.txt" || fail "status says that something does not run: $(cat "$WORK/status.txt")"
grep -q "host a" "$WORK/status.txt" || fail "status does not name host a"
[ "$(status "s['all_running']")" = True ] || fail "status --json"

mkdir "$WORK/www"
random_file "$WORK/www/file" 4
background server "$POSTERN" exec b -- python3 -m http.server 8000 --bind 10.9.0.2 --directory "$WORK/www"
wait_for 20 "the server listens" on a curl -s -o /dev/null --max-time 5 http://10.9.0.2:8000/
on a curl -s --max-time 30 -o "$WORK/got" http://10.9.0.2:8000/file || fail "curl ended with status $?"
[ "$(hash_of "$WORK/got")" = "$(hash_of "$WORK/www/file")" ] || fail "the file arrived changed"

on a curl -s --max-time 10 -o /dev/null http://10.9.0.2:8001/
[ $? = 7 ] || fail "a closed port should refuse the connection"

"$POSTERN" down >/dev/null || fail "down"
[ -e "$POSTERN_RUN_DIR/state.json" ] && fail "down left its state"
ls "$POSTERN_RUN_DIR"/*.sock 2>/dev/null && fail "down left sockets"
"$POSTERN" down >/dev/null || fail "a second down is no error"
up
"$POSTERN" down >/dev/null || fail "down after a second up"
echo ok
