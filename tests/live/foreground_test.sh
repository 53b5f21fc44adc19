#!/usr/bin/env bash
# `postern up --foreground` ends the testbed on Ctrl-C, and says so when one of its processes dies.
. "$(dirname "$0")/testbed.sh"

background foreground "$POSTERN" up --foreground
wait_for 15 "the testbed is up" "$POSTERN" status
hostd=$(status "s['hosts'][0]['hostd']['pid']")
kill -TERM "$LAST"
wait "$LAST"
[ $? = 0 ] || fail "should end with 0 on a signal: $(cat "$WORK/foreground.log")"
kill -0 "$hostd" 2>/dev/null && fail "hostd is left"
[ -e "$POSTERN_RUN_DIR/state.json" ] && fail "the state is left"

background foreground "$POSTERN" up --foreground
wait_for 15 "the testbed is up" "$POSTERN" status
kill -9 "$(status "s['hosts'][0]['hostd']['pid']")"
wait "$LAST"
[ $? = 1 ] || fail "should end with 1 when a process dies"
grep -q "hostd of host 'a' ended unexpectedly" "$WORK/foreground.log" || fail "should say which: $(cat "$WORK/foreground.log")"
[ -e "$POSTERN_RUN_DIR/state.json" ] && fail "the state is left"
echo ok
