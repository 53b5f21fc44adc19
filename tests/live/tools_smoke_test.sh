#!/usr/bin/env bash
# nc, socat and iperf3, unmodified, between two hosts; TCP and UDP.
. "$(dirname "$0")/testbed.sh"

# Sends with a client until the one-shot server has got it: the server may not listen yet.
deliver() {
  local description=$1 result=$2 deadline=$((SECONDS + 20))
  shift 2
  until [ -s "$result" ]; do
    "$@" >/dev/null 2>&1 </dev/null
    [ "$SECONDS" -lt "$deadline" ] || fail "$description: nothing arrived"
    sleep 0.1
  done
  grep -q "through the gate" "$result" || fail "$description: got $(head -c 100 "$result")"
}

up
if command -v nc >/dev/null; then
  background nc_server "$POSTERN" exec b -- nc -l 10.9.0.2 5000
  deliver "nc over TCP" "$WORK/nc_server.log" "$POSTERN" exec a -- bash -c 'echo through the gate | nc -w 2 10.9.0.2 5000'
fi
if command -v socat >/dev/null; then
  background socat_server "$POSTERN" exec b -- socat -u TCP4-LISTEN:5001,bind=10.9.0.2 STDOUT
  deliver "socat over TCP" "$WORK/socat_server.log" \
    "$POSTERN" exec a -- bash -c 'echo through the gate | socat -u - TCP4:10.9.0.2:5001'
  background socat_udp "$POSTERN" exec b -- socat -u UDP4-RECV:5002,bind=10.9.0.2 STDOUT
  deliver "socat over UDP" "$WORK/socat_udp.log" \
    "$POSTERN" exec a -- bash -c 'echo through the gate | socat -u - UDP4-SENDTO:10.9.0.2:5002'
fi
if command -v iperf3 >/dev/null; then
  background iperf_server "$POSTERN" exec b -- iperf3 -s -B 10.9.0.2 --forceflush
  wait_for 20 "iperf3 listens" grep -q "Server listening" "$WORK/iperf_server.log"
  for direction in "" -R; do
    on a iperf3 -c 10.9.0.2 -t 2 -J $direction >"$WORK/iperf.json" || fail "iperf3 $direction: $(tail -n 5 "$WORK/iperf.json")"
    python3 -c "
import json
result = json.load(open('$WORK/iperf.json'))['end']['sum_received']
assert result['bytes'] > 1 << 20, result
print('iperf3 $direction: %.0f Mb/s' % (result['bits_per_second'] / 1e6))" || fail "iperf3 $direction moved too little"
  done
fi
echo ok
