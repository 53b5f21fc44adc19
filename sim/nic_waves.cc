// A file for each RTL NIC. See nic_waves.h.
#include "sim/nic_waves.h"

#include <fmt/core.h>

#include <cerrno>
#include <filesystem>

namespace postern::sim {

Status record_waves(const std::vector<WavedNic>& rtl, const WaveRequest& request) {
  if (request.path.empty()) return {};
  if (rtl.empty()) return Error{EINVAL, "--wave: expected an RTL NIC, but all are models; add --device rtl"};
  for (const WavedNic& waved : rtl) {
    WaveRequest own = request;
    if (rtl.size() > 1) {
      const std::filesystem::path path(request.path);
      own.path = path.parent_path() / (path.stem().string() + "." + waved.host + path.extension().string());
    }
    if (const std::string error = waved.nic->record_waves(own); !error.empty()) {
      return Error{EINVAL, fmt::format("--wave: host \"{}\": {}", waved.host, error)};
    }
  }
  return {};
}

}  // namespace postern::sim
