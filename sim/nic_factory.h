// Builds what stands at sim/nic_device.h by its name.
#pragma once

#include <memory>
#include <string>

#include "sim/nic_device.h"
#include "sim/topology.h"

namespace postern::sim {

// "model" or "rtl". Null: no such device.
[[nodiscard]] std::unique_ptr<NicDevice> make_nic(const std::string& device, const std::string& module_name,
                                                  const MacAddress& mac);

}  // namespace postern::sim
