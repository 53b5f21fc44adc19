// The devices that there are. See nic_factory.h.
#include "sim/nic_factory.h"

#include "hw_model/nic_model.h"
#include "rtl/device/rtl_nic.h"

namespace postern::sim {

std::unique_ptr<NicDevice> make_nic(const std::string& device, const std::string& module_name, const MacAddress& mac) {
  if (device == "model") return std::make_unique<hw_model::NicModel>(module_name.c_str(), mac);
  if (device == "rtl") return std::make_unique<rtl_device::RtlNic>(module_name.c_str(), mac);
  return nullptr;
}

}  // namespace postern::sim
