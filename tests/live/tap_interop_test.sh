#!/usr/bin/env bash
# Interoperation with the Linux kernel over a TAP port and a switch, both ways.
. "$(dirname "$0")/testbed.sh"
require_tap

NETNS=pst-$$
cat >"$WORK/tap.toml" <<TOML
[[host]]
name = "a"
address = "10.9.0.1/24"

[[host]]
name = "b"
address = "10.9.0.2/24"

[[switch]]
name = "s"

[[tap]]
name = "t"
interface = "pst0"
netns = "$NETNS"
address = "10.9.0.9/24"

[[link]]
ends = ["a", "s"]

[[link]]
ends = ["b", "s"]

[[link]]
ends = ["t", "s"]
TOML

up "$WORK/tap.toml" --pcap "$WORK/pcap"
ip netns list | grep -q "$NETNS" || fail "no network namespace"
mkdir "$WORK/www"
random_file "$WORK/www/file" 4

background kernel_server ip netns exec "$NETNS" python3 -m http.server 8000 --bind 10.9.0.9 --directory "$WORK/www"
wait_for 20 "the kernel's server listens" ip netns exec "$NETNS" curl -s -o /dev/null --max-time 5 http://10.9.0.9:8000/
on a curl -s --max-time 30 -o "$WORK/got" http://10.9.0.9:8000/file || fail "curl on a from the kernel: status $?"
[ "$(hash_of "$WORK/got")" = "$(hash_of "$WORK/www/file")" ] || fail "kernel to a: the file arrived changed"

background server "$POSTERN" exec b -- python3 -m http.server 8000 --bind 10.9.0.2 --directory "$WORK/www"
wait_for 20 "the accelerated server listens" \
  ip netns exec "$NETNS" curl -s -o /dev/null --max-time 5 http://10.9.0.2:8000/
ip netns exec "$NETNS" curl -s --max-time 30 -o "$WORK/got2" http://10.9.0.2:8000/file || fail "kernel's curl: status $?"
[ "$(hash_of "$WORK/got2")" = "$(hash_of "$WORK/www/file")" ] || fail "b to kernel: the file arrived changed"

"$POSTERN" down >/dev/null || fail "down"
ip netns list | grep -q "$NETNS" && fail "the namespace was left"
if command -v tshark >/dev/null; then
  for capture in "$WORK"/pcap/*.pcap; do
    malformed=$(tshark -r "$capture" -Y _ws.malformed 2>/dev/null | head -n 3)
    [ -z "$malformed" ] || fail "$capture has malformed packets: $malformed"
  done
fi
echo ok
