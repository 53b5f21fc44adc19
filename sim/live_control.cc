// See live_control.h.
#include "sim/live_control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "driver/foreign_fd_closer.h"

namespace postern::sim {
namespace {

constexpr char kStatusRequest[] = "status";
constexpr size_t kKernelDescriptorsMax = 253;  // SCM_MAX_FD: the most that one recvmsg() can bring
constexpr size_t kStatusBytesMax = 64U << 20U;

bool fill_address(sockaddr_un& address, const std::string& path) {
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return true;
}

int sealed_memfd(const std::string& text) {
  const int fd = memfd_create("postern-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    close(fd);
    return -1;
  }
  fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  return fd;
}

bool send_descriptor(int socket_fd, int fd) {
  char byte = 1;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

// Receives a message. Descriptors that came with it are closed elsewhere, because close() can wait; nobody asked for
// them: -1 with EPROTO.
ssize_t receive_without_descriptors(int socket_fd, void* data, size_t size_bytes) {
  iovec part{data, size_bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(kKernelDescriptorsMax * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket_fd, &message, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
  if (got < 0) return got;
  bool any = false;
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof fd);
      close_foreign(fd);
      any = true;
    }
  }
  if (any) errno = EPROTO;
  return any ? -1 : got;
}

// The client sees the hang-up at once; what it sent and nobody has read goes elsewhere.
void hang_up(int fd) {
  shutdown(fd, SHUT_RDWR);
  close_foreign(fd);
}

int receive_descriptor(int socket_fd) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC) != 1) return -1;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int))) return -1;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

}  // namespace

Status LiveControlServer::listen(const std::string& path) {
  sockaddr_un address{};
  if (!fill_address(address, path)) {
    return Error{ENAMETOOLONG, fmt::format("socket path {} is too long: choose a shorter --run-dir", path)};
  }
  listen_fd_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  unlink(path.c_str());
  if (listen_fd_ < 0 || bind(listen_fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      chmod(path.c_str(), 0600) != 0 || ::listen(listen_fd_, 8) != 0) {
    return Error{errno, fmt::format("cannot listen on {}: {}", path, strerror(errno))};
  }
  path_ = path;
  return {};
}

LiveControlServer::~LiveControlServer() {
  for (const Client& client : clients_) hang_up(client.fd);
  if (listen_fd_ >= 0) close(listen_fd_);
  if (!path_.empty()) unlink(path_.c_str());
}

void LiveControlServer::add_descriptors(std::vector<int>& fds) const {
  fds.push_back(listen_fd_);
  for (const Client& client : clients_) fds.push_back(client.fd);
}

void LiveControlServer::serve(const std::function<std::string()>& status, Clock::time_point now) {
  for (size_t i = 0; i < kClientsMost; ++i) {
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) break;
    clients_.push_back({fd, now});
  }
  for (size_t i = 0; i < clients_.size();) {
    if (answer(clients_[i], status, now) && now - clients_[i].heard < kSilenceMost) {
      ++i;
    } else {
      hang_up(clients_[i].fd);
      clients_.erase(clients_.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  while (clients_.size() > kClientsMost) {
    const auto longest = std::min_element(clients_.begin(), clients_.end(),
                                          [](const Client& a, const Client& b) { return a.heard < b.heard; });
    hang_up(longest->fd);
    clients_.erase(longest);
  }
}

// False when the client is done with or broke the protocol.
bool LiveControlServer::answer(Client& client, const std::function<std::string()>& status, Clock::time_point now) {
  char request[16];
  const ssize_t size = receive_without_descriptors(client.fd, request, sizeof request);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  client.heard = now;
  if (size != static_cast<ssize_t>(sizeof kStatusRequest - 1) ||
      std::memcmp(request, kStatusRequest, sizeof kStatusRequest - 1) != 0) {
    return false;
  }
  const int fd = sealed_memfd(status());
  if (fd < 0) return false;
  const bool sent = send_descriptor(client.fd, fd);
  close(fd);
  return sent;
}

Result<std::string> live_request_status(const std::string& path, std::chrono::milliseconds timeout) {
  sockaddr_un address{};
  if (!fill_address(address, path)) return Error{ENAMETOOLONG, fmt::format("socket path {} is too long", path)};
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  // connect() waits as long as this for a place in the backlog of a simulator that stands still.
  const timeval limit{static_cast<time_t>(timeout.count() / 1000),
                      static_cast<suseconds_t>(timeout.count() % 1000 * 1000)};
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
      connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return Error{error, fmt::format("the simulator does not answer on {}: {}", path, strerror(error))};
  }
  pollfd entry{fd, POLLIN, 0};
  int status_fd = -1;
  if (send(fd, kStatusRequest, sizeof kStatusRequest - 1, MSG_NOSIGNAL) > 0 &&
      poll(&entry, 1, static_cast<int>(timeout.count())) == 1) {
    status_fd = receive_descriptor(fd);
  }
  close(fd);
  if (status_fd < 0) {
    return Error{ETIMEDOUT, fmt::format("the simulator did not answer on {} within {} ms", path, timeout.count())};
  }
  struct stat info {};
  std::string text;
  if (fstat(status_fd, &info) == 0 && info.st_size > 0 && static_cast<size_t>(info.st_size) <= kStatusBytesMax) {
    text.resize(static_cast<size_t>(info.st_size));
    if (pread(status_fd, text.data(), text.size(), 0) != info.st_size) text.clear();
  }
  close(status_fd);
  if (text.empty()) return Error{EPROTO, fmt::format("the simulator's answer on {} is not a status", path)};
  return text;
}

}  // namespace postern::sim
