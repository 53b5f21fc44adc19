// Connection of VfioUserFunction: set-up, one request at a time with a deadline, and noticing that the device is gone.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "driver/vfio_user_function.h"

namespace postern {

using namespace vfio_user;

namespace {

constexpr uint16_t kPciCommand = 0x04;
constexpr uint16_t kPciCapabilityPointer = 0x34;
constexpr uint32_t kPciMemoryAndBusMaster = 0x6;
constexpr uint32_t kCapabilityIdMsix = 0x11;
constexpr uint32_t kMsixEnable = 1u << 15;
constexpr uint32_t kMsixFunctionMask = 1u << 14;

uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

VfioUserFunction::~VfioUserFunction() = default;

Result<std::unique_ptr<VfioUserFunction>> VfioUserFunction::connect(const std::string& socket_path, Options options) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return Error{ENAMETOOLONG, "socket path " + socket_path + " is too long: choose a shorter directory"};
  }
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid() || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int code = errno;
    return Error{
        code, "cannot reach a device at " + socket_path + ": " + std::strerror(code) + "; is the simulator running?"};
  }
  std::unique_ptr<VfioUserFunction> function(new VfioUserFunction(options));
  function->socket_path_ = socket_path;
  function->socket_ = MessageSocket(std::move(fd));
  for (auto step : {&VfioUserFunction::negotiate, &VfioUserFunction::check_device, &VfioUserFunction::map_clock,
                    &VfioUserFunction::enable_function}) {
    if (Status done = (function.get()->*step)(); !done.ok()) return done.error();
  }
  return function;
}

Status VfioUserFunction::negotiate() {
  Capabilities ours;
  ours.max_msg_fds = kMaxMessageFds;
  ours.max_data_xfer_size = kMaxTransferBytes;
  Payload payload;
  encode(payload, VersionBody{kMajor, kMinor});
  const Payload text = encode_capabilities(ours);
  append(payload, text.data(), text.size());
  auto reply = call(kVersion, payload);
  if (!reply.ok()) return reply.error();
  VersionBody body;
  if (!decode(reply->payload, body) || body.major != kMajor || body.minor > kMinor) {
    return Error{EPROTO,
                 socket_path_ + " does not speak vfio-user " + std::to_string(kMajor) + "." + std::to_string(kMinor)};
  }
  auto theirs = decode_capabilities(reply->payload.data() + sizeof(body), reply->payload.size() - sizeof(body));
  if (!theirs.ok()) return theirs.error();
  server_ = *theirs;
  return {};
}

Status VfioUserFunction::check_device() {
  Payload payload;
  DeviceInfoBody info{sizeof(DeviceInfoBody), 0, 0, 0};
  encode(payload, info);
  auto reply = call(kDeviceGetInfo, payload);
  if (!reply.ok()) return reply.error();
  if (!decode(reply->payload, info) || (info.flags & VFIO_DEVICE_FLAGS_PCI) == 0 ||
      info.region_count <= VFIO_PCI_CONFIG_REGION_INDEX || info.irq_count <= VFIO_PCI_MSIX_IRQ_INDEX) {
    return Error{EPROTO, socket_path_ + " serves something that is not a PCI device"};
  }
  const std::pair<uint32_t, uint64_t> regions[] = {
      {PST_BAR_FUNCTION, PST_BAR_FUNCTION_SIZE}, {PST_BAR_VI, PST_BAR_VI_SIZE}, {PST_BAR_MSIX, PST_BAR_MSIX_SIZE}};
  for (const auto& [index, size] : regions) {
    payload.clear();
    RegionInfoBody region{};
    // Only the size is wanted: with this argsz the device does not make region-wide memory, which this client never
    // maps.
    region.argsz = sizeof(region);
    region.index = index;
    encode(payload, region);
    reply = call(kDeviceGetRegionInfo, payload);
    if (!reply.ok()) return reply.error();
    if (!decode(reply->payload, region) || region.size != size) {
      return Error{EPROTO, "BAR" + std::to_string(index) + " of the device at " + socket_path_ +
                               " has another size than the contract's; is it a Postern NIC?"};
    }
  }
  payload.clear();
  IrqInfoBody irq{};
  irq.argsz = sizeof(irq);
  irq.index = VFIO_PCI_MSIX_IRQ_INDEX;
  encode(payload, irq);
  reply = call(kDeviceGetIrqInfo, payload);
  if (!reply.ok()) return reply.error();
  if (!decode(reply->payload, irq) || irq.count < PST_LIMIT_MSIX_VECTOR_COUNT ||
      (irq.flags & VFIO_IRQ_INFO_EVENTFD) == 0) {
    return Error{EPROTO, "the device at " + socket_path_ + " lacks the contract's MSI-X vectors"};
  }
  return {};
}

