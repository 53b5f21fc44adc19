#!/usr/bin/env bash
# Verilator lints the generated package without a warning; Yosys reads it and evaluates fields to values typed by hand.
#   systemverilog_package_test.sh PROJECT_ROOT verilator|yosys
set -euo pipefail
package="$1/contract/gen/pst_contract_pkg.sv"
use="$1/tests/contract/pst_contract_use.sv"

case "$2" in
  verilator)
    verilator --lint-only -Wall --top-module pst_contract_use "$package" "$use"
    ;;
  yosys)
    # A TX descriptor of type OPTION: address 0x0000000000003040, length 1514; a VI_ALLOC command with 2048 events.
    output=$(yosys -p "read_verilog -sv $package $use; hierarchy -check -top pst_contract_use; proc; opt_clean;
      eval -set desc_i 128'h000000000001_05ea_0000000000003040 -set command_i 512'h0800_0100_0200_000000000000000000000000000000000000000000000000_0000000000000005 -show address_o -show length_o -show option_o -show evq_entries_o -show magic_o" 2>&1) || {
      echo "$output" | tail -n 20
      exit 1
    }
    expect() {
      if ! grep -qE "Eval result: \\\\$1 = $2\.?$" <<<"$output"; then
        echo "expected $1 = $2; Yosys said:"
        grep 'Eval result' <<<"$output" || echo "$output" | tail -n 20
        exit 1
      fi
    }
    expect address_o "64'0{50}11000001000000"
    expect length_o "16'0000010111101010"
    expect option_o "1'1"
    expect evq_entries_o "16'0000100000000000"
    expect magic_o 1314149200
    ;;
esac
