// Which block a BAR access is for. See model_bars.h.
#include "hw_model/model_bars.h"

#include "contract/gen/pst_contract.h"
#include "hw_model/doorbell.h"
#include "hw_model/function_registers.h"
#include "hw_model/msix.h"
#include "hw_model/pcie_link.h"
#include "hw_model/port_statistics.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

void ModelBars::write(uint64_t address, uint64_t value, unsigned width_bytes) {
  const uint64_t offset = bar_offset(address);
  switch (address >> sim::kBarShift) {
    case PST_BAR_FUNCTION:
      return nic_.function_registers->write(offset, width_bytes, value);
    case PST_BAR_VI:
      if (!in_pio_page(address)) return nic_.doorbell->write(offset, width_bytes, value);
      return nic_.doorbell->write_pio(offset, &value, width_bytes);
    case PST_BAR_MSIX:
      return nic_.msix->write(offset, width_bytes, value);
    default:
      ++nic_.statistics->bad_accesses;
  }
}

void ModelBars::write_pio(uint64_t address, const uint8_t* data, uint32_t bytes) {
  nic_.doorbell->write_pio(bar_offset(address), data, bytes);
}

uint64_t ModelBars::read(uint64_t address, unsigned width_bytes) {
  const uint64_t offset = bar_offset(address);
  switch (address >> sim::kBarShift) {
    case PST_BAR_FUNCTION:
      return nic_.function_registers->read(offset, width_bytes);
    case PST_BAR_VI:
      return nic_.doorbell->read(offset, width_bytes);
    case PST_BAR_MSIX:
      return nic_.msix->read(offset, width_bytes);
    default:
      ++nic_.statistics->bad_accesses;
      return 0;
  }
}

}  // namespace postern::hw_model
