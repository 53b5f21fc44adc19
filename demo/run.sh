#!/usr/bin/env bash
# The whole machine once: virtual time, live, the Linux kernel behind a TAP port, iperf3, captures. One line each with its
# result; exit status 1 if any line fails. Everything that it starts is gone at the end, whatever happens.
# Usage: [DEVICE=rtl] demo/run.sh [BUILD_DIR]   (default: $POSTERN_BUILD_DIR, else build/release; DEVICE model)
# With DEVICE=rtl every NIC is the Verilated RTL; files and simulated times are smaller, as it is slower.
set -uo pipefail

ROOT=$(cd "$(dirname "$0")/.." && pwd)
BUILD=$(realpath "${1:-${POSTERN_BUILD_DIR:-$ROOT/build/release}}")
POSTERN=$BUILD/bin/postern
OUT=$BUILD/demo            # captures and reports stay here
WORK=$(mktemp -d /tmp/postern-demo-XXXXXX)
NETNS=pst-demo-$$
export POSTERN_RUN_DIR=$WORK/run PYTHONUNBUFFERED=1
unset LD_PRELOAD POSTERN_HOSTD
FAILED=0
DEVICE=${DEVICE:-model}
case $DEVICE in
  model) FILE_MIB=64 SIM_LIMIT=() IPERF_BYTES_MIN=1048576 TIMEOUT_S=40 FETCH_S=30 ;;
  rtl) FILE_MIB=1 SIM_LIMIT=(--duration-ms 2) IPERF_BYTES_MIN=65536 TIMEOUT_S=120 FETCH_S=110 ;;
  *) echo "demo: DEVICE=$DEVICE: expected model or rtl" >&2; exit 1 ;;
esac
STARTED=()

[ -x "$POSTERN" ] || { echo "demo: $POSTERN is not there: run make build first, or give the build directory" >&2; exit 1; }
rm -rf "$OUT"
mkdir -p "$OUT"

