#!/usr/bin/env bash
# The configure-time link check accepts an allowed link between layers and refuses a forbidden one.
#   link_check_test.sh PROJECT_ROOT
set -euo pipefail
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{cmake,driver,sim}
cp "$1"/cmake/layers.txt "$1"/cmake/PosternLayers.cmake "$tree/cmake/"
cat > "$tree/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(link_check NONE)
include(cmake/PosternLayers.cmake)
add_subdirectory(driver)
add_subdirectory(sim)
CMAKE

# configure DRIVER_LINKS SIM_LINKS
configure() {
  for layer in driver sim; do
    printf 'add_library(%s_part INTERFACE)\npostern_layer_target(%s_part)\n' $layer $layer > "$tree/$layer/CMakeLists.txt"
  done
  if [ -n "$1" ]; then echo "target_link_libraries(driver_part INTERFACE $1)" >> "$tree/driver/CMakeLists.txt"; fi
  if [ -n "$2" ]; then echo "target_link_libraries(sim_part INTERFACE $2)" >> "$tree/sim/CMakeLists.txt"; fi
  cmake -S "$tree" -B "$tree/build" 2>&1
}

if ! output=$(configure "" driver_part); then
  echo "sim linking driver was refused:"
  echo "$output"
  exit 1
fi
if output=$(configure sim_part ""); then
  echo "driver linking sim was accepted"
  exit 1
fi
grep -q 'driver_part (driver/) links sim_part (sim/)' <<<"$output"
