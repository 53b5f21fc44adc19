// hostd's life cycle, connections and stacks: see hostd.h. Handlers only mark what must go; housekeeping() frees it at
// the end of a turn, so that nothing disappears under a caller.
#include "driver/hostd.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "driver/foreign_fd_closer.h"

namespace postern::hostd {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr size_t kApplicationOutgoingMax = 64;
constexpr size_t kHelperOutgoingMax = 2 * kMaxTokensPerStack + 64;
constexpr int kMessagesPerTurn = 32;  // of one connection, so that a flood leaves room for the others
constexpr milliseconds kHostStackPauseMost{5000};
constexpr milliseconds kDevicePollInterval{1000};
constexpr milliseconds kBusyDevicePatience{2000};
constexpr milliseconds kRetryInterval{20};  // for what no descriptor tells: spare descriptors, ETOOMANYREFS
constexpr uint32_t kClientLinesPerSecond = 10;

ResourceManager::Config manager_config(const HostdConfig& config) {
  ResourceManager::Config manager;
  manager.address = config.stack.address;
  manager.mtu_bytes = config.stack.mtu_bytes;
  manager.ports = config.ports;
  return manager;
}

// As many descriptors as the system lets us have: each stack needs about ten, each token one.
uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return kMaxTokens;
  }
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{ENAMETOOLONG,
                 fmt::format("socket path '{}' has {} bytes, expected 1 to {}: use a shorter run directory", path,
                             path.size(), sizeof address.sun_path - 1)};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

Hostd::Hostd(HostdConfig config, Connector connector)
    : config_(std::move(config)),
      device_(std::move(connector), manager_config(config_)),
      tokens_(loop_, config_.stack.host, [this](const Token& token) { last_close(token); }),
      stop_event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      spare_fd_(UniqueFd::duplicate_of(stop_event_.get())) {}

// A quarter for stacks, a quarter for connections, a quarter for tokens; the rest for what is on its way.
HostLimits HostLimits::for_descriptors(uint64_t descriptor_count) {
  const uint64_t quarter = descriptor_count / 4;
  HostLimits limits;
  limits.connections = std::clamp<uint64_t>(quarter, 8, kMaxConnections);
  limits.stacks = std::clamp<uint64_t>(quarter / 10, 4, kMaxStacks);
  limits.tokens = std::clamp<uint64_t>(quarter, 8, kMaxTokens);
  return limits;
}

size_t Hostd::share_of(uid_t uid, size_t limit) { return uid == geteuid() ? limit : limit / 2; }

bool Hostd::has_room_for(uid_t uid) const {
  const auto count =
      static_cast<size_t>(std::count_if(connections_.begin(), connections_.end(), [uid](const auto& entry) {
        return entry.second->credentials.uid == uid && !entry.second->is_helper;
      }));
  return connections_.size() < limits_.connections + stacks_.size() && count < share_of(uid, limits_.connections) &&
         !foreign_closes_held_up(uid);
}

Hostd::~Hostd() { stop_everything(); }

void Hostd::log(const std::string& line) const { fmt::print(stderr, "hostd {}: {}\n", config_.stack.host, line); }

void Hostd::log_of_client(const std::string& line) {
  const SteadyTime now = Clock::now();
  if (now - client_lines_since_ >= std::chrono::seconds(1)) {
    client_lines_since_ = now;
    client_lines_count_ = 0;
  }
  if (++client_lines_count_ <= kClientLinesPerSecond) {
    log(line);
  }
}

void Hostd::request_stop() {
  stop_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  (void)!write(stop_event_.get(), &one, sizeof one);
}

// --- life cycle ---

Status Hostd::start() {
  limits_ = HostLimits::for_descriptors(raise_descriptor_limit());
  if (Status status = claim_socket(); !status) {
    return status;
  }
  if (Status status = await_device(); !status) {
    return status;
  }
  if (config_.host_stack) {
    Result<StackRecord*> host = make_stack(kHostStackId, ucred{getpid(), geteuid(), getegid()});
    if (!host) {
      return host.error();
    }
  }
  Result<EventLoop::WatchId> watch = loop_.watch(stop_event_.get(), EPOLLIN, [this](uint32_t) {
    uint64_t count = 0;
    (void)!read(stop_event_.get(), &count, sizeof count);
  });
  if (!watch) {
    return watch.error();
  }
  return listen();
}

