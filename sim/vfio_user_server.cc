// Connection handling and dispatch of the vfio-user server. The commands are in vfio_user_commands.cc.
#include "sim/vfio_user_server.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "driver/foreign_fd_closer.h"

namespace postern::sim {

using vfio_user::Header;
using vfio_user::ReceiveOutcome;
using vfio_user::SendOutcome;

namespace {

constexpr int kMessagesPerCall = 64;  // so that a flooding client leaves time for the rest of the simulator

Error system_error(int code, const std::string& what) { return Error{code, what + ": " + std::strerror(code)}; }

// True if somebody accepts connections at the address.
bool somebody_listens(const sockaddr_un& address) {
  UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN;
}

}  // namespace

VfioUserServer::VfioUserServer(VfioUserBackend& backend, DoorbellPages& pages, HostDmaRegions& memory, Log log)
    : backend_(backend), pages_(pages), memory_(memory), log_(std::move(log)) {}

Result<std::unique_ptr<VfioUserServer>> VfioUserServer::listen(const std::string& socket_path, VfioUserBackend& backend,
                                                               DoorbellPages& pages, HostDmaRegions& memory, Log log) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return Error{ENAMETOOLONG, "socket path " + socket_path + " is longer than " +
                                   std::to_string(sizeof(address.sun_path) - 1) + " bytes: choose a shorter directory"};
  }
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  if (somebody_listens(address)) {
    return Error{EADDRINUSE, "another simulator serves " + socket_path + ": stop it first"};
  }
  struct stat status {};
  if (lstat(socket_path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) unlink(socket_path.c_str());

  std::unique_ptr<VfioUserServer> server(new VfioUserServer(backend, pages, memory, std::move(log)));
  server->listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!server->listener_.valid()) return system_error(errno, "cannot make a socket");
  if (bind(server->listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return system_error(errno, "cannot bind " + socket_path);
  }
  server->socket_path_ = socket_path;
  // The protocol leaves authentication to the socket file's permissions.
  if (chmod(socket_path.c_str(), S_IRUSR | S_IWUSR) != 0 || ::listen(server->listener_.get(), 8) != 0) {
    return system_error(errno, "cannot listen on " + socket_path);
  }
  return server;
}

VfioUserServer::~VfioUserServer() {
  if (!socket_path_.empty()) unlink(socket_path_.c_str());
}

void VfioUserServer::append_poll_fds(std::vector<pollfd>& fds) const {
  if (!resetting_) fds.push_back({listener_.get(), POLLIN, 0});
  if (client_.valid()) {
    short events = POLLRDHUP;
    if (client_.output_pending()) {
      events = static_cast<short>(events | POLLOUT);
    } else if (!busy_) {
      events = static_cast<short>(events | POLLIN);
    }
    fds.push_back({client_.fd(), events, 0});
  }
}

void VfioUserServer::service() {
  if (client_.valid()) read_client();
  if (!resetting_) accept_clients();
}

void VfioUserServer::drop_silent_client(Clock::time_point now) {
  if (!client_.valid() || negotiated_ || now - connected_ < kNegotiationMost) return;
  drop_client("no version negotiated within " + std::to_string(kNegotiationMost.count()) + " s");
}

void VfioUserServer::log_of_client(const std::string& line) {
  const Clock::time_point now = Clock::now();
  if (now - log_second_ >= std::chrono::seconds(1)) {
    log_second_ = now;
    log_lines_count_ = 0;
  }
  if (++log_lines_count_ <= kLogLinesPerSecond) log_(line);
}

void VfioUserServer::accept_clients() {
  for (int i = 0; i < kMessagesPerCall && !resetting_; ++i) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) return;
    if (client_.valid()) {
      ++statistics_.refused_clients_count;
      log_of_client("vfio-user: refused a second client on " + socket_path_ +
                    ": the device already has one; disconnect it first");
      // What it has sent goes with the socket, which can take long.
      shutdown(fd.get(), SHUT_RDWR);
      close_foreign(fd.release());
      continue;
    }
    client_ = vfio_user::MessageSocket(std::move(fd));
    connected_ = Clock::now();
    ++operation_;
    negotiated_ = close_after_reply_ = busy_ = unwanted_fds_ = false;
    client_max_fds_ = 1;
    backend_.client_attached();
    read_client();
  }
}

