// Process state, examination of unknown descriptors, fork. See process.h.
#include "stack/preload/process.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <new>
#include <utility>

#include "stack/preload/epoll_set.h"
#include "stack/preload/promotion.h"

namespace postern::preload {
namespace {

pthread_mutex_t slow_path_mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
sigset_t mask_before_fork;  // under slow_path_mutex
EndpointFd* free_endpoints = nullptr;
std::atomic_flag free_endpoints_lock = ATOMIC_FLAG_INIT;

// A few instructions under a spin lock with signals held off.
class FreeListLock {
 public:
  FreeListLock() {
    while (free_endpoints_lock.test_and_set(std::memory_order_acquire)) {
      ::sched_yield();
    }
  }
  ~FreeListLock() { free_endpoints_lock.clear(std::memory_order_release); }

 private:
  SignalHold hold_;
};

// Where the library's own descriptors begin, far from the numbers that the application gets.
int lowest_high_number() {
  const long limit = ::sysconf(_SC_OPEN_MAX);
  return limit > 512 ? static_cast<int>(limit < FdTable::kMaxFds ? limit : FdTable::kMaxFds) - 200 : 64;
}

}  // namespace

uint64_t monotonic_ns() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// --- EndpointFd ------------------------------------------------------------------------------------------------------

EndpointFd* EndpointFd::allocate(AttachedStack* stack, int endpoint, uint32_t generation) {
  EndpointFd* object = nullptr;
  {
    FreeListLock lock;
    object = free_endpoints;
    if (object != nullptr) {
      free_endpoints = object->next_free_;
    }
  }
  if (object == nullptr) {
    object = new EndpointFd();
  }
  object->stack = stack;
  object->endpoint = endpoint;
  object->generation = generation;
  object->stream = stack != nullptr && stack->stack().socket_type(endpoint) == SOCK_STREAM;
  return object;
}

void EndpointFd::on_unreferenced() {
  FreeListLock lock;
  next_free_ = free_endpoints;
  free_endpoints = this;
}

stack::Stack* EndpointFd::live(int* error) const {
  if (stack == nullptr || !stack->check_alive()) {
    *error = closing ? -EBADF : -ENETDOWN;
    return nullptr;
  }
  if (stack->stack().generation(endpoint) != generation) {
    *error = stack->stack().is_down() ? -ENETDOWN : -EBADF;
    return nullptr;
  }
  return &stack->stack();
}

uint32_t EndpointFd::flags() const { return stack == nullptr ? 0 : stack->stack().user_word(endpoint); }

void EndpointFd::change_flags(uint32_t set, uint32_t clear) {
  if (stack != nullptr) {
    stack->stack().set_user_word(endpoint, (stack->stack().user_word(endpoint) & ~clear) | set);
  }
}

uint32_t EndpointFd::readiness() const {
  int error = 0;
  stack::Stack* alive = live(&error);
  if (alive == nullptr || alive->is_down()) {
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLERR | POLLHUP | POLLRDHUP;
  }
  return alive->readiness(endpoint);
}

// --- Process ---------------------------------------------------------------------------------------------------------

Process& Process::get() {
  alignas(Process) static unsigned char storage[sizeof(Process)];
  static Process* instance = new (storage) Process();
  return *instance;
}

Process::Process() {
  std::string complaints;
  options_ = read_options([](const char* variable) -> const char* { return ::getenv(variable); }, &complaints);
  set_log_level(static_cast<LogLevel>(options_.log_level));
  for (size_t start = 0, end = 0; (end = complaints.find('\n', start)) != std::string::npos; start = end + 1) {
    log(LogLevel::kWarning, "%s", complaints.substr(start, end - start).c_str());
  }
  pid_ = ::getpid();
  accelerating_ = options_.enabled != 0 && !options_.hostd.empty();
  if (accelerating_) {
    client_ = make_client();
    ::pthread_atfork(&Process::before_fork, &Process::after_fork_in_parent, &Process::after_fork_in_child);
  }
  if (options_.help != 0) {
    const std::string text = describe_options(options_);
    [[maybe_unused]] const ssize_t written = real().write(STDERR_FILENO, text.data(), text.size());
  }
}

hostd::HostdClient* Process::make_client() {
  auto* client = new hostd::HostdClient(options_.hostd, static_cast<int>(options_.connect_timeout_ms));
  client->set_token_provider(&Process::provide_token, this);
  client->set_descriptor_mover([](int fd) { return get().adopt_internal(fd); });
  return client;
}

Process::SlowPathLock::SlowPathLock() {
  ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_);
  ::pthread_mutex_lock(&slow_path_mutex);
}