// Before the device is touched, so that a second hostd does not disturb the first one's.
Status Hostd::claim_socket() {
  Result<sockaddr_un> address = socket_address(config_.socket_path);
  if (!address) {
    return address.error();
  }
  const UniqueFd probe(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) {
    return Error{errno, fmt::format("cannot make a socket: {}", std::strerror(errno))};
  }
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0 || errno == EAGAIN) {
    return Error{EADDRINUSE, fmt::format("another hostd serves '{}': stop it (postern down) or use another --socket",
                                         config_.socket_path)};
  }
  if (errno == ECONNREFUSED) {
    unlink(config_.socket_path.c_str());  // left by a hostd that was killed
  }
  return {};
}

Status Hostd::await_device() {
  const auto begun = Clock::now();
  for (;;) {
    const Status status = open_device();
    if (status.ok() || stop_.load(std::memory_order_acquire)) {
      return status;
    }
    // ENODEV: the simulator may not have noticed yet that the hostd before this one is gone. Any other answer will not
    // change by waiting.
    const bool absent = status.error().code == ENOENT || status.error().code == ECONNREFUSED;
    const auto patience = absent                          ? config_.device_wait
                          : status.error().code == ENODEV ? std::min(config_.device_wait, kBusyDevicePatience)
                                                          : milliseconds(0);
    if (Clock::now() - begun >= patience) {
      return status;
    }
    std::this_thread::sleep_for(milliseconds(device_.backoff_ms()));
  }
}

