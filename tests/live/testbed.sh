# Sourced by the live tests: an isolated testbed that is gone at the end, whatever happens. Usage of a test: TEST BUILD_DIR.
set -uo pipefail

BUILD=$(realpath "${1:?usage: $0 BUILD_DIR}")
POSTERN=$BUILD/bin/postern
WORK=$(mktemp -d /tmp/postern-live-XXXXXX)
export POSTERN_RUN_DIR=$WORK/run
export PYTHONUNBUFFERED=1
unset LD_PRELOAD POSTERN_HOSTD
STARTED=()

show_logs() {
  for log in "$WORK"/run/*.log "$WORK"/*.log; do
    [ -s "$log" ] && { echo "--- $(basename "$log") (last lines)"; tail -n 15 "$log"; }
  done >&2
}

fail() {
  echo "FAIL: $*" >&2
  show_logs
  exit 1
}

skip() {
  echo "SKIPPED: $*"
  exit 77
}

cleanup() {
  local status=$?
  trap - EXIT INT TERM
  local pid
  for pid in "${STARTED[@]}"; do kill -9 "$pid" 2>/dev/null; done
  wait 2>/dev/null
  if [ "$status" = 0 ] && ! violations_none; then status=1; fi
  "$POSTERN" down >/dev/null 2>&1
  if [ "$status" = 0 ] && pgrep -f "$WORK" >/dev/null; then
    echo "FAIL: these processes are left:" >&2
    pgrep -af "$WORK" >&2
    status=1
  fi
  pkill_own
  rm -rf "$WORK"
  exit "$status"
}
trap cleanup EXIT INT TERM

# The boundary monitors of the simulator, if it still runs, have nothing to report.
violations_none() {
  local count
  count=$(status 's["simulator"]["status"]["violations"]' 2>/dev/null)
  [[ $count =~ ^[0-9]+$ ]] || return 0
  [ "$count" = 0 ] && return 0
  echo "FAIL: $count violations of the contract" >&2
  status 's["simulator"]["status"]["violation_reports"]' >&2
  return 1
}

# Only processes that carry this test's own directory in their command line.
pkill_own() { pgrep -f "$WORK" | while read -r pid; do kill -9 "$pid" 2>/dev/null; done; }

# Runs a command in the background; its output goes to NAME.log. Its process id is in $LAST.
background() {
  local name=$1
  shift
  "$@" >"$WORK/$name.log" 2>&1 </dev/null &
  LAST=$!
  STARTED+=("$LAST")
}

# wait_for SECONDS DESCRIPTION COMMAND...: until the command succeeds.
wait_for() {
  local seconds=$1 description=$2
  shift 2
  local deadline=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "not within $seconds s: $description"
    sleep 0.05
  done
}

# on HOST PROGRAM...: runs a program on a host, at most 60 s.
on() {
  local host=$1
  shift
  timeout -k 1 60 "$POSTERN" exec "$host" -- "$@"
}

up() { "$POSTERN" up --monitor "$@" >"$WORK/up.log" 2>&1 || fail "postern up $*: $(cat "$WORK/up.log")"; }

# status FILTER: part of `postern status --json`, by a Python expression over `s`.
status() { "$POSTERN" status --json 2>/dev/null | python3 -c "import json,sys; s=json.load(sys.stdin); print($1)"; }

# pid_of FILTER: a process id from `postern status --json`, in $PID.
pid_of() {
  PID=$(status "$1") && [[ $PID =~ ^[1-9][0-9]*$ ]] || fail "no process id at $1 but '$PID'"
}

# wait_end SECONDS DESCRIPTION PID: until a child of this shell has ended; its exit status is in $STATUS.
wait_end() {
  local deadline=$((SECONDS + $1))
  while kill -0 "$3" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || fail "not within $1 s: the end of $2"
    sleep 0.05
  done
  wait "$3"
  STATUS=$?
}

require_tap() {
  [ "$(id -u)" = 0 ] || skip "TAP ports need root"
  ip netns list >/dev/null 2>&1 || skip "no permission for network namespaces (ip netns)"
  [ -w /dev/net/tun ] || skip "/dev/net/tun is not there"
}

# random_file PATH MEBIBYTES
random_file() { head -c "$(($2 << 20))" /dev/urandom >"$1"; }

hash_of() { sha256sum "$1" | cut -d' ' -f1; }
