// Client of hostd: one locked request/reply exchange over SOCK_SEQPACKET with descriptor passing. See hostd_client.h.
#include "driver/hostd_client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

namespace postern::hostd {
namespace {

// --- system calls without libc's (maybe overridden) symbols ----------------------------------------------------------

template <typename... Args>
long raw(long number, Args... args) {
  return syscall(number, args...);
}

int process_id() { return static_cast<int>(raw(SYS_getpid)); }
void close_fd(int fd) {
  if (fd >= 0) {
    raw(SYS_close, fd);
  }
}

int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Process in which pthread_atfork's child handler last ran: tells a fork from a vfork, which shares our memory and must
// not change it.
std::atomic<int> forked_pid{0};
void note_fork_in_child() { forked_pid.store(process_id(), std::memory_order_relaxed); }
void watch_forks() {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, note_fork_in_child); });
}

Error hostd_gone(const char* what) {
  return Error{ENETDOWN,
               fmt::format("{}: hostd is gone; start the testbed again (postern up) and restart the program", what)};
}

Error no_connection(const std::string& path, int code) {
  return Error{code, fmt::format("cannot reach hostd at '{}': {}; is the testbed up (postern status)?", path,
                                 std::strerror(code))};
}

// A received message and the descriptors that came with it.
struct Received {
  ssize_t bytes = 0;
  int fds[kMaxDescriptors] = {-1, -1, -1, -1, -1, -1};
  uint32_t fd_count = 0;
  bool truncated = false;  // descriptors were sent that this process has no numbers left for (recvmsg(2), MSG_CTRUNC)
  void close_all() {
    for (uint32_t i = 0; i < fd_count; ++i) {
      close_fd(fds[i]);
    }
    fd_count = 0;
  }
};

