#!/usr/bin/env bash
# `postern up --foreground` ends the testbed on Ctrl-C, and says so when one of its processes dies.
. "$(dirname "$0")/testbed.sh"

# Starts it; its process id is in $LAST, that of host a's hostd in $PID.
up_in_foreground() {
  rm -f "$WORK/foreground.log"  # what an earlier one said
  background foreground "$POSTERN" up --monitor --foreground
  wait_for 30 "up says that the testbed is ready" grep -q "Ctrl-C ends it" "$WORK/foreground.log"
  "$POSTERN" status >"$WORK/status.txt" 2>&1 || fail "status while the testbed is up: $(cat "$WORK/status.txt")"
  pid_of "s['hosts'][0]['hostd']['pid']"
}

up_in_foreground
kill -TERM "$LAST"
wait_end 20 "up after a signal" "$LAST"
[ "$STATUS" = 0 ] || fail "should end with 0 on a signal: $(cat "$WORK/foreground.log")"
kill -0 "$PID" 2>/dev/null && fail "hostd is left"
[ -e "$POSTERN_RUN_DIR/state.json" ] && fail "the state is left"

up_in_foreground
kill -9 "$PID"
wait_end 20 "up after the death of hostd" "$LAST"
[ "$STATUS" = 1 ] || fail "should end with 1 when a process dies"
grep -q "hostd of host 'a' ended unexpectedly" "$WORK/foreground.log" || fail "should say which: $(cat "$WORK/foreground.log")"
[ -e "$POSTERN_RUN_DIR/state.json" ] && fail "the state is left"
echo ok
