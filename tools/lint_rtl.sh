#!/usr/bin/env bash
# "verilator --lint-only -Wall" over each module of rtl/files.txt, with the waivers of rtl/lint.vlt; and Yosys must be able to
# read what Verilator accepts. Any finding is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
count=0
while IFS=: read -r module files; do
  paths=(contract/gen/pst_contract_pkg.sv)
  corners=()  # bound to blocks for "make coverage"; Yosys does not see them
  for file in $files; do
    paths+=("rtl/$file")
    if [ -e "rtl/coverage/${file%.sv}_corners.sv" ]; then corners+=("rtl/coverage/${file%.sv}_corners.sv"); fi
  done
  verilator --lint-only -Wall -Irtl --top-module "$module" rtl/lint.vlt "${paths[@]}" || status=1
  if [ ${#corners[@]} -gt 0 ]; then
    verilator --lint-only -Wall -Irtl/coverage --top-module "$module" rtl/lint.vlt "${paths[@]}" "${corners[@]}" || status=1
  fi
  yosys -q -p "read_verilog -sv ${paths[*]}; hierarchy -check -top $module; proc; check -assert" || status=1
  count=$((count + 1))
done < <(grep -v '^#' rtl/files.txt)
for file in rtl/*.sv; do
  if ! grep -qw "$(basename "$file")" rtl/files.txt; then
    echo "lint: $file is in no module of rtl/files.txt" >&2
    status=1
  fi
  limit=400
  [ "$file" = rtl/pst_nic_top.sv ] && limit=500  # wiring only
  if [ "$(wc -l <"$file")" -gt "$limit" ]; then
    echo "lint: $file has more than $limit lines" >&2
    status=1
  fi
done
echo "lint: verilator and yosys on $count RTL modules"
exit $status