Status VfioUserFunction::map_clock() {
  Payload payload;
  RegionInfoBody region{};
  region.argsz = sizeof(SparseRegionInfoBody);
  region.index = PST_BAR_FUNCTION;
  encode(payload, region);
  auto reply = call(kDeviceGetRegionInfo, payload);
  if (!reply.ok()) return reply.error();
  SparseRegionInfoBody sparse{};
  if (!decode(reply->payload, sparse) || sparse.header.id != VFIO_REGION_INFO_CAP_SPARSE_MMAP ||
      sparse.area_count != 1 || sparse.info.offset + sparse.area.offset != PST_CLOCK_PAGE_OFFSET ||
      sparse.area.size < PST_LIMIT_PAGE_BYTES || reply->fds.size() != 1) {
    return Error{EPROTO, "the device at " + socket_path_ + " does not share its clock page"};
  }
  clock_fd_ = std::move(reply->fds.front());
  auto clock = MappedDeviceClock::open(clock_fd_.get());
  if (!clock.ok()) return clock.error();
  clock_ = std::move(clock).value();
  return {};
}

// What an operating system does when it binds a driver; the device may do DMA and send MSI-X after it.
Status VfioUserFunction::enable_function() {
  auto command = config_read(kPciCommand, 2);
  if (!command.ok()) return command.error();
  if (Status done = config_write(kPciCommand, 2, *command | kPciMemoryAndBusMaster); !done.ok()) return done;
  auto at = config_read(kPciCapabilityPointer, 1);
  for (int hops = 0; at.ok() && *at != 0 && hops < 48; ++hops) {
    const auto offset = static_cast<uint16_t>(*at & ~3u);
    auto id = config_read(offset, 2);
    if (!id.ok()) return id.error();
    if ((*id & 0xff) == kCapabilityIdMsix) {
      auto control = config_read(static_cast<uint16_t>(offset + 2), 2);
      if (!control.ok()) return control.error();
      return config_write(static_cast<uint16_t>(offset + 2), 2, (*control | kMsixEnable) & ~kMsixFunctionMask);
    }
    at = Result<uint32_t>(*id >> 8);
  }
  if (!at.ok()) return at.error();
  return Error{EPROTO, "the device at " + socket_path_ + " has no MSI-X capability"};
}

Error VfioUserFunction::lost(const std::string& why) {
  if (gone_reason_.empty()) {
    gone_reason_ = why;
    // The descriptor stays, so that whoever polls it sees the hang-up; nothing is sent any more.
    if (socket_.valid()) ::shutdown(socket_.fd(), SHUT_RDWR);
  }
  return Error{ENODEV, "the device at " + socket_path_ + " is gone (" + gone_reason_ + "): connect again"};
}

