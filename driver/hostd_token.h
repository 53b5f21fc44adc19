// The tokens of a host: descriptors that stand for accelerated sockets (design decision D9). hostd keeps the far end of
// each socket pair, so it sees a hang-up exactly when the last duplicate of the near end is closed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "driver/event_loop.h"
#include "driver/hostd_protocol.h"
#include "driver/result.h"
#include "driver/unique_fd.h"

namespace postern::hostd {

struct Token {
  uint32_t stack_id = 0;
  uint32_t endpoint = 0;
  uint32_t generation = 0;
  uint32_t uid = 0;  // whose stack it is
};

class TokenRegistry {
 public:
  // on_last_close is called from the loop after the token has been forgotten.
  TokenRegistry(EventLoop& loop, std::string host, std::function<void(const Token&)> on_last_close)
      : loop_(loop), host_(std::move(host)), on_last_close_(std::move(on_last_close)) {}
  ~TokenRegistry();
  TokenRegistry(const TokenRegistry&) = delete;
  TokenRegistry& operator=(const TokenRegistry&) = delete;

  // The near end, for the application. EEXIST: the (endpoint, generation) has a token; EMFILE: limits.
  [[nodiscard]] Result<UniqueFd> create(const Token& token);
  // The token whose near end this descriptor is. ENOENT: it is not one of ours, whatever its peer's name says.
  [[nodiscard]] Result<Token> identify(int fd) const;
  // Forgets a stack's tokens and hangs up on whoever still holds them.
  void drop_stack(uint32_t stack_id);

  [[nodiscard]] size_t count() const { return tokens_.size(); }
  [[nodiscard]] size_t count(uint32_t stack_id) const;
  [[nodiscard]] size_t count_of_user(uint32_t uid) const;

 private:
  struct Entry {
    Token token;
    UniqueFd far_end;
    uint64_t near_inode = 0;
    EventLoop::WatchId watch = 0;
  };
  void handle_hang_up(uint64_t cookie);
  void close(Entry& entry);

  EventLoop& loop_;
  std::string host_;
  std::function<void(const Token&)> on_last_close_;
  std::map<uint64_t, Entry> tokens_;  // by SO_COOKIE of the near end: unique as long as the kernel runs
  std::map<uint32_t, size_t> count_by_user_;
  std::map<uint32_t, std::map<uint64_t, uint64_t>> by_stack_;  // stack -> (endpoint, generation) -> cookie
};

}  // namespace postern::hostd
