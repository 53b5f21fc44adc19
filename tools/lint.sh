#!/usr/bin/env bash
# Format and static checks on the project's own C++ and SystemVerilog code. Any finding is an error.
#   lint.sh BUILD_DIR JOBS    check; BUILD_DIR must be configured: clang-tidy reads its compile_commands.json, and what
#                             Verilator generates is generated there
#   lint.sh --format          rewrite the files instead
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(find [a-z]* -path 'build*' -prune -o -path contract/gen -prune -o \
  -type f \( -name '*.h' -o -name '*.cc' \) -print | sort)
if [ ${#sources[@]} -eq 0 ]; then
  echo "lint: no sources found under $PWD" >&2
  exit 1
fi
if [ "$1" = --format ]; then
  clang-format -i "${sources[@]}"
  exit 0
fi

build_dir=$1
jobs=$2
status=0

echo "lint: clang-format on ${#sources[@]} files"
if ! clang-format --dry-run -Werror "${sources[@]}" 2>"$build_dir/clang-format.log"; then
  grep -E 'error:' "$build_dir/clang-format.log" | cut -d: -f1 | sort | uniq -c |
    awk '{printf "lint: %s is not formatted (%d places); run make format\n", $2, $1}'
  status=1
fi

cmake --build "$build_dir" --target postern_nic_top_code >"$build_dir/verilator.log" 2>&1 ||
  { cat "$build_dir/verilator.log"; status=1; }

# Test sources are left to the compiler's warnings: they are most of the translation units and parse GoogleTest each.
units=()
for source in "${sources[@]}"; do
  if [[ $source == *.cc && $source != tests/* ]] && grep -qF "\"file\": \"$PWD/$source\"" "$build_dir/compile_commands.json"; then
    units+=("$source")
  fi
done
echo "lint: clang-tidy on ${#units[@]} translation units"
if [ ${#units[@]} -gt 0 ] && ! printf '%s\0' "${units[@]}" | xargs -0 -r -n 2 -P "$jobs" clang-tidy -p "$build_dir" --quiet 2>"$build_dir/clang-tidy.log"; then
  # clang-tidy prints its findings itself; what it could not even parse is in the log.
  grep -E 'Error|error:' "$build_dir/clang-tidy.log" | sort -u | head -n 20 || true
  status=1
fi

tools/lint_rtl.sh || status=1

if [ $status -eq 0 ]; then echo "lint: clean"; fi
exit $status
