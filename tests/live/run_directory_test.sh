#!/usr/bin/env bash
# What `postern up` and `postern down` do to the run directory: only files of their own come and go.
. "$(dirname "$0")/testbed.sh"

cat >"$WORK/topology.toml" <<'TOML'
[[host]]
name = "a"
address = "10.9.0.1/24"

[[host]]
name = "b"
address = "10.9.0.2/24"

[[link]]
ends = ["a", "b"]
TOML

# A directory with files of the user is left alone.
mkdir "$WORK/mine"
cp "$WORK/topology.toml" "$WORK/mine"
touch "$WORK/mine/notes.log" "$WORK/mine/other.sock"
before=$(cd "$WORK/mine" && find . -type f -exec sha256sum {} + | sort)
(cd "$WORK/mine" && "$POSTERN" up topology.toml --run-dir .) >"$WORK/out" 2>&1 && fail "up in a directory with foreign files"
grep -q "not of a testbed.*--run-dir" "$WORK/out" || fail "up should say what to do: $(cat "$WORK/out")"
"$POSTERN" down --run-dir "$WORK/mine" >"$WORK/out" 2>&1 || fail "down where nothing is up: $(cat "$WORK/out")"
[ "$(cd "$WORK/mine" && find . -type f -exec sha256sum {} + | sort)" = "$before" ] || fail "foreign files were changed"

# A failed up leaves its logs, and the next one still works.
"$POSTERN" up --set nosuch.property=1 >"$WORK/out" 2>&1 && fail "up with an unknown property"
[ -s "$POSTERN_RUN_DIR/simulator.log" ] || fail "the log of a failed up should stay"
up
touch "$POSTERN_RUN_DIR/mine.log"
"$POSTERN" down >/dev/null || fail "down"
[ "$(ls "$POSTERN_RUN_DIR")" = mine.log ] || fail "left in the run directory: $(ls "$POSTERN_RUN_DIR")"
rm "$POSTERN_RUN_DIR/mine.log"

# Paths need not be UTF-8.
odd=$WORK/$'run-\xff'
cp "$WORK/topology.toml" "$WORK/"$'odd-\xfe.toml'
"$POSTERN" up "$WORK/"$'odd-\xfe.toml' --run-dir "$odd" >"$WORK/out" 2>&1 || fail "up in such a path: $(cat "$WORK/out")"
"$POSTERN" status --json --run-dir "$odd" >"$WORK/out" 2>&1 || fail "status in such a path: $(cat "$WORK/out")"
python3 -m json.tool "$WORK/out" >/dev/null || fail "the status is no JSON"
"$POSTERN" down --run-dir "$odd" >/dev/null || fail "down in such a path"
[ -e "$odd" ] && fail "the run directory is left"

# A topology that cannot be read to its end is refused; a signal ends an up that waits for another command.
mkfifo "$WORK/fifo"
timeout 10 "$POSTERN" up "$WORK/fifo" >"$WORK/out" 2>&1
[ $? = 1 ] || fail "up of a FIFO: $(cat "$WORK/out")"
grep -q "not a regular file" "$WORK/out" || fail "up of a FIFO should say why: $(cat "$WORK/out")"
up
"$POSTERN" down >/dev/null || fail "down"
mkdir -p "$POSTERN_RUN_DIR"
touch "$POSTERN_RUN_DIR/.postern"
flock "$POSTERN_RUN_DIR/lock" sleep 8 &
STARTED+=("$!")
sleep 0.3
background waiting "$POSTERN" up
sleep 0.5
kill -TERM "$LAST"
wait_end 3 "up after a signal while it waits for the lock" "$LAST"
[ "$STATUS" = 143 ] || fail "up should end by the signal, not with $STATUS"
kill "${STARTED[0]}" 2>/dev/null
pkill -P "${STARTED[0]}" sleep
wait "${STARTED[0]}" 2>/dev/null

# A signal at any moment of an up: either it is up, or nothing is left.
for delay in 0.005 0.02 0.04 0.06 0.08 0.1; do
  background interrupted "$POSTERN" up
  sleep "$delay"
  kill -TERM "$LAST" 2>/dev/null
  wait_end 10 "up after a signal" "$LAST"
  if [ "$STATUS" = 0 ]; then
    "$POSTERN" status >"$WORK/out" 2>&1 || fail "up ended with 0, but: $(cat "$WORK/out")"
    "$POSTERN" down >/dev/null || fail "down"
  fi
  [ -e "$POSTERN_RUN_DIR/state.json" ] && fail "a signal after $delay s left the state"
  pgrep -f "live-simulator --run-dir $POSTERN_RUN_DIR" && fail "a signal after $delay s left the simulator"
done

# A state from before a restart of the computer: its numbers and names mean something else now.
up "$WORK/topology.toml"
pid_of "s['simulator']['pid']"
survivors=("$PID")
for idx in 0 1; do
  pid_of "s['hosts'][$idx]['hostd']['pid']"
  survivors+=("$PID")
done
sed -i 's/"boot_id": "[^"]*"/"boot_id": "00000000-0000-4000-8000-000000000000"/' "$POSTERN_RUN_DIR/state.json"
"$POSTERN" status >"$WORK/out" 2>&1 && fail "status of a testbed from before a restart"
grep -q "restart of this computer.*postern up" "$WORK/out" || fail "status should say why: $(cat "$WORK/out")"
"$POSTERN" down >/dev/null || fail "down"
for pid in "${survivors[@]}"; do
  kill -0 "$pid" 2>/dev/null || fail "down ended process $pid, which could be anybody's after a restart"
done
[ -e "$POSTERN_RUN_DIR/state.json" ] && fail "the state is left"
kill "${survivors[@]}"
wait_for 5 "the processes end" bash -c "! kill -0 ${survivors[0]} && ! kill -0 ${survivors[1]} && ! kill -0 ${survivors[2]}"
echo ok
