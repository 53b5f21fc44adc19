// Names of commands, and the JSON of version negotiation.
#include "driver/vfio_user_protocol.h"

#include <cerrno>
#include <nlohmann/json.hpp>

namespace postern::vfio_user {
namespace {

using Json = nlohmann::json;

Error bad_version_data(const std::string& what) { return Error{EINVAL, "vfio-user version data: " + what}; }

// Reads a number if it is there. False: it is there and is no number.
bool read_number(const Json& object, const char* name, uint64_t& out) {
  const auto found = object.find(name);
  if (found == object.end()) return true;
  if (!found->is_number_unsigned()) return false;
  out = found->get<uint64_t>();
  return true;
}

}  // namespace

const char* command_name(uint16_t command) {
  switch (command) {
    case kVersion:
      return "VERSION";
    case kDmaMap:
      return "DMA_MAP";
    case kDmaUnmap:
      return "DMA_UNMAP";
    case kDeviceGetInfo:
      return "DEVICE_GET_INFO";
    case kDeviceGetRegionInfo:
      return "DEVICE_GET_REGION_INFO";
    case kDeviceGetRegionIoFds:
      return "DEVICE_GET_REGION_IO_FDS";
    case kDeviceGetIrqInfo:
      return "DEVICE_GET_IRQ_INFO";
    case kDeviceSetIrqs:
      return "DEVICE_SET_IRQS";
    case kRegionRead:
      return "REGION_READ";
    case kRegionWrite:
      return "REGION_WRITE";
    case kDmaRead:
      return "DMA_READ";
    case kDmaWrite:
      return "DMA_WRITE";
    case kDeviceReset:
      return "DEVICE_RESET";
    case kRegionWriteMulti:
      return "REGION_WRITE_MULTI";
    case kDeviceFeature:
      return "DEVICE_FEATURE";
    case kMigrationDataRead:
      return "MIG_DATA_READ";
    case kMigrationDataWrite:
      return "MIG_DATA_WRITE";
    default:
      return "unknown command";
  }
}

void append(std::vector<uint8_t>& payload, const void* data, size_t size_bytes) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  payload.insert(payload.end(), bytes, bytes + size_bytes);
}

std::vector<uint8_t> encode_capabilities(const Capabilities& capabilities) {
  Json list = {{"max_msg_fds", capabilities.max_msg_fds},
               {"max_data_xfer_size", capabilities.max_data_xfer_size},
               {"max_dma_maps", capabilities.max_dma_maps},
               {"pgsizes", capabilities.pgsizes}};
  if (capabilities.write_multiple) list["write_multiple"] = true;
  const std::string text = Json{{"capabilities", list}}.dump();
  std::vector<uint8_t> bytes(text.begin(), text.end());
  bytes.push_back(0);
  return bytes;
}

Result<Capabilities> decode_capabilities(const uint8_t* data, size_t size_bytes) {
  Capabilities capabilities;
  if (size_bytes == 0) return capabilities;
  if (size_bytes > kMaxVersionDataBytes) return bad_version_data("longer than " + std::to_string(kMaxVersionDataBytes));
  if (data[size_bytes - 1] != 0) return bad_version_data("no terminating NUL");
  const std::string text(reinterpret_cast<const char*>(data), strnlen(reinterpret_cast<const char*>(data), size_bytes));
  if (text.empty()) return capabilities;
  const Json root = Json::parse(text, nullptr, false);
  if (root.is_discarded() || !root.is_object()) return bad_version_data("not a JSON object");
  const auto found = root.find("capabilities");
  if (found == root.end()) return capabilities;
  if (!found->is_object()) return bad_version_data("\"capabilities\" is not an object");
  if (!read_number(*found, "max_msg_fds", capabilities.max_msg_fds) ||
      !read_number(*found, "max_data_xfer_size", capabilities.max_data_xfer_size) ||
      !read_number(*found, "max_dma_maps", capabilities.max_dma_maps) ||
      !read_number(*found, "pgsizes", capabilities.pgsizes)) {
    return bad_version_data("a capability that must be a non-negative number is not");
  }
  const auto multiple = found->find("write_multiple");
  if (multiple != found->end()) {
    if (!multiple->is_boolean()) return bad_version_data("\"write_multiple\" is not true or false");
    capabilities.write_multiple = multiple->get<bool>();
  }
  return capabilities;
}

}  // namespace postern::vfio_user