Status Hostd::listen() {
  Result<sockaddr_un> address = socket_address(config_.socket_path);
  if (!address) {
    return address.error();
  }
  listener_.reset(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // As root, hostd serves all users of the simulated host; otherwise only its own.
  const mode_t old_mask = umask(geteuid() == 0 ? 0111 : 0177);
  const bool bound = bind(listener_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0;
  const int bind_errno = errno;
  umask(old_mask);
  if (!bound) {
    return Error{bind_errno, fmt::format("cannot bind '{}': {}; does its directory exist and may you write there?",
                                         config_.socket_path, std::strerror(bind_errno))};
  }
  owns_socket_file_ = true;
  if (::listen(listener_.get(), 128) != 0) {
    return Error{errno, fmt::format("cannot listen on '{}': {}", config_.socket_path, std::strerror(errno))};
  }
  Result<EventLoop::WatchId> watch = loop_.watch(listener_.get(), EPOLLIN, [this](uint32_t) { accept_connections(); });
  if (!watch) {
    return watch.error();
  }
  listener_watch_ = *watch;
  return {};
}

Status Hostd::open_device() {
  if (Status status = device_.open(); !status) {
    return status;
  }
  reconnect_at_.reset();
  device_check_at_ = Clock::now() + kDevicePollInterval;
  watch_device();
  log(fmt::format("device ready, {} VIs, {} Mb/s", device_.manager().device().vi_count,
                  device_.manager().device().link_speed_mbps));
  return {};
}

void Hostd::watch_device() {
  const int fd = device_.function().connection_fd();
  if (fd < 0) {
    return;
  }
  Result<EventLoop::WatchId> watch = loop_.watch(fd, EPOLLIN | EPOLLRDHUP, [this](uint32_t) {
    if (device_.is_gone()) {
      device_suspect_ = true;
    }
  });
  device_watch_ = watch ? *watch : 0;
}

// A card that is gone or has been reset still has a transport that looks well. Only while the device's clock runs: one
// that stands still does not answer, and asking it would hold up everybody.
void Hostd::check_device(SteadyTime now) {
  if (!device_.is_open() || now < device_check_at_) {
    return;
  }
  device_check_at_ = now + kDevicePollInterval;
  const uint64_t device_ns = device_.function().clock().now_ns();
  if (std::exchange(device_checked_ns_, device_ns) == device_ns) {
    return;
  }
  if (Status status = device_.manager().check_device(); !status) {
    log(status.error().message);
    device_suspect_ = true;
  }
}

// Everything that hangs on the device dies with it; hostd itself stays and tries to get it back.
void Hostd::device_lost() {
  device_suspect_ = false;
  log(fmt::format("device lost; {} stacks end", stacks_.size()));
  loop_.unwatch(std::exchange(device_watch_, 0));
  while (!stacks_.empty()) {
    free_stack(stacks_.begin()->first, StackCondition::kDeviceLost, false);
  }
  doomed_.clear();
  device_.abandon();
  reconnect_at_ = Clock::now() + milliseconds(device_.backoff_ms());
}

void Hostd::run() {
  while (!stop_.load(std::memory_order_acquire)) {
    loop_.turn(next_timeout_ms());
    housekeeping();
  }
  stop_everything();
}

void Hostd::stop_everything() {
  loop_.unwatch(std::exchange(listener_watch_, 0));
  while (!stacks_.empty()) {
    free_stack(stacks_.begin()->first, StackCondition::kFreed, true);
  }
  loop_.unwatch(std::exchange(device_watch_, 0));
  for (const auto& [id, connection] : connections_) {
    loop_.unwatch(connection->watch);
  }
  connections_.clear();
  closing_.clear();
  const auto deadline = Clock::now() + config_.helper_grace + milliseconds(500);
  while (!ending_helpers_.empty() && Clock::now() < deadline) {
    loop_.turn(20);
    reap_helpers(Clock::now());
  }
  ending_helpers_.clear();  // kills and reaps the rest
  device_.close();
  if (std::exchange(owns_socket_file_, false)) {
    unlink(config_.socket_path.c_str());
  }
  listener_.reset();
}

void Hostd::housekeeping() {
  const SteadyTime now = Clock::now();
  check_orphans(now);
  check_device(now);
  retry_connections(now);
  resume_listening();
  while (!closing_.empty() || !doomed_.empty() || device_suspect_) {
    if (device_suspect_) {
      device_lost();
    } else if (!closing_.empty()) {
      close_connection(*closing_.begin());
    } else {
      const auto [stack_id, condition] = *doomed_.begin();
      free_stack(stack_id, condition, true);
    }
  }
  run_device_timers(now);
  reap_helpers(now);
}

int Hostd::next_timeout_ms() const {
  SteadyTime next = Clock::now() + kDevicePollInterval;
  const auto consider = [&next](const std::optional<SteadyTime>& time) {
    if (time && *time < next) {
      next = *time;
    }
  };
  consider(reconnect_at_);
  consider(retry_at_);
  consider(listening_paused_ ? std::optional<SteadyTime>(Clock::now() + kRetryInterval) : std::nullopt);
  consider(device_.is_open() ? host_stack_at_ : std::nullopt);
  for (const EndingHelper& helper : ending_helpers_) {
    consider(helper.killed ? std::optional<SteadyTime>() : helper.kill_at);
  }
  const auto left = std::chrono::duration_cast<milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left + 1, 0, 1000));
}

void Hostd::run_device_timers(SteadyTime now) {
  if (!device_.is_open() && reconnect_at_ && now >= *reconnect_at_) {
    if (Status status = open_device(); !status) {
      reconnect_at_ = Clock::now() + milliseconds(device_.backoff_ms());
      return;
    }
    host_stack_at_ = now;
  }
  if (device_.is_open() && config_.host_stack && !stacks_.contains(kHostStackId) && host_stack_at_ &&
      now >= *host_stack_at_) {
    host_stack_at_.reset();
    Result<StackRecord*> host = make_stack(kHostStackId, ucred{getpid(), geteuid(), getegid()});
    if (!host) {
      log(fmt::format("host stack: {}", host.error().message));
      host_stack_pause_ = std::min(host_stack_pause_ * 2, kHostStackPauseMost);
      host_stack_at_ = now + host_stack_pause_;
    }
  }
}

