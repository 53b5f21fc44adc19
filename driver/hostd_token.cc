// Creation, proof of possession and last close of tokens: see hostd_token.h.
#include "driver/hostd_token.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "driver/foreign_fd_closer.h"

namespace postern::hostd {
namespace {

uint64_t endpoint_key(const Token& token) { return uint64_t{token.endpoint} << 32 | token.generation; }

Error system_error(const char* what) {
  return Error{errno,
               fmt::format("cannot {} a token: {}; raise hostd's limit of open files", what, std::strerror(errno))};
}

// Socket identity: a cookie that the kernel never uses twice (socket(7), SO_COOKIE) and the inode number.
bool identity_of(int fd, uint64_t& cookie, uint64_t& inode) {
  int domain = 0;
  socklen_t domain_bytes = sizeof domain;
  socklen_t cookie_bytes = sizeof cookie;
  struct stat status {};
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_bytes) != 0 || domain != AF_UNIX ||
      getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_bytes) != 0 || fstat(fd, &status) != 0) {
    return false;
  }
  inode = status.st_ino;
  return true;
}

// The nonce keeps names apart that two testbeds, or a squatter, could otherwise both want.
Status bind_name(int fd, const std::string& host, const Token& token) {
  uint64_t nonce = 0;
  if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce) {
    return system_error("name");
  }
  const std::string name =
      fmt::format("{}{}/{}/{}/{}/{:016x}", kTokenPrefix, host, token.stack_id, token.endpoint, token.generation, nonce);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof address.sun_path) {
    return Error{ENAMETOOLONG, fmt::format("token name '{}' is too long: use a shorter host name", name)};
  }
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), bytes) != 0) {
    return system_error("name");
  }
  return {};
}

}  // namespace

TokenRegistry::~TokenRegistry() {
  for (auto& [cookie, entry] : tokens_) {
    close(entry);
  }
}

// Nobody reads what was sent to the far end: descriptors may lie there.
void TokenRegistry::close(Entry& entry) {
  loop_.unwatch(entry.watch);
  if (--count_by_user_[entry.token.uid] == 0) {
    count_by_user_.erase(entry.token.uid);
  }
  shutdown(entry.far_end.get(), SHUT_RDWR);
  close_foreign(entry.far_end.release(), entry.token.uid);
}

Result<UniqueFd> TokenRegistry::create(const Token& token) {
  if (tokens_.size() >= kMaxTokens || count(token.stack_id) >= kMaxTokensPerStack) {
    return Error{EMFILE, fmt::format("{} sockets are open on this host, {} of them in stack {}: close some",
                                     tokens_.size(), count(token.stack_id), token.stack_id)};
  }
  auto& endpoints = by_stack_[token.stack_id];
  if (endpoints.contains(endpoint_key(token))) {
    return Error{EEXIST,
                 fmt::format("endpoint {} generation {} has a token already", token.endpoint, token.generation)};
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error("create");
  }
  Entry entry;
  entry.token = token;
  entry.far_end.reset(ends[0]);
  UniqueFd near_end(ends[1]);
  uint64_t cookie = 0;
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 || !identity_of(ends[1], cookie, entry.near_inode)) {
    return system_error("identify");
  }
  if (Status status = bind_name(ends[0], host_, token); !status) {
    return status.error();
  }
  // No event is asked for: a hang-up is reported always, data that the application writes is not looked at.
  Result<EventLoop::WatchId> watch = loop_.watch(ends[0], 0, [this, cookie](uint32_t events) {
    if ((events & EPOLLHUP) != 0) {
      handle_hang_up(cookie);
    }
  });
  if (!watch) {
    return watch.error();
  }
  entry.watch = *watch;
  endpoints.emplace(endpoint_key(token), cookie);
  ++count_by_user_[token.uid];
  tokens_.emplace(cookie, std::move(entry));
  return near_end;
}

Result<Token> TokenRegistry::identify(int fd) const {
  uint64_t cookie = 0;
  uint64_t inode = 0;
  if (identity_of(fd, cookie, inode)) {
    const auto found = tokens_.find(cookie);
    if (found != tokens_.end() && found->second.near_inode == inode) {
      return found->second.token;
    }
  }
  return Error{ENOENT, "the descriptor is not a token of this host, or its stack is gone"};
}

void TokenRegistry::handle_hang_up(uint64_t cookie) {
  const auto found = tokens_.find(cookie);
  if (found == tokens_.end()) {
    return;
  }
  const Token token = found->second.token;
  close(found->second);
  by_stack_[token.stack_id].erase(endpoint_key(token));
  tokens_.erase(found);
  on_last_close_(token);
}

void TokenRegistry::drop_stack(uint32_t stack_id) {
  const auto stack = by_stack_.find(stack_id);
  if (stack == by_stack_.end()) {
    return;
  }
  for (const auto& [key, cookie] : stack->second) {
    const auto entry = tokens_.find(cookie);
    close(entry->second);
    tokens_.erase(entry);
  }
  by_stack_.erase(stack);
}

size_t TokenRegistry::count(uint32_t stack_id) const {
  const auto found = by_stack_.find(stack_id);
  return found == by_stack_.end() ? 0 : found->second.size();
}

size_t TokenRegistry::count_of_user(uint32_t uid) const {
  const auto found = count_by_user_.find(uid);
  return found == count_by_user_.end() ? 0 : found->second;
}

}  // namespace postern::hostd
