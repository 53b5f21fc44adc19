// hostd: the resource manager's process of one simulated host, in the kernel's role. Owns the device; gives each
// application its own VI, memory and window over a Unix socket; starts one stack helper per stack; notices last closes,
// dead processes and a dead device, and frees what they held. Runs no protocol code and follows nothing in memory that
// an application can write. One thread; no client can make it wait.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "driver/event_loop.h"
#include "driver/hostd_connection.h"
#include "driver/hostd_device.h"
#include "driver/hostd_stack.h"
#include "driver/hostd_token.h"

namespace postern::hostd {

struct HostdConfig {
  StackSettings stack;
  PortTable::Config ports;
  std::string socket_path;
  std::string helper_path;                        // empty: stacks have no helper (tests)
  bool host_stack = true;                         // start stack 0
  std::chrono::milliseconds device_wait{10000};   // start(): how long to try to connect
  std::chrono::milliseconds helper_grace{1000};   // from kShutdown to SIGKILL
  std::chrono::milliseconds orphan_limit{65000};  // for a helper to finish an orphan without open descriptors
};

// What a host has in all, by the descriptors that hostd may open: about ten a stack, one a token or connection.
struct HostLimits {
  size_t connections = kMaxConnections;
  size_t stacks = kMaxStacks;
  size_t tokens = kMaxTokens;
  [[nodiscard]] static HostLimits for_descriptors(uint64_t descriptor_count);
};

class Hostd {
 public:
  Hostd(HostdConfig config, Connector connector);
  ~Hostd();
  Hostd(const Hostd&) = delete;
  Hostd& operator=(const Hostd&) = delete;

  // Opens the device, starts the host stack, listens. EADDRINUSE: another hostd serves the socket.
  [[nodiscard]] Status start();
  // Serves until request_stop(), then ends in order: helpers are told and reaped, the device is stopped, the socket
  // removed.
  void run();
  // Async-signal-safe; callable from any thread.
  void request_stop();

 private:
  struct EndingHelper {
    HelperProcess process;
    SteadyTime kill_at;
    EventLoop::WatchId watch = 0;
    bool killed = false;
  };
  // What a request is answered with. Borrowed descriptors stay their owner's; owned ones are closed after sending.
  struct Answer {
    Reply reply;
    std::vector<int> borrowed;
    UniqueFd owned;
  };

  // hostd.cc: life cycle
  [[nodiscard]] Status claim_socket();
  [[nodiscard]] Status await_device();
  [[nodiscard]] Status listen();
  [[nodiscard]] Status open_device();
  void watch_device();
  void device_lost();
  void stop_everything();
  void housekeeping();
  [[nodiscard]] int next_timeout_ms() const;
  void run_device_timers(SteadyTime now);
  void check_orphans(SteadyTime now);
  void reap_helpers(SteadyTime now);

  // hostd.cc: connections
  void accept_connections();
  [[nodiscard]] bool has_room_for(uid_t uid) const;
  void refuse(UniqueFd socket, uid_t uid);
  void shed_connection();
  void resume_listening();
  Connection* add_connection(UniqueFd socket, const ucred& peer, size_t outgoing_max);
  void handle_connection(uint64_t connection_id, uint32_t epoll_events);
  void update_watch(Connection& connection);
  void close_connection(uint64_t connection_id);
  void retry_connections(SteadyTime now);

  // hostd.cc: stacks
  [[nodiscard]] Result<StackRecord*> make_stack(uint32_t stack_id, const ucred& owner);
  [[nodiscard]] Status start_helper(StackRecord& record);
  void doom_stack(uint32_t stack_id, StackCondition condition);
  void free_stack(uint32_t stack_id, StackCondition condition, bool device_alive);
  void tell_helper(const StackRecord& record, HelperEvent event, uint32_t endpoint = 0, uint32_t generation = 0);
  void helper_ended(uint32_t stack_id);
  void last_close(const Token& token);
  void attach(Connection& connection, StackRecord& record);
  void detach(uint32_t stack_id);

  // hostd_requests.cc
  void serve(Connection& connection, Incoming& incoming);
  void answer_request(Connection& connection, const Request& request, int foreign_fd, Answer& answer);
  void answer_error(Answer& answer, const Error& error);
  [[nodiscard]] StackRecord* stack_of(Connection& connection, const Request& request, Answer& answer);
  void serve_stack_create(Connection& connection, Answer& answer);
  void serve_attach(Connection& connection, int token_fd, Answer& answer);
  void serve_port_acquire(const Request& request, StackRecord& record, Answer& answer);
  void serve_port_change(const Request& request, StackRecord& record, Answer& answer);
  void serve_token_create(const Request& request, StackRecord& record, Answer& answer);
  void serve_helper_done(StackRecord& record, Answer& answer);
  void serve_status(Answer& answer);
  void grant_to(StackRecord& record, bool must_format, Answer& answer);
  void suspect_device(const Error& error);
  void check_device(SteadyTime now);

  // hostd_status.cc
  [[nodiscard]] std::string status_text();

  // Of a limit, what one user may have: half, so that others find room; hostd's own user everything.
  [[nodiscard]] static size_t share_of(uid_t uid, size_t limit);
  void log(const std::string& line) const;
  // A line that clients can cause at will: at most kClientLinesPerSecond are written.
  void log_of_client(const std::string& line);

  HostdConfig config_;
  HostLimits limits_;
  SteadyTime client_lines_since_{};
  uint32_t client_lines_count_ = 0;  // in the second that began then
  EventLoop loop_;
  DeviceSession device_;
  TokenRegistry tokens_;
  UniqueFd stop_event_;
  std::atomic<bool> stop_{false};
  UniqueFd listener_;
  bool owns_socket_file_ = false;
  EventLoop::WatchId listener_watch_ = 0;
  UniqueFd spare_fd_;                   // given up for a moment when descriptors run out at accept
  bool listening_paused_ = false;       // until there is a spare descriptor again
  std::optional<SteadyTime> retry_at_;  // when to try the connections of which must_wait() is true
  EventLoop::WatchId device_watch_ = 0;
  bool device_suspect_ = false;
  SteadyTime device_check_at_{};
  uint64_t device_checked_ns_ = 0;  // device time of the last check
  std::optional<SteadyTime> reconnect_at_;
  std::optional<SteadyTime> host_stack_at_;  // when stack 0 may be started again
  std::chrono::milliseconds host_stack_pause_{100};
  uint64_t next_connection_id_ = 1;
  uint32_t next_stack_id_ = kHostStackId + 1;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::set<uint64_t> closing_;  // connections to close at the end of the turn
  std::map<uint32_t, std::unique_ptr<StackRecord>> stacks_;
  std::map<uint32_t, StackCondition> doomed_;
  std::list<EndingHelper> ending_helpers_;
};

}  // namespace postern::hostd
