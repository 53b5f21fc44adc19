#!/usr/bin/env bash
# What a person gets wrong: one line on stderr that names the remedy, and a non-zero exit status.
. "$(dirname "$0")/testbed.sh"

# expect STATUS PATTERN COMMAND...
expect() {
  local wanted=$1 pattern=$2
  shift 2
  timeout 30 "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
  local got=$?
  [ "$got" = "$wanted" ] || fail "'$*' ended with $got instead of $wanted: $(cat "$WORK/err")"
  [ "$(wc -l <"$WORK/err")" = 1 ] || fail "'$*' should print one line, not: $(cat "$WORK/err")"
  grep -qE "$pattern" "$WORK/err" || fail "'$*' should say /$pattern/, not: $(cat "$WORK/err")"
}

expect 2 "postern --help" "$POSTERN"
expect 2 "no verb .frobnicate.*postern --help" "$POSTERN" frobnicate
expect 1 "postern up" "$POSTERN" status
expect 1 "postern up" "$POSTERN" exec a -- true
expect 1 "nosuch.toml" "$POSTERN" up "$WORK/nosuch.toml"
printf '[[host]]\nname = "a"\naddress = 5\n' >"$WORK/bad.toml"
expect 1 "bad.toml:3.*address.*expected" "$POSTERN" up "$WORK/bad.toml"
printf '[[host]]\nname = "a\n' >"$WORK/bad.toml"
expect 1 "bad.toml:2" "$POSTERN" up "$WORK/bad.toml"
expect 1 "nosuch" "$POSTERN" up --set nosuch.property=1
[ -e "$POSTERN_RUN_DIR/state.json" ] && fail "a failed up left its state"

up
expect 1 "already up.*postern down" "$POSTERN" up
expect 1 "no host 'z'.*a, b" "$POSTERN" exec z -- true
expect 127 "no-such-program.*not found" "$POSTERN" exec a -- no-such-program
expect 126 "cannot execute" "$POSTERN" exec a -- /etc/passwd
expect 1 "which program" "$POSTERN" exec a
# A path that LD_PRELOAD would split: the program must not run without Postern unnoticed.
for odd in "with space" "with:colon"; do
  mkdir -p "$WORK/$odd/bin"
  cp "$POSTERN" "$WORK/$odd/bin"
  touch "$WORK/$odd/bin/libpostern.so"
  expect 1 "space or a colon.*without them" "$WORK/$odd/bin/postern" exec a -- true
done
# As while `up` is at work: host b's hostd is not recorded yet.
cp "$POSTERN_RUN_DIR/state.json" "$WORK/state.json"
python3 - "$WORK/state.json" "$POSTERN_RUN_DIR/state.json" <<'PY'
import json, sys
state = json.load(open(sys.argv[1]))
state["processes"] = [process for process in state["processes"] if process["host"] != "b"]
json.dump(state, open(sys.argv[2], "w"))
PY
expect 1 "does not run.*postern down" "$POSTERN" status
cp "$WORK/state.json" "$POSTERN_RUN_DIR/state.json"
"$POSTERN" status >/dev/null || fail "status"
[ "$(on a sh -c 'exit 7'; echo $?)" = 7 ] || fail "exec should return the program's exit status"
"$POSTERN" down >/dev/null || fail "down"

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  cat >"$WORK/tap.toml" <<'TOML'
[[host]]
name = "a"
address = "10.9.0.1/24"

[[tap]]
name = "t"
interface = "pst0"
netns = "pst-bad-input"
address = "10.9.0.9/24"

[[link]]
ends = ["a", "t"]
TOML
  expect 1 "TAP.*root" setpriv --bounding-set=-net_admin,-sys_admin --inh-caps=-net_admin,-sys_admin \
    "$POSTERN" up "$WORK/tap.toml"
  ip netns list | grep -q pst-bad-input && fail "the namespace was left"
fi

# A crashed run is noticed and cleaned by the next up and by down.
up
crashing=()
for process in "s['simulator']" "s['hosts'][0]['hostd']" "s['hosts'][1]['hostd']"; do
  pid_of "$process['pid']"
  crashing+=("$PID")
done
kill -9 "${crashing[@]}"
wait_for 5 "status notices the crash" bash -c "! '$POSTERN' status"
"$POSTERN" up >"$WORK/out" 2>"$WORK/err" || fail "up after a crash: $(cat "$WORK/err")"
grep -q "cleaning up" "$WORK/err" || fail "up should say that it cleans up"
"$POSTERN" down >/dev/null || fail "down after a crash"
echo ok