void Hostd::check_orphans(SteadyTime now) {
  for (const auto& [stack_id, record] : stacks_) {
    if (record->orphaned_at && tokens_.count(stack_id) == 0 && now - *record->orphaned_at > config_.orphan_limit) {
      log(fmt::format("stack {}: its helper did not finish in time", stack_id));
      doom_stack(stack_id, StackCondition::kFreed);
    }
  }
}

void Hostd::reap_helpers(SteadyTime now) {
  for (auto helper = ending_helpers_.begin(); helper != ending_helpers_.end();) {
    int how = 0;
    if (helper->process.reap(how)) {
      loop_.unwatch(helper->watch);
      helper = ending_helpers_.erase(helper);
      continue;
    }
    if (now >= helper->kill_at && !helper->killed) {
      helper->killed = true;
      helper->process.kill();
    }
    ++helper;
  }
}

// --- connections ---

void Hostd::accept_connections() {
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      if (errno == EMFILE || errno == ENFILE) {
        shed_connection();
      }
      return;
    }
    ucred peer{0, ~uid_t{0}, ~gid_t{0}};
    socklen_t peer_bytes = sizeof peer;
    if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) != 0 || !has_room_for(peer.uid)) {
      refuse(std::move(socket), peer.uid);
      continue;
    }
    (void)add_connection(std::move(socket), peer, kApplicationOutgoingMax);
  }
}

// No descriptor is left: uses the spare one to refuse the connection, which would otherwise stay readable for ever.
void Hostd::shed_connection() {
  spare_fd_.reset();
  refuse(UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)), ~uid_t{0});
  listening_paused_ = true;
  loop_.change(listener_watch_, 0);
  log_of_client("out of descriptors: a connection was refused; raise the limit of open files");
}

// The refused socket gives its descriptor back when the closer is done with it.
void Hostd::resume_listening() {
  if (!listening_paused_) {
    return;
  }
  if (!spare_fd_.valid()) {
    spare_fd_ = UniqueFd::duplicate_of(stop_event_.get());
  }
  if (spare_fd_.valid()) {
    listening_paused_ = false;
    loop_.change(listener_watch_, EPOLLIN);
  }
}

// The client sees a hang-up. It may have sent descriptors already, so the socket is as foreign as they are.
void Hostd::refuse(UniqueFd socket, uid_t uid) {
  if (socket.valid()) {
    shutdown(socket.get(), SHUT_RDWR);
    close_foreign(socket.release(), uid);
  }
}

Connection* Hostd::add_connection(UniqueFd socket, const ucred& peer, size_t outgoing_max) {
  const uint64_t id = next_connection_id_++;
  auto connection = std::make_unique<Connection>(id, std::move(socket), peer, outgoing_max);
  Result<EventLoop::WatchId> watch =
      loop_.watch(connection->fd(), EPOLLIN, [this, id](uint32_t events) { handle_connection(id, events); });
  if (!watch) {
    return nullptr;
  }
  connection->watch = *watch;
  return connections_.emplace(id, std::move(connection)).first->second.get();
}

void Hostd::handle_connection(uint64_t connection_id, uint32_t epoll_events) {
  const auto found = connections_.find(connection_id);
  if (found == connections_.end() || closing_.contains(connection_id)) {
    return;
  }
  Connection& connection = *found->second;
  if ((epoll_events & EPOLLOUT) != 0 && !connection.flush()) {
    closing_.insert(connection_id);
    return;
  }
  for (int i = 0; i < kMessagesPerTurn && !closing_.contains(connection_id); ++i) {
    Incoming incoming = connection.receive();
    if (incoming.outcome == Incoming::Outcome::kNothing) {
      break;
    }
    if (incoming.outcome == Incoming::Outcome::kRequest) {
      serve(connection, incoming);
    } else {
      closing_.insert(connection_id);
      if (!incoming.hang_up) {
        log_of_client(fmt::format("connection of process {} closed: {}", connection.credentials.pid, incoming.reason));
      }
    }
    connection.close_descriptors(incoming);
    if (!incoming.fds.empty() && foreign_closes_held_up(connection.credentials.uid)) {
      closing_.insert(connection_id);
      log_of_client(fmt::format("connection of process {} closed: it sends descriptors that cannot be closed",
                                connection.credentials.pid));
    }
  }
  update_watch(connection);
}