cleanup() {
  local status=$?
  trap - EXIT INT TERM
  stop_programs
  "$POSTERN" down >/dev/null 2>&1
  rm -rf "$WORK"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

stop_programs() {
  local pid
  for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null; done
  for pid in "${STARTED[@]}"; do
    for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  STARTED=()
}

heading() { printf '\n%s\n' "$1"; }

# line DESCRIPTION COMMAND...: runs the command; its last line of output is the figures.
line() {
  local description=$1 begin end status figures
  shift
  begin=$(date +%s%N)
  "$@" >"$WORK/line.out" 2>"$WORK/line.err"
  status=$?
  end=$(date +%s%N)
  figures=$(tail -n 1 "$WORK/line.out")
  if [ "$status" = 0 ]; then
    printf '  ok    %-54s %s\n' "$description" "$figures"
  else
    FAILED=1
    printf '  FAIL  %-54s %s\n' "$description" "$figures"
    { tail -n 8 "$WORK/line.err"; tail -n 3 "$WORK"/run/*.log; } 2>/dev/null | sed 's/^/        /'
  fi
  printf '%s\t%s ms\n' "$description" "$(((end - begin) / 1000000))" >>"$OUT/durations.txt"
  return "$status"
}

# background NAME COMMAND...
background() {
  local name=$1
  shift
  "$@" >"$WORK/$name.log" 2>&1 </dev/null &
  STARTED+=("$!")
}

# wait_for SECONDS COMMAND...
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "not within the time: $*" >&2; return 1; }
    sleep 0.05
  done
}

on() { local host=$1; shift; timeout -k 1 "$TIMEOUT_S" "$POSTERN" exec "$host" -- "$@"; }
inside() { timeout -k 1 "$TIMEOUT_S" ip netns exec "$NETNS" "$@"; }

# fetch WHERE... URL: gets the file with curl and compares it.
fetch() {
  local got=$WORK/got seconds
  rm -f "$got"
  seconds=$("${@:1:$#-1}" curl -sS --fail --max-time "$FETCH_S" -o "$got" -w '%{time_total}' "${!#}") || return 1
  [ "$(sha256sum <"$got")" = "$FILE_HASH" ] || { echo "the file arrived changed"; return 1; }
  echo "$FILE_MIB MiB in $seconds s, SHA-256 equal"
}

# --- virtual time ---------------------------------------------------------------------------------------------------

sim() { "$POSTERN" sim "$@" --device "$DEVICE"; }
# One whose length can be chosen.
sim_briefly() { sim "$@" "${SIM_LIMIT[@]}"; }

virtual_twice() {
  local name=$1
  local run=sim
  [ "$name" = stream ] && run=sim_briefly
  "$run" "$name" --json "$OUT/$name.json" >"$OUT/$name.txt" || return 1
  "$run" "$name" --json "$WORK/again.json" >/dev/null || return 1
  cmp "$OUT/$name.json" "$WORK/again.json" >&2 || { echo "the second run's JSON differs"; return 1; }
  echo "second run's JSON byte-identical ($(stat -c %s "$OUT/$name.json") bytes)"
}

line_rate() {
  sim_briefly line_rate_10g_64 --monitor >"$OUT/line_rate.txt" || { tail -n 20 "$OUT/line_rate.txt" >&2; return 1; }
  awk '/^  mpps|^  backward_mpps/ {rate = rate " " $2} /^host a: limited/ {limit = $0}
       END {print "Mpps" rate "; " limit "; no violation of R1-R12"}' "$OUT/line_rate.txt"
}

recorded_and_replayed() {
  sim tcp_pingpong --quiet --record "$OUT/run.trace" && "$POSTERN" replay "$OUT/run.trace" --device "$DEVICE"
}

traced() {
  sim pingpong --quiet --trace "$OUT/trace.json" --vcd "$OUT/signals.vcd" || return 1
  python3 - "$OUT/trace.json" <<'PY' || return 1
import json, sys
events = json.load(open(sys.argv[1]))["traceEvents"]
flows = [event for event in events if event["ph"] == "s"]
assert len(flows) > 1000, "only %d arrows" % len(flows)
print("%d events, %d arrows from send to receive" % (len(events), len(flows)))
PY
}

# --- live -----------------------------------------------------------------------------------------------------------

# live_up HOSTS ARGUMENT...: starts a testbed, which must have these hosts, each with a NIC whose client is its hostd.
live_up() {
  local wanted=$1
  shift
  "$POSTERN" up --device "$DEVICE" "$@" >&2 || return 1
  "$POSTERN" status --json >"$WORK/status.json" || return 1
  python3 - "$WORK/status.json" "$wanted" <<'PY'
import json, sys
status = json.load(open(sys.argv[1]))
hosts = [host["name"] for host in status["hosts"] if host["hostd"]["running"]]
nics = [nic["host"] for nic in status["simulator"]["status"]["nics"] if nic["client_attached"]]
assert hosts == nics == sys.argv[2].split(), "hosts %s, attached NICs %s, expected %s" % (hosts, nics, sys.argv[2])
print("hosts %s, each with its NIC" % " and ".join(hosts))
PY
}

serve() {
  local name=$1 address=$2
  shift 2
  background "$name" "$@" python3 -m http.server 8000 --bind "$address" --directory "$WORK/www"
}

iperf() {
  on a iperf3 -c 10.9.0.2 -t 2 -J "$@" >"$WORK/iperf.json" || { tail -n 3 "$WORK/iperf.json" >&2; return 1; }
  python3 - "$WORK/iperf.json" "$IPERF_BYTES_MIN" <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))["end"]["sum_received"]
assert result["bytes"] > int(sys.argv[2]), "less than %s bytes" % sys.argv[2]
print("%.0f Mb/s for %.1f s" % (result["bits_per_second"] / 1e6, result["seconds"]))
PY
}

# iperf3's payload is random: it is not to be taken for whatever protocol it looks like, nor to be reassembled as such.
capture_is_clean() {
  local capture=$1 malformed
  [ -s "$capture" ] || { echo "no capture $capture"; return 1; }
  malformed=$(timeout 60 tshark -n -r "$capture" -d tcp.port==5201,data -o tcp.desegment_tcp_streams:FALSE \
    -Y _ws.malformed 2>"$capture.err") || { cat "$capture.err" >&2; return 1; }
  rm -f "$capture.err"
  [ -z "$malformed" ] || { echo "$malformed" | head -n 3; return 1; }
  capinfos -Mrc "$capture" 2>/dev/null | awk '/Number of packets/ {print $NF}'
}

# Both ends of the wire at once.
captures_are_clean() {
  local first second status=0
  capture_is_clean "$1" >"$WORK/first.txt" &
  capture_is_clean "$2" >"$WORK/second.txt" || status=1
  wait "$!" || status=1
  first=$(cat "$WORK/first.txt")
  second=$(cat "$WORK/second.txt")
  [ "$status" = 0 ] || { echo "$first; $second"; return 1; }
  [ "${first:-0}" -gt 100 ] && [ "${second:-0}" -gt 100 ] || { echo "only $first and $second packets"; return 1; }
  echo "$first and $second packets"
}

# Of hundreds of megabytes the first 20,000 packets of each port are kept.
keep_beginning() {
  local capture
  for capture in "$@"; do
    editcap -r "$capture" "$capture.short" 1-20000 >&2 && mv "$capture.short" "$capture" || return 1
  done
  echo "$*"
}

nothing_left() {
  local left
  left=$(pgrep -af "$WORK" | grep -v "pgrep" || true)
  [ -z "$left" ] || { echo "$left"; return 1; }
  ip netns list 2>/dev/null | grep -q "$NETNS" && { echo "network namespace $NETNS is left"; return 1; }
  [ -z "$(ls -A "$WORK/run" 2>/dev/null)" ] || { echo "left in the run directory: $(ls -A "$WORK/run")"; return 1; }
  echo "no process, namespace or socket is left"
}

heading "(a) Virtual time: two hosts, 10 Gb/s, in one process"
for name in udp_pingpong tcp_pingpong stream; do
  line "postern sim $name, run twice" virtual_twice "$name" && sed 's/^/        /' "$OUT/$name.txt"
done

mkdir "$WORK/www"
head -c "$((FILE_MIB << 20))" /dev/urandom >"$WORK/www/file"
FILE_HASH=$(sha256sum <"$WORK/www/file")

line "64-byte frames at 10 Gb/s both ways, under the monitor" line_rate
line "a run recorded, and replayed into another NIC" recorded_and_replayed
line "a trace for Perfetto, signals for GTKWave" traced

heading "(b) Live: unmodified python3 and curl through two NICs ($DEVICE)"
if line "postern up" live_up "a b"; then
  serve server_b 10.9.0.2 "$POSTERN" exec b --
  line "python3 -m http.server on b listens" wait_for 15 on a curl -s -o /dev/null --max-time 3 http://10.9.0.2:8000/
  line "curl on a from b" fetch on a http://10.9.0.2:8000/file &&
    "$POSTERN" status | sed -n '/^event queue/,$p' | sed 's/^/        /'
  stop_programs
  line "postern down" "$POSTERN" down
fi

heading "(c) Live: the Linux kernel behind a TAP port and a switch"
sed "s/postern-demo/$NETNS/" "$ROOT/demo/tap.toml" >"$WORK/tap.toml"
if line "postern up demo/tap.toml" live_up "a b" "$WORK/tap.toml"; then
  serve server_kernel 10.9.0.9 ip netns exec "$NETNS"
  line "kernel's python3 -m http.server listens" wait_for 15 inside curl -s -o /dev/null http://10.9.0.9:8000/
  line "curl on a from the kernel's server" fetch on a http://10.9.0.9:8000/file
  serve server_b 10.9.0.2 "$POSTERN" exec b --
  line "python3 -m http.server on b listens" wait_for 15 inside curl -s -o /dev/null --max-time 3 http://10.9.0.2:8000/
  line "the kernel's curl from b" fetch inside http://10.9.0.2:8000/file
  stop_programs
  line "postern down" "$POSTERN" down
fi

heading "(d) Live: iperf3 both ways, captured at both ports"
if line "postern up --pcap" live_up "a b" --pcap "$OUT/pcap"; then
  background iperf_server "$POSTERN" exec b -- iperf3 -s -B 10.9.0.2 --forceflush
  line "iperf3 -s on b listens" wait_for 15 grep -q "Server listening" "$WORK/iperf_server.log"
  line "iperf3 a to b" iperf
  line "iperf3 b to a (-R)" iperf -R
  stop_programs
  line "postern down" "$POSTERN" down
  line "tshark finds no malformed packet at either port" captures_are_clean "$OUT/pcap/a.pcap" "$OUT/pcap/b.pcap"
  line "the first 20,000 packets of each port are kept" keep_beginning "$OUT/pcap/a.pcap" "$OUT/pcap/b.pcap"
fi

heading "(e) Afterwards"
line "everything is gone" nothing_left

echo
if [ "$FAILED" = 0 ]; then
  echo "demo: all lines ok, $SECONDS s; reports and captures in $OUT"
else
  echo "demo: FAILED, $SECONDS s; reports and captures in $OUT"
fi
exit "$FAILED"