Status VfioUserFunction::service_connection() {
  if (!gone_reason_.empty()) return lost(gone_reason_);
  Message message;
  switch (socket_.receive(message)) {
    case ReceiveOutcome::kAgain:
      return {};
    case ReceiveOutcome::kClosed:
      return lost("it hung up");
    case ReceiveOutcome::kBadSize:
      return lost("it sent an impossible message size");
    case ReceiveOutcome::kMessage:
      return lost(std::string("it sent ") + command_name(message.header.command) + " unasked");
  }
  return {};
}

Status VfioUserFunction::wait_ready(short events, uint64_t deadline_ns, Command command) {
  for (;;) {
    const uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) {
      // A late reply would be taken for that of a later request, so the connection cannot be used any more.
      lost(std::string("no answer to ") + command_name(command) + " in time");
      return Error{ETIMEDOUT, "the device at " + socket_path_ + " did not answer " + command_name(command) +
                                  " in time: is the simulator stuck?"};
    }
    pollfd state{socket_.fd(), events, 0};
    const timespec left{static_cast<time_t>((deadline_ns - now_ns) / 1'000'000'000),
                        static_cast<long>((deadline_ns - now_ns) % 1'000'000'000)};
    if (ppoll(&state, 1, &left, nullptr) > 0) return {};
  }
}

Status VfioUserFunction::send(Command command, const Payload& payload, const std::vector<int>& fds, bool no_reply) {
  if (!gone_reason_.empty()) return lost(gone_reason_);
  Header header;
  header.message_id = next_message_id_++;
  header.command = command;
  header.flags = kTypeCommand | (no_reply ? kFlagNoReply : 0);
  const uint64_t deadline_ns = monotonic_ns() + static_cast<uint64_t>(options_.reply_timeout_ms) * 1'000'000;
  SendOutcome outcome = socket_.send(header, payload, fds);
  while (outcome == SendOutcome::kAgain) {
    if (Status ready = wait_ready(POLLOUT, deadline_ns, command); !ready.ok()) return ready;
    outcome = socket_.flush();
  }
  return outcome == SendOutcome::kDone ? Status() : Status(lost("it hung up"));
}

Result<Message> VfioUserFunction::await_reply(uint16_t message_id, Command command, int timeout_ms) {
  const uint64_t deadline_ns = monotonic_ns() + static_cast<uint64_t>(timeout_ms) * 1'000'000;
  for (;;) {
    Message reply;
    switch (socket_.receive(reply)) {
      case ReceiveOutcome::kAgain:
        if (Status ready = wait_ready(POLLIN, deadline_ns, command); !ready.ok()) return ready.error();
        continue;
      case ReceiveOutcome::kClosed:
        return lost("it hung up");
      case ReceiveOutcome::kBadSize:
        return lost("it sent an impossible message size");
      case ReceiveOutcome::kMessage:
        break;
    }
    if ((reply.header.flags & kTypeMask) == kTypeCommand) {
      // We share all DMA memory, so a server has no reason to ask for bytes by message; say so and go on.
      Header refusal = reply.header;
      refusal.flags = kTypeReply | kFlagError;
      refusal.error = ENOTSUP;
      if (socket_.send(refusal, {}) != SendOutcome::kDone) return lost("it does not read what is sent to it");
      continue;
    }
    if (reply.header.message_id != message_id || reply.header.command != command) {
      return lost("it answered another request than was asked");
    }
    if ((reply.header.flags & kFlagError) != 0) {
      const int code = reply.header.error != 0 ? static_cast<int>(reply.header.error) : EIO;
      return Error{code, std::string("the device refused ") + command_name(command) + ": " + std::strerror(code)};
    }
    return reply;
  }
}

Result<Message> VfioUserFunction::call(Command command, const Payload& payload, const std::vector<int>& fds,
                                       int timeout_ms) {
  const uint16_t message_id = next_message_id_;
  if (Status sent = send(command, payload, fds, false); !sent.ok()) return sent.error();
  return await_reply(message_id, command, timeout_ms > 0 ? timeout_ms : options_.reply_timeout_ms);
}

}  // namespace postern
