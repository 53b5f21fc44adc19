// The control socket of a live simulator: a client asks for the status and gets JSON text in a sealed memfd, so that
// neither side can block the other, however long the text is. One datagram each way per request.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "driver/result.h"

namespace postern::sim {

class LiveControlServer {
 public:
  // Binds the socket (mode 0600); a stale file is replaced.
  [[nodiscard]] Status listen(const std::string& path);
  ~LiveControlServer();

  // Appends the descriptors to wait for.
  void add_descriptors(std::vector<int>& fds) const;
  // Accepts and answers whatever has arrived. Never blocks. status makes the text. A client that stays silent is
  // dropped after kSilenceMost, and before that if others need its place; call this now and then also without events.
  using Clock = std::chrono::steady_clock;
  void serve(const std::function<std::string()>& status, Clock::time_point now = Clock::now());

  static constexpr std::chrono::seconds kSilenceMost{2};
  static constexpr size_t kClientsMost = 16;

 private:
  struct Client {
    int fd;
    Clock::time_point heard;  // when it connected or last asked
  };
  bool answer(Client& client, const std::function<std::string()>& status, Clock::time_point now);

  std::string path_;
  int listen_fd_ = -1;
  std::vector<Client> clients_;  // in the order of their connections
};

// Asks the simulator behind a control socket for its status.
[[nodiscard]] Result<std::string> live_request_status(const std::string& path, std::chrono::milliseconds timeout);

}  // namespace postern::sim
