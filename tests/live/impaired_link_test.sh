#!/usr/bin/env bash
# A file over a link that loses, reorders and duplicates frames arrives unchanged; the wires' counters say what happened.
. "$(dirname "$0")/testbed.sh"

cat >"$WORK/impaired.toml" <<'TOML'
[[host]]
name = "a"
address = "10.9.0.1/24"

[[host]]
name = "b"
address = "10.9.0.2/24"

[[link]]
ends = ["a", "b"]
rate_gbps = 25
delay_ns = 20000
loss = 0.02
reorder = 0.02
duplicate = 0.01
TOML

up "$WORK/impaired.toml"
mkdir "$WORK/www"
random_file "$WORK/www/file" 4
background server "$POSTERN" exec b -- python3 -m http.server 8000 --bind 10.9.0.2 --directory "$WORK/www"
wait_for 30 "the server listens" on a curl -s -o /dev/null --max-time 5 http://10.9.0.2:8000/
on a curl -sS --max-time 60 -o "$WORK/got" http://10.9.0.2:8000/file || fail "curl ended with status $?"
[ "$(hash_of "$WORK/got")" = "$(hash_of "$WORK/www/file")" ] || fail "the file arrived changed"
lost=$(status "sum(v for k, v in s['simulator']['status']['wires'].items() if k.endswith('.lost'))")
[ "$lost" -gt 10 ] || fail "only $lost frames were lost: the link should lose 2 %"
echo "$lost frames lost on the way"