void Hostd::update_watch(Connection& connection) {
  loop_.change(connection.watch, connection.wanted_events());
  if (connection.must_wait() && !retry_at_) {
    retry_at_ = Clock::now() + kRetryInterval;
  }
}

void Hostd::retry_connections(SteadyTime now) {
  if (!retry_at_ || now < *retry_at_) {
    return;
  }
  retry_at_.reset();
  for (const auto& [id, connection] : connections_) {
    if (connection->must_wait() && !connection->flush()) {
      closing_.insert(id);
    }
    update_watch(*connection);
  }
}

void Hostd::close_connection(uint64_t connection_id) {
  closing_.erase(connection_id);
  const auto found = connections_.find(connection_id);
  if (found == connections_.end()) {
    return;
  }
  const std::unique_ptr<Connection> connection = std::move(found->second);
  connections_.erase(found);
  loop_.unwatch(connection->watch);
  if (connection->is_helper) {
    // Its process follows; a helper that closed its control socket is of no use any more.
    for (const uint32_t stack_id : connection->stacks) {
      doom_stack(stack_id, StackCondition::kHelperDied);
    }
    return;
  }
  for (const uint32_t stack_id : connection->stacks) {
    detach(stack_id);
  }
}

// --- stacks ---

Result<StackRecord*> Hostd::make_stack(uint32_t stack_id, const ucred& owner) {
  if (stop_.load(std::memory_order_acquire)) {
    return Error{ENETDOWN, fmt::format("host {} is shutting down", config_.stack.host)};
  }
  if (!device_.is_open()) {
    return Error{ENETDOWN, fmt::format("host {} has no device: {}; wait or restart the testbed", config_.stack.host,
                                       device_.last_error().empty() ? "it was lost" : device_.last_error())};
  }
  Result<std::unique_ptr<StackRecord>> made = StackRecord::create(device_, config_.stack, stack_id);
  if (!made) {
    suspect_device(made.error());
    return made.error();
  }
  StackRecord& record = *stacks_.emplace(stack_id, std::move(made).value()).first->second;
  record.uid = owner.uid;
  record.gid = owner.gid;
  record.creator_pid = owner.pid;
  if (!config_.helper_path.empty()) {
    if (Status status = start_helper(record); !status) {
      free_stack(stack_id, StackCondition::kFreed, true);
      return status.error();
    }
  }
  return &record;
}

Status Hostd::start_helper(StackRecord& record) {
  const uint32_t stack_id = record.grant.stack_id;
  Result<HelperProcess> helper = HelperProcess::start({config_.helper_path, record.uid, record.gid});
  if (!helper) {
    return helper.error();
  }
  record.helper = std::move(helper).value();
  Connection* connection = add_connection(record.helper.take_control(),
                                          ucred{record.helper.pid(), record.uid, record.gid}, kHelperOutgoingMax);
  if (connection == nullptr) {
    return Error{EMFILE, "no descriptor is left for another helper: raise hostd's limit of open files"};
  }
  record.helper_connection = connection->id;
  connection->greeted = true;
  connection->is_helper = true;
  connection->stacks.insert(stack_id);
  Result<EventLoop::WatchId> watch =
      loop_.watch(record.helper.pidfd(), EPOLLIN, [this, stack_id](uint32_t) { helper_ended(stack_id); });
  if (!watch) {
    return watch.error();
  }
  record.helper_watch = *watch;

  HelperMessage start;
  start.event = HelperEvent::kStart;
  start.grant = record.grant;
  start.grant.must_format = record.grant.is_host_stack;
  int fds[kGrantDescriptors];
  record.fill_descriptors(fds);
  if (!connection->send(&start, sizeof start, fds, kGrantDescriptors)) {
    return Error{EPIPE, fmt::format("the stack helper '{}' ended at once", config_.helper_path)};
  }
  return {};
}

void Hostd::doom_stack(uint32_t stack_id, StackCondition condition) {
  if (stacks_.contains(stack_id)) {
    doomed_.emplace(stack_id, condition);
  }
}

