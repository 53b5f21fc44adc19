// Hash of the filter table: where in it the probes for a key begin. A hash that hardware computes in one step: slot bit
// b is the parity of the key's bits that row b selects (an H3 hash). The rows are the output of SplitMix64 from state
// 0, six words a row, row 0 first; rtl/pst_rx_filter_pkg.sv has the same ones, and tests/rtl compares the two.
#pragma once

#include <array>
#include <cstdint>

#include "contract/gen/pst_contract.h"

namespace postern::hw_model {

// Kind and scalars, ports, local address (2), remote address (2); what takes no part in a kind is 0.
using FilterKey = std::array<uint64_t, 6>;

constexpr uint32_t kFilterSlots = 2 * PST_LIMIT_FILTER_COUNT_MAX;

// Below kFilterSlots. Takes time for the bytes of the key up to the last one in each word that is not 0.
uint32_t filter_hash(const FilterKey& key);

}  // namespace postern::hw_model
