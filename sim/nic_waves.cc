// A file for each RTL NIC. See nic_waves.h.
#include "sim/nic_waves.h"

#include <fmt/core.h>

#include <cerrno>

#include "sim/wave_options.h"

namespace postern::sim {

Status record_waves(const std::vector<WavedNic>& rtl, const WaveRequest& request) {
  if (request.path.empty()) return {};
  if (rtl.empty()) return Error{EINVAL, "--wave: expected an RTL NIC, but all are models; add --device rtl"};
  std::vector<std::string> hosts;
  for (const WavedNic& waved : rtl) hosts.push_back(waved.host);
  const std::vector<std::string> files = wave_files(request.path, hosts);
  for (size_t i = 0; i < rtl.size(); ++i) {
    WaveRequest own = request;
    own.path = files[i];
    if (const std::string error = rtl[i].nic->record_waves(own); !error.empty()) {
      return Error{EINVAL, fmt::format("--wave: host \"{}\": {}", hosts[i], error)};
    }
  }
  return {};
}

}  // namespace postern::sim
