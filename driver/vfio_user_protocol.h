// Wire format of vfio-user: message header, commands, bodies, and the capabilities of version negotiation. Shared by
// the client (driver/vfio_user_function.h) and the server (sim/vfio_user_server.h); hides nothing but byte copies and
// bounds. Source: QEMU documentation, "vfio-user Protocol Specification" (docs/interop/vfio-user); region, IRQ and
// sparse-mmap structures are those of <linux/vfio.h>. The shadow ioeventfd sub-region is libvfio-user's extension to
// it. All values are in host byte order, as the specification says.
#pragma once

#include <linux/vfio.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "driver/result.h"

namespace postern::vfio_user {

constexpr uint16_t kMajor = 0;
constexpr uint16_t kMinor = 1;

enum Command : uint16_t {
  kVersion = 1,
  kDmaMap = 2,
  kDmaUnmap = 3,
  kDeviceGetInfo = 4,
  kDeviceGetRegionInfo = 5,
  kDeviceGetRegionIoFds = 6,
  kDeviceGetIrqInfo = 7,
  kDeviceSetIrqs = 8,
  kRegionRead = 9,
  kRegionWrite = 10,
  kDmaRead = 11,   // server to client
  kDmaWrite = 12,  // server to client
  kDeviceReset = 13,
  kRegionWriteMulti = 15,
  kDeviceFeature = 16,
  kMigrationDataRead = 17,
  kMigrationDataWrite = 18,
};
[[nodiscard]] const char* command_name(uint16_t command);

// Header flags.
constexpr uint32_t kTypeMask = 0xf;
constexpr uint32_t kTypeCommand = 0x0;
constexpr uint32_t kTypeReply = 0x1;
constexpr uint32_t kFlagNoReply = 1u << 4;
constexpr uint32_t kFlagError = 1u << 5;
constexpr uint32_t kKnownFlags = kTypeMask | kFlagNoReply | kFlagError;

struct Header {
  uint16_t message_id = 0;
  uint16_t command = 0;
  uint32_t message_bytes = 0;  // header included
  uint32_t flags = 0;
  uint32_t error = 0;  // errno value in an error reply
};
static_assert(sizeof(Header) == 16, "wire format");

// Limits of this implementation. Both sides use them to bound their buffers.
constexpr uint32_t kMaxTransferBytes = 4096;     // max_data_xfer_size that we announce
constexpr uint32_t kMaxMessageBytes = 8192;      // any message; larger ones break the protocol
constexpr uint32_t kMaxVersionDataBytes = 4096;  // JSON with its NUL
constexpr uint32_t kMaxMessageFds = 64;          // max_msg_fds that we announce

// Message bodies. The text of a field's meaning is the specification's.
struct VersionBody {
  uint16_t major = 0;
  uint16_t minor = 0;
  // JSON text with its terminating NUL follows; optional
};
static_assert(sizeof(VersionBody) == 4, "wire format");

struct DmaMapBody {
  uint32_t argsz = 0;
  uint32_t flags = 0;
  uint64_t offset = 0;
  uint64_t address = 0;
  uint64_t size = 0;
};
static_assert(sizeof(DmaMapBody) == 32, "wire format");
constexpr uint32_t kDmaReadable = 1u << 0;
constexpr uint32_t kDmaWritable = 1u << 1;

struct DmaUnmapBody {
  uint32_t argsz = 0;
  uint32_t flags = 0;
  uint64_t address = 0;
  uint64_t size = 0;
};
static_assert(sizeof(DmaUnmapBody) == 24, "wire format");
constexpr uint32_t kDmaUnmapAll = 1u << 1;  // with address and size 0

struct DeviceInfoBody {
  uint32_t argsz = 0;
  uint32_t flags = 0;
  uint32_t region_count = 0;
  uint32_t irq_count = 0;
};
static_assert(sizeof(DeviceInfoBody) == 16, "wire format");

using RegionInfoBody = vfio_region_info;
static_assert(sizeof(RegionInfoBody) == 32, "wire format");

// Region info with one sparse area.
struct SparseRegionInfoBody {
  RegionInfoBody info;
  vfio_info_cap_header header;
  uint32_t area_count;
  uint32_t reserved;
  vfio_region_sparse_mmap_area area;
};
static_assert(sizeof(SparseRegionInfoBody) == 64, "wire format");

struct RegionIoFdsBody {
  uint32_t argsz = 0;
  uint32_t flags = 0;
  uint32_t index = 0;
  uint32_t count = 0;
  // sub-regions follow in a reply
};
static_assert(sizeof(RegionIoFdsBody) == 16, "wire format");

// Sub-region of type shadow ioeventfd: stores go to shared memory and the eventfd is signalled.
struct SubRegionShadow {
  uint64_t offset = 0;  // within the region
  uint64_t size = 0;
  uint32_t fd_index = 0;  // of the eventfd, within the message's descriptors
  uint32_t type = 0;      // kIoFdShadow
  uint32_t flags = 0;
  uint32_t shadow_fd_index = 0;
  uint64_t shadow_offset = 0;  // of the sub-region's first byte within the shadow memory
  uint64_t datamatch = 0;
};
static_assert(sizeof(SubRegionShadow) == 48, "wire format");
constexpr uint32_t kIoFdShadow = 2;

using IrqInfoBody = vfio_irq_info;
static_assert(sizeof(IrqInfoBody) == 16, "wire format");

struct IrqSetBody {
  uint32_t argsz = 0;
  uint32_t flags = 0;  // VFIO_IRQ_SET_*
  uint32_t index = 0;
  uint32_t start = 0;
  uint32_t count = 0;
  // one byte per interrupt follows with VFIO_IRQ_SET_DATA_BOOL
};
static_assert(sizeof(IrqSetBody) == 20, "wire format");

struct RegionAccessBody {
  uint64_t offset = 0;
  uint32_t region = 0;
  uint32_t count = 0;
  // data follows in a write request and a read reply
};
static_assert(sizeof(RegionAccessBody) == 16, "wire format");

// --- bytes -------------------------------------------------------------------------------------------------------

// Copies a body from the front of a payload. False if the payload is too short.
template <typename T>
[[nodiscard]] bool decode(const uint8_t* data, size_t size_bytes, T& out) {
  static_assert(std::is_trivially_copyable<T>::value, "copied as bytes");
  if (size_bytes < sizeof(T)) return false;
  std::memcpy(&out, data, sizeof(T));
  return true;
}
template <typename T>
[[nodiscard]] bool decode(const std::vector<uint8_t>& payload, T& out) {
  return decode(payload.data(), payload.size(), out);
}

// Appends bytes to a payload.
void append(std::vector<uint8_t>& payload, const void* data, size_t size_bytes);

// Appends a body to a payload.
template <typename T>
void encode(std::vector<uint8_t>& payload, const T& body) {
  static_assert(std::is_trivially_copyable<T>::value, "copied as bytes");
  append(payload, &body, sizeof(T));
}

// --- version negotiation -----------------------------------------------------------------------------------------

// Capabilities with the values that hold when a peer does not name them.
struct Capabilities {
  uint64_t max_msg_fds = 1;
  uint64_t max_data_xfer_size = 1048576;
  uint64_t max_dma_maps = 65535;
  uint64_t pgsizes = 4096;
  bool write_multiple = false;
};

// Version data as it goes on the wire, with the terminating NUL.
[[nodiscard]] std::vector<uint8_t> encode_capabilities(const Capabilities& capabilities);
// Reads version data; empty data means all defaults, unknown names are skipped. Error EINVAL: too long, no NUL, not
// JSON, or a capability of another type than specified.
[[nodiscard]] Result<Capabilities> decode_capabilities(const uint8_t* data, size_t size_bytes);

}  // namespace postern::vfio_user