// Order: the VI first (no DMA and no event afterwards), then tokens and descriptors, last the helper, which gets a
// grace period to end by itself.
void Hostd::free_stack(uint32_t stack_id, StackCondition condition, bool device_alive) {
  doomed_.erase(stack_id);
  const auto found = stacks_.find(stack_id);
  if (found == stacks_.end()) {
    return;
  }
  const std::unique_ptr<StackRecord> record = std::move(found->second);
  stacks_.erase(found);
  tell_helper(*record, condition == StackCondition::kDeviceLost ? HelperEvent::kDeviceLost : HelperEvent::kShutdown);
  if (device_alive) {
    if (Status status = record->release(condition); !status) {
      log(fmt::format("stack {}: {}", stack_id, status.error().message));
      suspect_device(status.error());
    }
  } else {
    record->forget(condition);
  }
  tokens_.drop_stack(stack_id);
  for (const auto& [id, connection] : connections_) {
    connection->stacks.erase(stack_id);
  }
  loop_.unwatch(record->helper_watch);
  if (record->helper_connection != 0) {
    closing_.insert(record->helper_connection);
  }
  if (record->helper.pid() > 0) {
    EndingHelper& ending =
        ending_helpers_.emplace_back(EndingHelper{std::move(record->helper), Clock::now() + config_.helper_grace});
    Result<EventLoop::WatchId> watch = loop_.watch(ending.process.pidfd(), EPOLLIN, [](uint32_t) {});
    ending.watch = watch ? *watch : 0;
  }
  if (stack_id == kHostStackId && condition == StackCondition::kHelperDied) {
    host_stack_at_ = Clock::now() + host_stack_pause_;
    host_stack_pause_ = std::min(host_stack_pause_ * 2, kHostStackPauseMost);
  }
}

void Hostd::tell_helper(const StackRecord& record, HelperEvent event, uint32_t endpoint, uint32_t generation) {
  const auto found = connections_.find(record.helper_connection);
  if (found == connections_.end()) {
    return;
  }
  HelperMessage message;
  message.event = event;
  message.endpoint = endpoint;
  message.generation = generation;
  if (!found->second->send(&message, sizeof message, nullptr, 0)) {
    closing_.insert(found->first);
  }
  update_watch(*found->second);
}

void Hostd::helper_ended(uint32_t stack_id) {
  const auto found = stacks_.find(stack_id);
  int how = 0;
  if (found == stacks_.end() || !found->second->helper.reap(how)) {
    return;
  }
  log_of_client(fmt::format("stack {}: helper ended with {}", stack_id, describe_exit(how)));
  loop_.unwatch(std::exchange(found->second->helper_watch, 0));
  doom_stack(stack_id, StackCondition::kHelperDied);
}

void Hostd::last_close(const Token& token) {
  const auto found = stacks_.find(token.stack_id);
  if (found == stacks_.end()) {
    return;
  }
  if (found->second->orphaned_at) {
    found->second->orphaned_at = Clock::now();  // the time limit runs from the last descriptor
  }
  tell_helper(*found->second, HelperEvent::kEndpointClosed, token.endpoint, token.generation);
}

void Hostd::attach(Connection& connection, StackRecord& record) {
  if (connection.is_helper || !connection.stacks.insert(record.grant.stack_id).second) {
    return;
  }
  ++record.attached_count;
  if (record.orphaned_at) {
    record.orphaned_at.reset();
    tell_helper(record, HelperEvent::kAdopted);
  }
}

void Hostd::detach(uint32_t stack_id) {
  const auto found = stacks_.find(stack_id);
  if (found == stacks_.end() || --found->second->attached_count > 0) {
    return;
  }
  StackRecord& record = *found->second;
  record.orphaned_at = Clock::now();
  // Without a socket there is nothing that a helper could end, and perhaps no formatted stack to look at.
  if (record.helper_connection == 0 || !record.had_token) {
    doom_stack(stack_id, StackCondition::kFreed);
    return;
  }
  tell_helper(record, HelperEvent::kOrphaned);
}

}  // namespace postern::hostd
