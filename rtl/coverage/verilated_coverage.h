// What the code that Verilator generates for a coverage build (POSTERN_RTL_COVERAGE) uses in place of its own: counters
// of a class of models, not of one model, that live as long as the process; and one context that is written when the
// process ends. count_per_process.py puts it into the generated files.
#pragma once

#include <verilated.h>
#include <verilated_cov.h>

#include <atomic>
#include <cstdint>

namespace postern::rtl {

// Stands for std::atomic<uint32_t>: a Verilated model belongs to one thread, and a locked addition per signal and cycle
// is dear.
class CoverageCount {
 public:
  void fetch_add(uint32_t times, std::memory_order /*order*/) { count_ += times; }

 private:
  uint32_t count_ = 0;
};

// The process's coverage points; never null, and never destroyed. The first call arranges that the counts are added,
// when the process ends, to the file of the program's name in the folder that POSTERN_RTL_COVERAGE_DIR names; without
// the variable nothing is written. Several processes may end at the same time.
VerilatedCovContext* coverage_points();

}  // namespace postern::rtl
