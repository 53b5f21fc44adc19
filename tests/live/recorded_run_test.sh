#!/usr/bin/env bash
# A live run that is recorded: an unmodified curl fetches a file from an unmodified python3 server. The recording then
# drives the NICs again without any host; what they do must be equal. A NIC that differs is found out.
. "$(dirname "$0")/testbed.sh"

up --record "$WORK/record" --pcap "$WORK/pcap"
mkdir "$WORK/www"
random_file "$WORK/www/file" 1
background server "$POSTERN" exec b -- python3 -m http.server 8000 --bind 10.9.0.2 --directory "$WORK/www"
wait_for 20 "the server listens" on a curl -s -o /dev/null --max-time 5 http://10.9.0.2:8000/
on a curl -s --max-time 30 -o "$WORK/got" http://10.9.0.2:8000/file || fail "curl ended with status $?"
[ "$(hash_of "$WORK/got")" = "$(hash_of "$WORK/www/file")" ] || fail "the file arrived changed"
violations_none || fail "violations"
"$POSTERN" down >/dev/null || fail "down"

for host in a b; do
  [ "$(head -c 4 "$WORK/pcap/$host.pcap" | od -An -tx4 --endian=little | tr -d ' ')" = a1b23c4d ] ||
    fail "the capture of host $host has no nanoseconds"
done

trace=$WORK/record/run.trace
[ "$(stat -c %s "$trace")" -gt 4000000 ] || fail "the recording holds less than the file four times"
replay() { timeout -k 1 60 "$POSTERN" replay "$trace" "$@" >"$WORK/replay.log" 2>&1; }
replay || fail "exact replay ended with status $?"
cat "$WORK/replay.log"
grep -Eq '^equal: [0-9]{4,} records, [0-9]{4,} outputs' "$WORK/replay.log" || fail "replay compared nothing"
replay --timing ignore || fail "replay with ignored timing ended with status $?"
replay --set tx_dma.processing_ns=33
[ $? = 1 ] || fail "another NIC should diverge"
grep -q "^DIVERGED: host [ab], record" "$WORK/replay.log" || fail "no first divergence"

up --record "$WORK/killed"
pid_of 's["simulator"]["pid"]'
kill -9 "$PID"
"$POSTERN" down >/dev/null 2>&1
trace=$WORK/killed/run.trace
replay
[ $? = 2 ] || fail "the recording of a killed simulator should be refused"
grep -q "the file is cut short" "$WORK/replay.log" || fail "no reason: $(cat "$WORK/replay.log")"

"$POSTERN" up --record /proc/none >"$WORK/up.log" 2>&1 && fail "a directory that cannot be made"
grep -q "choose another directory with --record" "$WORK/up.log" || fail "no remedy: $(cat "$WORK/up.log")"
echo ok