Process::SlowPathLock::~SlowPathLock() {
  ::pthread_mutex_unlock(&slow_path_mutex);
  ::pthread_setcancelstate(cancel_state_, nullptr);
}

bool Process::in_vfork_child() const { return ::getpid() != pid_; }

// Everything that another thread could be in the middle of changing is locked over the fork. Signals are held off: a
// handler's calls would want the same locks.
void Process::before_fork() {
  sigset_t all;
  sigset_t saved;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &saved);
  ::pthread_mutex_lock(&slow_path_mutex);
  mask_before_fork = saved;
  EpollSet::before_fork();
  while (free_endpoints_lock.test_and_set(std::memory_order_acquire)) {
    ::sched_yield();
  }
}

void Process::after_fork_in_parent() {
  const sigset_t saved = mask_before_fork;
  free_endpoints_lock.clear(std::memory_order_release);
  EpollSet::after_fork(false);
  ::pthread_mutex_unlock(&slow_path_mutex);
  ::pthread_sigmask(SIG_SETMASK, &saved, nullptr);
}

void Process::after_fork_in_child() {
  // The forking thread holds the mutex; its owner field names a thread that does not exist here.
  pthread_mutex_t fresh = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
  slow_path_mutex = fresh;
  free_endpoints_lock.clear();
  Process& process = get();
  process.pid_ = ::getpid();
  ++process.fork_count_;
  // The child makes its new sockets in the parent's stack too (hostd attaches it by a token), or in a stack of its own
  // if it holds no token.
  process.own_stack_inherited_ = process.own_stack_ != nullptr;
  EpollSet::after_fork(true);
  const sigset_t saved = mask_before_fork;
  ::pthread_sigmask(SIG_SETMASK, &saved, nullptr);
}

// In a forked child hostd wants a token of a stack before it answers further requests for it: the own stack's first,
// then one of each other stack that the child has descriptors of.
int Process::provide_token(void* context, int index) {
  auto* process = static_cast<Process*>(context);
  AttachedStack* const own = process->own_stack_;
  const auto token_of = [&](const AttachedStack* stack) {
    return stack != nullptr && !stack->is_dead() ? process->find_token(stack) : -1;
  };
  int found_count = 0;
  if (const int token = token_of(own); token >= 0 && found_count++ == index) {
    return token;
  }
  for (size_t i = 0; i < process->stack_count(); ++i) {
    if (const int token = process->stacks_[i] == own ? -1 : token_of(process->stacks_[i]);
        token >= 0 && found_count++ == index) {
      return token;
    }
  }
  return -1;
}

// A descriptor that is a token of the stack, or -1.
int Process::find_token(const AttachedStack* stack) const {
  for (int fd = 0; fd < fds_.limit(); ++fd) {
    const FdLookup found = fds_.lookup(fd);
    if (found.kind != FdKind::kObject || found.object.get()->type() != FdObjectType::kEndpoint) {
      continue;
    }
    const auto* endpoint = static_cast<const EndpointFd*>(found.object.get());
    if (endpoint->stack == stack) {
      return fd;
    }
  }
  return -1;
}

void Process::note_close(int fd) {
  const FdLookup found = fds_.lookup(fd);
  if (found.kind == FdKind::kObject && found.object.get()->type() == FdObjectType::kEndpoint) {
    last_close_ns_.store(monotonic_ns(), std::memory_order_relaxed);
  }
}

bool Process::closed_recently() const {
  const uint64_t last_ns = last_close_ns_.load(std::memory_order_relaxed);
  return last_ns != 0 && monotonic_ns() - last_ns < 1'000'000'000;
}

bool Process::is_internal(int fd) const {
  if (fd < 0 || !accelerating_) {
    return false;
  }
  if (client_.load(std::memory_order_acquire)->control_fd() == fd) {
    return true;
  }
  return fds_.is_internal(fd);
}

