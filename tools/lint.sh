#!/usr/bin/env bash
# Format and static checks on the project's own code. Any finding is an error.
#   lint.sh BUILD_DIR JOBS        (BUILD_DIR must be configured: clang-tidy reads its compile_commands.json)
set -euo pipefail
cd "$(dirname "$0")/.."
build_dir=$1
jobs=$2
status=0

mapfile -t sources < <(git ls-files -co --exclude-standard -- '*.h' '*.cc' ':!contract/gen')
echo "lint: clang-format on ${#sources[@]} files"
if ! clang-format --dry-run -Werror "${sources[@]}" 2>"$build_dir/clang-format.log"; then
  grep -E 'error:' "$build_dir/clang-format.log" | cut -d: -f1 | sort | uniq -c |
    awk '{printf "lint: %s is not formatted (%d places); run make format\n", $2, $1}'
  status=1
fi

# Test sources are left to the compiler's warnings: they are most of the translation units and parse GoogleTest each.
mapfile -t units < <(printf '%s\n' "${sources[@]}" | grep -E '\.cc$' | grep -v '^tests/')
mapfile -t units < <(for unit in "${units[@]}"; do
  if grep -qF "\"file\": \"$PWD/$unit\"" "$build_dir/compile_commands.json"; then echo "$unit"; fi
done)
echo "lint: clang-tidy on ${#units[@]} translation units"
if ! printf '%s\0' "${units[@]}" | xargs -0 -r -n 2 -P "$jobs" clang-tidy -p "$build_dir" --quiet 2>"$build_dir/clang-tidy.log"; then
  grep -E 'error' "$build_dir/clang-tidy.log" | sort -u | head -n 20 || true
  status=1
fi

if [ $status -eq 0 ]; then echo "lint: clean"; fi
exit $status