void VfioUserServer::read_client() {
  for (int i = 0; i < kMessagesPerCall && client_.valid(); ++i) {
    if (client_.output_pending()) {
      const SendOutcome sent = client_.flush();
      if (sent == SendOutcome::kAgain) return;
      if (sent == SendOutcome::kClosed) return drop_client("hung up while a reply was sent");
    }
    if (close_after_reply_) return drop_client("connection closed after a protocol error");
    if (busy_) {
      pollfd state{client_.fd(), POLLRDHUP, 0};
      if (::poll(&state, 1, 0) > 0) drop_client("hung up while a request was executed");
      return;
    }
    if (unwanted_fds_ && foreign_closes_held_up()) return drop_client("it sends more descriptors than can be closed");
    Message message;
    switch (client_.receive(message)) {
      case ReceiveOutcome::kAgain:
        return;
      case ReceiveOutcome::kClosed:
        return drop_client("disconnected");
      case ReceiveOutcome::kBadSize:
        // The end of this message is unknown, so the next one cannot be found: say why and hang up.
        close_after_reply_ = true;
        log_of_client("vfio-user: message of " + std::to_string(message.header.message_bytes) +
                      " bytes, expected 16 to " + std::to_string(vfio_user::kMaxMessageBytes));
        send_reply(message.header, Reply::with_error(EINVAL));
        break;
      case ReceiveOutcome::kMessage:
        if (!handle(message)) return;
        break;
    }
  }
}

void VfioUserServer::drop_client(const std::string& reason) {
  log_of_client("vfio-user: client of " + socket_path_ + ": " + reason);
  client_.close();
  ++operation_;
  busy_ = negotiated_ = close_after_reply_ = false;
  memory_.unmap_all();
  for (Interrupt& interrupt : interrupts_) interrupt = Interrupt();
  pages_.drop_region();
  resetting_ = true;
  const uint64_t operation = operation_;
  backend_.client_detached([this, operation] {
    if (operation == operation_) resetting_ = false;
  });
}

int VfioUserServer::check(const Message& message) const {
  const Header& header = message.header;
  if ((header.flags & ~vfio_user::kKnownFlags) != 0) return EINVAL;
  if ((header.flags & vfio_user::kTypeMask) != vfio_user::kTypeCommand) return EINVAL;
  if (message.too_many_fds) return EINVAL;
  if (negotiated_ == (header.command == vfio_user::kVersion)) return EINVAL;  // first, and only once
  const bool may_carry_fds = header.command == vfio_user::kDmaMap || header.command == vfio_user::kDeviceSetIrqs;
  return message.fds.empty() || may_carry_fds ? 0 : EINVAL;
}

bool VfioUserServer::handle(const Message& message) {
  ++statistics_.messages_count;
  // What the client stored in a doorbell page before it sent this message is delivered before the message acts: on a
  // bus, a read or write pushes the posted writes before it.
  pages_.poll();
  Reply reply;
  reply.error = check(message);
  busy_request_ = message.header;
  ++operation_;
  if (reply.error == 0) {
    busy_ = true;
    reply = execute(message);
    if (reply.later) return true;  // finish() may already have run
    busy_ = false;
  }
  unwanted_fds_ = unwanted_fds_ || (reply.error != 0 && !message.fds.empty());
  return send_reply(message.header, reply);
}

VfioUserServer::Reply VfioUserServer::execute(const Message& message) {
  const Payload& payload = message.payload;
  switch (message.header.command) {
    case vfio_user::kVersion:
      return do_version(message);
    case vfio_user::kDmaMap:
      return do_dma_map(message);
    case vfio_user::kDmaUnmap:
      return do_dma_unmap(payload);
    case vfio_user::kDeviceGetInfo:
      return do_get_info(payload);
    case vfio_user::kDeviceGetRegionInfo:
      return do_get_region_info(payload);
    case vfio_user::kDeviceGetRegionIoFds:
      return do_get_region_io_fds(payload);
    case vfio_user::kDeviceGetIrqInfo:
      return do_get_irq_info(payload);
    case vfio_user::kDeviceSetIrqs:
      return do_set_irqs(message);
    case vfio_user::kRegionRead:
      return do_region_read(payload);
    case vfio_user::kRegionWrite:
      return do_region_write(payload);
    case vfio_user::kDeviceReset:
      return do_reset(payload);
    // Optional commands of the specification that version negotiation did not offer.
    case vfio_user::kRegionWriteMulti:
    case vfio_user::kDeviceFeature:
    case vfio_user::kMigrationDataRead:
    case vfio_user::kMigrationDataWrite:
      return Reply::with_error(ENOTSUP);
    default:
      return Reply::with_error(EINVAL);
  }
}

void VfioUserServer::finish(uint64_t operation, Reply reply) {
  if (operation != operation_ || !busy_) return;  // the client has gone meanwhile
  busy_ = false;
  send_reply(busy_request_, reply);
}

bool VfioUserServer::send_reply(const Header& request, const Reply& reply) {
  if (reply.error != 0) ++statistics_.error_replies_count;
  if ((request.flags & vfio_user::kFlagNoReply) != 0) return true;
  Header header = request;
  header.flags = vfio_user::kTypeReply | (reply.error != 0 ? vfio_user::kFlagError : 0);
  header.error = static_cast<uint32_t>(reply.error);
  const auto outcome = reply.error != 0 ? client_.send(header, {}) : client_.send(header, reply.payload, reply.fds);
  if (outcome != SendOutcome::kClosed) return true;
  drop_client("hung up while a reply was sent");
  return false;
}

}  // namespace postern::sim