int Process::adopt_internal(int fd) {
  fd = move_high(fd);
  note_internal(fd);
  return fd;
}

int Process::move_high(int fd) {
  if (fd < 0) {
    return fd;
  }
  const auto moved = static_cast<int>(::syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest_high_number()));
  if (moved >= 0) {
    ::syscall(SYS_close, fd);
    return moved;
  }
  return fd;
}

void Process::note_internal(int fd) { fds_.set_internal(fd); }

void Process::close_internal(int fd) {
  fds_.set_unknown(fd);
  ::syscall(SYS_close, fd);
}

AttachedStack* Process::find_stack(uint32_t stack_id) const {
  for (size_t i = 0; i < stack_count(); ++i) {
    if (stacks_[i]->stack_id() == stack_id && stacks_[i]->check_alive()) {
      return stacks_[i];
    }
  }
  return nullptr;
}

AttachedStack* Process::add_stack(hostd::StackAttachment& attachment) {
  const size_t index = stack_count();
  if (index == kMaxStacks) {
    log(LogLevel::kError, "more than %zu stacks in one process; the descriptor is unusable", kMaxStacks);
    return nullptr;
  }
  auto attached =
      AttachedStack::create(attachment, client_, false, 5000, [](int fd) { return Process::get().move_high(fd); });
  if (!attached.ok()) {
    log(LogLevel::kError, "%s", attached.error().message.c_str());
    return nullptr;
  }
  AttachedStack* stack = attached.value().release();
  note_internal(stack->wake_fd());
  note_internal(stack->kick_fd());
  keep_spare(*stack);
  stacks_[index] = stack;
  stack_count_.store(index + 1, std::memory_order_release);
  return stack;
}

// Any open file will do.
void Process::keep_spare(const AttachedStack& stack) {
  if (spare_fd_ < 0) {
    spare_fd_ = static_cast<int>(::syscall(SYS_fcntl, stack.wake_fd(), F_DUPFD_CLOEXEC, lowest_high_number()));
    if (spare_fd_ >= 0) {
      note_internal(spare_fd_);
    }
  }
}

Result<int> Process::create_token(const AttachedStack& stack, int endpoint, uint32_t generation, int reserved) {
  SlowPathLock lock;
  if (reserved >= 0) {
    ::syscall(SYS_close, reserved);
  }
  if (spare_fd_ >= 0) {
    close_internal(std::exchange(spare_fd_, -1));
  }
  auto token = client().create_token(stack.stack_id(), static_cast<uint32_t>(endpoint), generation);
  keep_spare(stack);
  return token;
}

AttachedStack* Process::own_stack() {
  if (own_stack_inherited_ && find_token(own_stack_) < 0) {
    own_stack_ = nullptr;
    own_stack_inherited_ = false;
  }
  if (own_stack_ != nullptr && own_stack_->check_alive()) {
    return own_stack_;
  }
  own_stack_ = nullptr;
  if (!accelerating_) {
    return nullptr;
  }
  auto attachment = client().create_stack();
  if (!attachment.ok()) {
    if (!warned_no_hostd_) {
      warned_no_hostd_ = true;
      log(LogLevel::kWarning, "%s; this socket uses the kernel's network", attachment.error().message.c_str());
    }
    return nullptr;
  }
  own_stack_ = add_stack(attachment.value());
  return own_stack_;
}

void Process::check_hostd(bool now) {
  if (stack_count() == 0) {
    return;
  }
  const uint64_t time_ns = monotonic_ns();
  if (!now && time_ns < next_health_check_ns_.load(std::memory_order_relaxed)) {
    return;
  }
  next_health_check_ns_.store(time_ns + 20'000'000, std::memory_order_relaxed);
  pollfd control{client().control_fd(), POLLRDHUP, 0};
  const bool gone = control.fd < 0 || (real().poll(&control, 1, 0) > 0 &&
                                       (control.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)) != 0);
  if (!gone) {
    return;
  }
  SlowPathLock lock;
  bool any_alive = false;
  for (size_t i = 0; i < stack_count(); ++i) {
    if (!stacks_[i]->is_dead()) {
      any_alive = true;
      log(LogLevel::kWarning, "hostd is gone; sockets of stack %u answer ENETDOWN", stacks_[i]->stack_id());
      stacks_[i]->mark_dead();
    }
  }
  if (any_alive) {
    client_ = make_client();  // dead stacks keep the old one; a hostd that is started again serves new sockets
  }
}

