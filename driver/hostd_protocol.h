// The control protocol between hostd and (a) applications (libpostern), (b) stack helpers, (c) `postern status`.
// Fixed-size little-endian structs over AF_UNIX SOCK_SEQPACKET, descriptors by SCM_RIGHTS. One Request gets exactly one
// Reply with the same request_id, in order. A message of another size, type or descriptor count closes the connection.
// Addresses are in network byte order, ports in host byte order. Use driver/hostd_client.h rather than this directly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "driver/vi.h"

namespace postern::hostd {

constexpr uint32_t kProtocolMagic = 0x44545350;  // "PSTD"
constexpr uint32_t kProtocolVersion = 2;

// Limits; hostd answers EMFILE/ENOBUFS beyond them and closes connections that flood. Of what a host has, one user
// other than hostd's own gets half at most. With few open files allowed (RLIMIT_NOFILE) a host has less (see
// HostLimits).
constexpr uint32_t kMaxConnections = 512;
constexpr uint32_t kMaxStacks = 256;
constexpr uint32_t kMaxStacksPerConnection = 4;
constexpr uint32_t kMaxTokensPerStack = 4096;
constexpr uint32_t kMaxTokens = 16384;
constexpr uint32_t kMaxPortsPerStack = 8192;
constexpr uint32_t kHostNameBytes = 32;  // with terminating NUL; letters, digits, '-' and '_'
constexpr uint32_t kMaxDescriptors = 6;  // in one message
constexpr uint32_t kHostStackId = 0;

// An IP address. family is 4 or 6 (0: none); bytes in network order, unused ones 0.
struct WireAddress {
  uint32_t family = 0;
  uint8_t bytes[16] = {};
};

enum class RequestType : uint32_t {
  kHello = 1,        // version; must be the first. Reply: nothing else
  kStackCreate = 2,  // Reply: grant + kGrantDescriptors descriptors. The caller formats the stack area.
  kAttach = 3,       // 1 descriptor: a token. Reply: grant + descriptors of the token's stack; endpoint, generation
  kPortAcquire = 4,  // protocol, local, port (0: choose an ephemeral one), flags. Reply: port, binding_id
  kPortListen = 5,   // binding_id, flags & kPortFlagListen (1: listens, 0: no longer). EADDRINUSE on conflict
  kPortRelease = 6,  // binding_id; the stack has sat out TIME_WAIT
  kTokenCreate = 7,  // endpoint, generation. Reply: 1 descriptor, the token
  kStatus = 8,       // Reply: 1 descriptor, a sealed memfd with JSON text; value = its bytes
  kHelperDone = 9,   // helper only: nothing left to do for the orphaned stack. hostd answers by kShutdown or kAdopted
};

enum PortFlags : uint32_t {
  kPortFlagReuse = 1,  // SO_REUSEADDR is set
  kPortFlagListen = 2,
};

struct Request {
  uint32_t magic = kProtocolMagic;
  uint32_t version = kProtocolVersion;
  RequestType type = RequestType::kHello;
  uint32_t request_id = 0;
  uint32_t stack_id = 0;
  uint32_t endpoint = 0;
  uint32_t generation = 0;
  uint32_t binding_id = 0;
  uint32_t protocol = 0;  // IPPROTO_TCP or IPPROTO_UDP
  uint32_t flags = 0;     // PortFlags
  uint16_t port = 0;
  uint16_t reserved_port = 0;
  WireAddress local;
  uint32_t reserved[6] = {};
};

// Where everything is in a stack's region, and what the stack needs to know of its host. All offsets are page-aligned
// bytes from the region's base. hostd has zeroed the region and never looks at it.
struct StackGrant {
  uint32_t stack_id = 0;
  uint32_t vi_id = 0;
  uint64_t region_bytes = 0;
  uint64_t stack_area_offset = 0;  // for the stack's own state and packet buffers; format it before use
  uint64_t stack_area_bytes = 0;
  ViLayout layout;
  uint32_t is_host_stack = 0;  // answers ARP, ICMP echo and unmatched segments; gets all unmatched unicast
  uint32_t must_format = 0;    // the receiver of this grant formats the stack area (others wait for it)
  uint32_t mtu_bytes = 1500;
  uint32_t prefix_bits = 24;
  WireAddress address;           // the host's
  WireAddress gateway;           // family 0: none
  uint8_t mac[8] = {};           // first 6 bytes
  uint32_t device_features = 0;  // FUNCTION.FEATURES
  uint32_t link_speed_mbps = 0;
  uint64_t seed = 0;  // for initial sequence numbers and the like; differs per stack
  char host[kHostNameBytes] = {};
};

// Descriptors that come with a grant, in this order.
enum GrantDescriptor : uint32_t {
  kFdRegion = 0,  // memfd, read-write, size sealed
  kFdWindow = 1,  // the VI's window: doorbell page, then PIO page
  kFdKick = 2,    // eventfd: wakes a sleeping simulator
  kFdClock = 3,   // device clock page (PST_CLOCK_*), read-only
  kFdWake = 4,    // eventfd: the VI's MSI-X vector. Never read it; use EPOLLET. hostd writes it when the stack is lost
  kFdStatus = 5,  // StackStatusPage, read-only
  kGrantDescriptors = 6,
};

struct Reply {
  uint32_t magic = kProtocolMagic;
  uint32_t request_id = 0;
  RequestType type = RequestType::kHello;  // of the request
  int32_t error = 0;                       // errno value, 0: done
  uint32_t descriptor_count = 0;           // that come with this message
  uint32_t binding_id = 0;                 // kPortAcquire
  uint32_t endpoint = 0;                   // kAttach
  uint32_t generation = 0;                 // kAttach
  uint64_t value = 0;
  uint32_t port = 0;  // kPortAcquire
  uint32_t reserved = 0;
  StackGrant grant;        // kStackCreate, kAttach
  char message[160] = {};  // with error: one line for a person
};

// What hostd tells a helper on its control socket (the helper sends Requests on the same socket and gets Replies; both
// kinds are told apart by their size). The first message is kStart with the grant and kGrantDescriptors descriptors.
enum class HelperEvent : uint32_t {
  kStart = 1,
  kEndpointClosed = 2,  // the last descriptor of (endpoint, generation) was closed
  kOrphaned = 3,        // no process is attached any more
  kAdopted = 4,         // a process is attached (again)
  kDeviceLost = 5,      // the VI is gone; exit
  kShutdown = 6,        // exit; everything of the stack is freed
};

struct HelperMessage {
  uint32_t magic = kProtocolMagic;
  HelperEvent event = HelperEvent::kStart;
  uint32_t endpoint = 0;
  uint32_t generation = 0;
  StackGrant grant;  // kStart
  uint64_t reserved[3] = {};
};

enum class StackCondition : uint32_t {
  kAlive = 1,
  kDeviceLost = 2,  // the device or its simulator went away
  kHelperDied = 3,  // the helper died and hostd freed the stack
  kFreed = 4,       // orderly end
};

// One page per stack, written by hostd alone. A stack whose condition is not kAlive is dead for good: every call on it
// fails with ENETDOWN. Read with acquire. If hostd itself dies, the control connection hangs up instead.
struct StackStatusPage {
  uint32_t magic = kProtocolMagic;
  StackCondition condition = StackCondition::kAlive;
  uint32_t hostd_pid = 0;
  uint32_t stack_id = 0;
};

static_assert(sizeof(Request) != sizeof(HelperMessage) && sizeof(Reply) != sizeof(HelperMessage), "told apart by size");
static_assert(std::is_trivially_copyable<Request>::value && std::is_trivially_copyable<Reply>::value &&
                  std::is_trivially_copyable<HelperMessage>::value,
              "copied as bytes");

// Name of a token's peer: "\0postern/<host>/<stack>/<endpoint>/<generation>/<nonce>" in the abstract namespace. The
// name is a hint that anybody can forge; kAttach proves it.
struct TokenName {
  char host[kHostNameBytes] = {};
  uint32_t stack_id = 0;
  uint32_t endpoint = 0;
  uint32_t generation = 0;
};
constexpr char kTokenPrefix[] = "postern/";

// How a stack helper is started: argv = {path, "--control-fd", "3"}; descriptor 3 is its control socket.
constexpr int kHelperControlFd = 3;

}  // namespace postern::hostd
