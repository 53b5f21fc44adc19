// How a DMA transfer ended, and the error code that the contract gives to each end.
#pragma once

#include <cstdint>

#include "contract/gen/pst_contract.h"

namespace postern::hw_model {

enum class DmaResult : uint8_t {
  kOk,
  kUnmapped,  // the host does not answer at that address
  kPoisoned,  // a read was answered with poisoned data, which was discarded
  kTimeout,   // a read got no answer in time
};

// PST_ERROR_CODE_* of the halt, the stop or the completion that reports the result.
[[nodiscard]] constexpr uint32_t dma_error_code(DmaResult result) {
  switch (result) {
    case DmaResult::kOk:
      return PST_ERROR_CODE_OK;
    case DmaResult::kPoisoned:
      return PST_ERROR_CODE_POISONED;
    case DmaResult::kTimeout:
      return PST_ERROR_CODE_COMPLETION_TIMEOUT;
    default:
      return PST_ERROR_CODE_DMA_FAULT;
  }
}

}  // namespace postern::hw_model
