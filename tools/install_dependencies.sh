#!/usr/bin/env bash
# Brings a bare Debian 12 to a state in which everything builds and runs. Installs only what is missing; does nothing, and
# needs no privilege, when all packages are there.
set -euo pipefail

packages=(
  # build
  build-essential cmake ninja-build ccache git pkg-config
  # simulator and RTL
  libsystemc-dev verilator yosys
  # libraries
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libfmt-dev
  # contract generator
  python3 python3-yaml python3-jinja2
  # figures of experiments
  python3-matplotlib
  # tests, model checking
  libgtest-dev libgmock-dev spin
  # what the demo and the live tests run
  curl iperf3 socat netcat-openbsd iproute2 tcpdump tshark procps
  # lint
  clang-format clang-tidy
)

missing=()
for package in "${packages[@]}"; do
  # An installed package, or one that provides it.
  if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
    missing+=("$package")
  fi
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "install_dependencies: needs Debian 12's apt-get; install these packages by other means: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install_dependencies: not root and no sudo; as root run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "install_dependencies: installing ${missing[*]}"
# tshark's question whether other users may capture keeps its default, no.
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