Received receive_message(int fd, void* buffer, size_t buffer_bytes) {
  Received received;
  iovec vector{buffer, buffer_bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  do {
    received.bytes = raw(SYS_recvmsg, fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (received.bytes < 0 && errno == EINTR);
  if (received.bytes < 0) {
    return received;
  }
  received.truncated = (header.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count && received.fd_count < kMaxDescriptors; ++i) {
      std::memcpy(&received.fds[received.fd_count++], CMSG_DATA(item) + i * sizeof(int), sizeof(int));
    }
  }
  return received;
}

}  // namespace

// --- StackAttachment ---

StackAttachment::StackAttachment(StackAttachment&& other) noexcept { *this = std::move(other); }

StackAttachment& StackAttachment::operator=(StackAttachment&& other) noexcept {
  if (this != &other) {
    grant = other.grant;
    endpoint = other.endpoint;
    generation = other.generation;
    for (uint32_t i = 0; i < kGrantDescriptors; ++i) {
      close_fd(std::exchange(fds_[i], std::exchange(other.fds_[i], -1)));
    }
  }
  return *this;
}

StackAttachment::~StackAttachment() {
  for (const int fd : fds_) {
    close_fd(fd);
  }
}

int StackAttachment::take_fd(GrantDescriptor which) { return std::exchange(fds_[which], -1); }

// --- lock ---

// Excludes the process's threads from each other with all signals blocked, so that a signal handler that comes here
// cannot wait for the thread it interrupted. The word holds the owner's pid: a child of fork takes over what a thread
// of its parent held. Contention is rare and short, so waiters sleep a little.
class HostdClient::Guard {
 public:
  explicit Guard(HostdClient& client) : client_(client), pid_(process_id()) {
    sigset_t all;
    sigfillset(&all);
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old_signals_, sizeof(uint64_t));
    for (;;) {
      int holder = 0;
      if (client_.lock_owner_pid_.compare_exchange_strong(holder, pid_, std::memory_order_acquire)) {
        return;
      }
      if (holder != pid_ && forked_pid.load(std::memory_order_relaxed) == pid_ &&
          client_.lock_owner_pid_.compare_exchange_strong(holder, pid_, std::memory_order_acquire)) {
        return;
      }
      const timespec pause{0, 50'000};
      raw(SYS_nanosleep, &pause, nullptr);
    }
  }
  ~Guard() {
    client_.lock_owner_pid_.store(0, std::memory_order_release);
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &old_signals_, nullptr, sizeof(uint64_t));
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  HostdClient& client_;
  int pid_;
  sigset_t old_signals_{};
};

// --- connection ---

HostdClient::HostdClient(std::string socket_path, int timeout_ms)
    : socket_path_(std::move(socket_path)), timeout_ms_(timeout_ms) {
  watch_forks();
}

HostdClient::HostdClient(int control_fd, int timeout_ms)
    : timeout_ms_(timeout_ms), fd_(control_fd), owner_pid_(process_id()) {
  watch_forks();
}

HostdClient::~HostdClient() { drop_connection(); }

void HostdClient::drop_connection() { close_fd(fd_.exchange(-1, std::memory_order_acq_rel)); }

// Before the lock, which is the parent's memory too.
Status HostdClient::refuse_vfork_child() const {
  const int pid = process_id();
  const int owner = owner_pid_.load(std::memory_order_relaxed);
  if (owner != 0 && owner != pid && forked_pid.load(std::memory_order_relaxed) != pid) {
    return Error{EAGAIN, "a vfork child shares its parent's memory and cannot use its hostd connection"};
  }
  return {};
}

Status HostdClient::ensure_connected() {
  const int pid = process_id();
  const int owner = owner_pid_.load(std::memory_order_relaxed);
  if (owner == pid) {
    if (fd_.load(std::memory_order_relaxed) < 0) {
      return hostd_gone("control connection");
    }
    return must_reattach_ ? reattach_locked() : Status();
  }
  if (owner != 0) {
    drop_connection();  // this process's copy; the parent's stays
    must_reattach_ = true;
    owner_pid_.store(0, std::memory_order_relaxed);
  }
  if (Status status = connect_locked(); !status) {
    return status;
  }
  return must_reattach_ ? reattach_locked() : Status();
}

Status HostdClient::connect_locked() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path_.empty() || socket_path_.size() >= sizeof address.sun_path) {
    return no_connection(socket_path_, socket_path_.empty() ? ENOENT : ENAMETOOLONG);
  }
  std::memcpy(address.sun_path, socket_path_.c_str(), socket_path_.size() + 1);
  int fd = static_cast<int>(raw(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (fd < 0) {
    return no_connection(socket_path_, errno);
  }
  if (mover_ != nullptr) {
    fd = mover_(fd);
  }
  // Connecting waits while hostd's backlog is full; the send timeout bounds that too (unix(7), socket(7)).
  const timeval timeout{timeout_ms_ / 1000, (timeout_ms_ % 1000) * 1000};
  raw(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (raw(SYS_connect, fd, &address, sizeof address) != 0) {
    const int code = errno == EAGAIN ? ETIMEDOUT : errno;
    close_fd(fd);
    return no_connection(socket_path_, code);
  }
  fd_.store(fd, std::memory_order_release);
  owner_pid_.store(process_id(), std::memory_order_relaxed);
  Request hello;
  hello.type = RequestType::kHello;
  Result<Reply> reply = transact_locked(hello, -1, nullptr, 0);
  if (!reply) {
    drop_connection();
    owner_pid_.store(0, std::memory_order_relaxed);  // the next call tries again
    return reply.error();
  }
  return {};
}

Status HostdClient::reattach_locked() {
  for (int index = 0;; ++index) {
    const int token = provider_ != nullptr ? provider_(provider_context_, index) : -1;
    if (token < 0) {
      break;  // nothing (more) to attach to
    }
    Request request;
    request.type = RequestType::kAttach;
    int fds[kGrantDescriptors];
    Result<Reply> reply = transact_locked(request, token, fds, kGrantDescriptors);
    if (!reply) {
      if (index == 0 || reply.error().code == ETIMEDOUT || reply.error().code == EMFILE) {
        return reply.error();
      }
      continue;  // that stack has ended; it must not take the others with it
    }
    for (const int fd : fds) {
      close_fd(fd);  // the child has inherited its parent's mappings
    }
  }
  must_reattach_ = false;
  return {};
}

// --- exchange ---

Status HostdClient::send_request(const Request& request, int pass_fd) {
  iovec vector{const_cast<Request*>(&request), sizeof request};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (pass_fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(item), &pass_fd, sizeof pass_fd);
  }
  const int64_t deadline_ns = monotonic_ns() + int64_t{timeout_ms_} * 1'000'000;
  const int fd = fd_.load(std::memory_order_relaxed);
  for (;;) {
    if (raw(SYS_sendmsg, fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
      return {};
    }
    if (errno == EBADF && pass_fd >= 0) {
      return Error{EBADF, fmt::format("descriptor {} is not open", pass_fd)};
    }
    if (errno != EAGAIN && errno != EINTR) {
      return hostd_gone("request");
    }
    if (monotonic_ns() >= deadline_ns) {
      return Error{ETIMEDOUT, fmt::format("hostd took no request within {} ms", timeout_ms_)};
    }
    pollfd writable{fd, POLLOUT, 0};
    const timespec slice{0, 10'000'000};
    raw(SYS_ppoll, &writable, 1, &slice, nullptr, 0);
  }
}

Status HostdClient::wait_readable(int64_t deadline_ns) {
  for (;;) {
    const int64_t left_ns = deadline_ns - monotonic_ns();
    if (left_ns <= 0) {
      return Error{ETIMEDOUT, fmt::format("no answer from hostd within {} ms: is its device alive (postern status)?",
                                          timeout_ms_)};
    }
    const timespec timeout{left_ns / 1'000'000'000, left_ns % 1'000'000'000};
    pollfd readable{fd_.load(std::memory_order_relaxed), POLLIN, 0};
    if (raw(SYS_ppoll, &readable, 1, &timeout, nullptr, 0) > 0) {
      return {};
    }
  }
}

Result<Reply> HostdClient::receive_reply(uint32_t request_id, int* fds, uint32_t expected_fds) {
  const int64_t deadline_ns = monotonic_ns() + int64_t{timeout_ms_} * 1'000'000;
  for (;;) {
    if (Status status = wait_readable(deadline_ns); !status) {
      return status.error();
    }
    alignas(8) char buffer[std::max(sizeof(Reply), sizeof(HelperMessage))];
    Received received = receive_message(fd_.load(std::memory_order_relaxed), buffer, sizeof buffer);
    if (received.bytes < 0 && errno == EAGAIN) {
      continue;
    }
    if (received.bytes == sizeof(HelperMessage)) {
      received.close_all();
      HelperMessage event;
      std::memcpy(static_cast<void*>(&event), buffer, sizeof event);
      events_.push_back(event);
      continue;
    }
    Reply reply;
    if (received.bytes != sizeof reply) {
      received.close_all();
      return hostd_gone("reply");
    }
    std::memcpy(static_cast<void*>(&reply), buffer, sizeof reply);
    if (reply.magic != kProtocolMagic || reply.request_id != request_id) {
      received.close_all();  // the late answer to a request that timed out
      continue;
    }
    reply.message[sizeof reply.message - 1] = '\0';
    const bool complete = reply.error == 0 && received.fd_count == expected_fds;
    if (!complete) {
      received.close_all();
      if (reply.error != 0) {
        return Error{reply.error, reply.message};
      }
      return received.truncated ? Error{EMFILE,
                                        "this process has no descriptors left for what hostd passed: raise "
                                        "ulimit -n"}
                                : Error{EPROTO, "hostd passed too few descriptors: use binaries of one build"};
    }
    std::copy_n(received.fds, expected_fds, fds);
    return reply;
  }
}

Result<Reply> HostdClient::transact_locked(Request& request, int pass_fd, int* fds, uint32_t expected_fds) {
  request.request_id = next_request_id_++;
  if (Status status = send_request(request, pass_fd); !status) {
    return status.error();
  }
  return receive_reply(request.request_id, fds, expected_fds);
}

Result<Reply> HostdClient::transact(Request& request, int pass_fd, int* fds, uint32_t expected_fds) {
  if (Status status = refuse_vfork_child(); !status) {
    return status.error();
  }
  Guard guard(*this);
  try {
    if (Status status = ensure_connected(); !status) {
      return status.error();
    }
    return transact_locked(request, pass_fd, fds, expected_fds);
  } catch (...) {
    return Error{ENOMEM, {}};
  }
}

Result<StackAttachment> HostdClient::transact_for_grant(Request& request, int pass_fd) {
  StackAttachment attachment;
  Result<Reply> reply = transact(request, pass_fd, attachment.fds_, kGrantDescriptors);
  if (!reply) {
    return reply.error();
  }
  attachment.grant = reply->grant;
  attachment.endpoint = reply->endpoint;
  attachment.generation = reply->generation;
  return attachment;
}

// --- requests ---

namespace {

Request make_request(RequestType type, uint32_t stack_id = 0) {
  Request request;
  request.type = type;
  request.stack_id = stack_id;
  return request;
}

Status without_value(const Result<Reply>& reply) { return reply.ok() ? Status() : Status(reply.error()); }

}  // namespace

Status HostdClient::connect() {
  if (Status status = refuse_vfork_child(); !status) {
    return status;
  }
  Guard guard(*this);
  try {
    return ensure_connected();
  } catch (...) {
    return Error{ENOMEM, {}};
  }
}

Result<StackAttachment> HostdClient::create_stack() {
  Request request = make_request(RequestType::kStackCreate);
  return transact_for_grant(request, -1);
}

Result<StackAttachment> HostdClient::attach(int token_fd) {
  if (token_fd < 0) {
    return Error{EBADF, "a token to attach by is missing"};
  }
  Request request = make_request(RequestType::kAttach);
  return transact_for_grant(request, token_fd);
}

Result<PortGrant> HostdClient::acquire_port(uint32_t stack_id, uint32_t protocol, const WireAddress& local,
                                            uint16_t port, bool reuse) {
  Request request = make_request(RequestType::kPortAcquire, stack_id);
  request.protocol = protocol;
  request.local = local;
  request.port = port;
  request.flags = reuse ? uint32_t{kPortFlagReuse} : 0;
  Result<Reply> reply = transact(request);
  if (!reply) {
    return reply.error();
  }
  return PortGrant{static_cast<uint16_t>(reply->port), reply->binding_id};
}

Status HostdClient::listen_port(uint32_t stack_id, uint32_t binding_id, bool listening) {
  Request request = make_request(RequestType::kPortListen, stack_id);
  request.binding_id = binding_id;
  request.flags = listening ? uint32_t{kPortFlagListen} : 0;
  return without_value(transact(request));
}

Status HostdClient::release_port(uint32_t stack_id, uint32_t binding_id) {
  Request request = make_request(RequestType::kPortRelease, stack_id);
  request.binding_id = binding_id;
  return without_value(transact(request));
}

Result<int> HostdClient::create_token(uint32_t stack_id, uint32_t endpoint, uint32_t generation) {
  Request request = make_request(RequestType::kTokenCreate, stack_id);
  request.endpoint = endpoint;
  request.generation = generation;
  int fd = -1;
  Result<Reply> reply = transact(request, -1, &fd, 1);
  if (!reply) {
    return reply.error();
  }
  return fd;
}

Result<std::string> HostdClient::status_json() {
  Request request = make_request(RequestType::kStatus);
  int fd = -1;
  Result<Reply> reply = transact(request, -1, &fd, 1);
  if (!reply) {
    return reply.error();
  }
  std::string text(std::min<uint64_t>(reply->value, 16 << 20), '\0');
  const long got = raw(SYS_pread64, fd, text.data(), text.size(), 0);
  close_fd(fd);
  if (got != static_cast<long>(text.size())) {
    return Error{EIO, fmt::format("hostd's status is {} bytes, expected {}", got, text.size())};
  }
  return text;
}

// --- helper ---

Result<StackAttachment> HostdClient::receive_start() {
  Guard guard(*this);
  if (Status status = wait_readable(monotonic_ns() + int64_t{timeout_ms_} * 1'000'000); !status) {
    return status.error();
  }
  HelperMessage message;
  Received received = receive_message(fd_.load(std::memory_order_relaxed), &message, sizeof message);
  if (received.bytes != sizeof message || message.magic != kProtocolMagic || message.event != HelperEvent::kStart ||
      received.fd_count != kGrantDescriptors) {
    received.close_all();
    return Error{EPROTO,
                 "the first message on the control socket is not a start message: this program is started by "
                 "postern-hostd only"};
  }
  StackAttachment attachment;
  attachment.grant = message.grant;
  std::copy_n(received.fds, kGrantDescriptors, attachment.fds_);
  return attachment;
}

Result<bool> HostdClient::next_event(HelperMessage& message) {
  Guard guard(*this);
  if (!events_.empty()) {
    message = events_.front();
    events_.pop_front();
    return true;
  }
  for (;;) {
    alignas(8) char buffer[std::max(sizeof(Reply), sizeof(HelperMessage))];
    Received received = receive_message(fd_.load(std::memory_order_relaxed), buffer, sizeof buffer);
    if (received.bytes < 0 && errno == EAGAIN) {
      return false;
    }
    received.close_all();
    if (received.bytes == sizeof(Reply)) {
      continue;  // the late answer to a request that timed out
    }
    if (received.bytes != sizeof message) {
      return hostd_gone("control socket");
    }
    std::memcpy(static_cast<void*>(&message), buffer, sizeof message);
    return true;
  }
}

Status HostdClient::helper_done(uint32_t stack_id) {
  Request request = make_request(RequestType::kHelperDone, stack_id);
  return without_value(transact(request));
}

}  // namespace postern::hostd