// --- unknown descriptors ---

FdRef Process::endpoint(int fd) {
  if (fds_.is_kernel(fd)) {
    return FdRef();
  }
  FdLookup found = resolve(fd);
  if (found.kind != FdKind::kObject || found.object.get()->type() != FdObjectType::kEndpoint) {
    return FdRef();
  }
  return std::move(found.object);
}

FdLookup Process::resolve(int fd) {
  FdLookup found = fds_.lookup(fd);
  if ((found.kind != FdKind::kUnknown && found.kind != FdKind::kClosing) || !accelerating_) {
    return found;
  }
  const int saved_errno = errno;
  found = found.kind == FdKind::kClosing ? examine_closing(fd) : examine(fd);
  errno = saved_errno;
  return found;
}

// Reached by descriptors that came through exec, over a Unix socket, or from a call that is not intercepted (open).
FdLookup Process::examine(int fd) {
  FdLookup found;
  found.kind = FdKind::kKernel;
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  if (real().getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0) {
    hostd::TokenName name;
    if (peer.ss_family == AF_UNIX && hostd::parse_token_name(&peer, length, name) && !in_vfork_child()) {
      return examine_token(fd, name);
    }
  } else if (errno == EBADF) {
    found.kind = FdKind::kUnknown;  // the call that follows says EBADF itself
    return found;
  } else if (errno == ENOTCONN && is_undecided_socket(fd) && !in_vfork_child()) {
    Process::SlowPathLock lock;
    if (fds_.lookup(fd).kind == FdKind::kUnknown) {
      fds_.set_undecided(fd, fds_.new_undecided_id());
    }
    return fds_.lookup(fd);
  }
  if (!in_vfork_child()) {
    fds_.note_kernel(fd);
  }
  return found;
}

// Another thread is inside close(fd). While it is still the token, the answer is that of a closed descriptor: a call
// that went to the kernel would wait on the token. If the number has been given out again already, it is the kernel's;
// nothing is noted.
FdLookup Process::examine_closing(int fd) {
  static const FdRef* const closed_endpoint = [] {
    EndpointFd* object = EndpointFd::allocate(nullptr, -1, 0);
    object->stream = true;
    object->closing = true;
    return new FdRef(FdTable::reference(object));  // for as long as the process lives
  }();
  FdLookup found;
  hostd::TokenName name;
  if (hostd::token_name_of(fd, name)) {
    found.kind = FdKind::kObject;
    found.object = *closed_endpoint;
  } else {
    found.kind = FdKind::kKernel;
  }
  return found;
}

FdLookup Process::examine_token(int fd, const hostd::TokenName& name) {
  SlowPathLock lock;
  FdLookup found = fds_.lookup(fd);
  if (found.kind != FdKind::kUnknown) {
    return found;  // another thread was faster
  }
  AttachedStack* stack = nullptr;
  auto attachment = client().attach(fd);
  if (attachment.ok()) {
    stack = find_stack(attachment->grant.stack_id);
    if (stack == nullptr) {
      stack = add_stack(attachment.value());
    }
  } else {
    log(LogLevel::kWarning, "descriptor %d is a token that hostd does not accept: %s", fd,
        attachment.error().message.c_str());
  }
  EndpointFd* object = stack != nullptr
                           ? EndpointFd::allocate(stack, static_cast<int>(attachment->endpoint), attachment->generation)
                           : EndpointFd::allocate(nullptr, -1, 0);
  if (!fds_.set_object_if_unknown(fd, object)) {
    return fds_.lookup(fd);
  }
  // Another thread may have closed the number while hostd was asked: then what was found out is not true any more.
  hostd::TokenName name_now;
  if (!hostd::token_name_of(fd, name_now) || name_now.stack_id != name.stack_id || name_now.endpoint != name.endpoint ||
      name_now.generation != name.generation) {
    fds_.forget_object(fd, object);
  }
  if (own_stack_ == nullptr && stack != nullptr) {
    log(LogLevel::kDebug, "attached to stack %u by descriptor %d", stack->stack_id(), fd);
  }
  return fds_.lookup(fd);
}

}  // namespace postern::preload
