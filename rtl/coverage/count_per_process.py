#!/usr/bin/python3
"""Makes the coverage counters of a Verilated class those of the process.

  count_per_process.py FOLDER      FOLDER: what `verilator --coverage… --Mdir FOLDER` has written

Verilator 5.006 keeps the counters in the model, so that those of a destroyed model are read after they are gone, and puts
them back to zero with each further model. Here all models of a class share counters that live as long as the process, are
registered once, and are those of rtl/coverage/verilated_coverage.h. Text that is not found is an error: another Verilator.
"""

import pathlib
import re
import sys

COUNT = r"std::atomic<uint32_t>"
# (files, what Verilator writes, what stands there afterwards)
CHANGES = [
    ("*__Syms.h", COUNT + r" (__Vcoverage\[\d+\];)", r"static inline postern::rtl::CoverageCount \1"),
    ("*.h", r"(void __vlCoverInsert\()" + COUNT, r"\1postern::rtl::CoverageCount"),
    ("*.h", r'#include "verilated.h"', '#include "verilated.h"\n#include "rtl/coverage/verilated_coverage.h"'),
    ("*.cpp", r"(__vlCoverInsert\()" + COUNT, r"\1postern::rtl::CoverageCount"),
    ("*.cpp", r"sizeof\(" + COUNT + r"\)", "sizeof(postern::rtl::CoverageCount)"),
    ("*.cpp", r"vlSymsp->_vm_contextp__->coveragep\(\)", "postern::rtl::coverage_points()"),
    ("*.cpp", r"(\w+___configure_coverage\()this, first\);",
     r"if (first) { static const bool once = (\1this, true), true); static_cast<void>(once); }"),
]


def main(folder):
    for pattern, found, put in CHANGES:
        changes = 0
        for path in sorted(folder.glob(pattern)):
            text, count = re.subn(found, put, path.read_text(encoding="utf-8"))
            if count:
                path.write_text(text, encoding="utf-8")
                changes += count
        if changes == 0:
            sys.exit(f"count_per_process.py: no {found} in {folder}/{pattern}: is this what Verilator 5.006 writes with --coverage?")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
