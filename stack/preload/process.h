// What the library knows in this process: options, descriptor table, connection to hostd, attached stacks. One per
// process, made at the first intercepted call, never destroyed (programs use sockets in exit handlers). Hides fork.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <memory>

#include "stack/preload/attached_stack.h"
#include "stack/preload/endpoint_flags.h"
#include "stack/preload/fd_table.h"
#include "stack/preload/options.h"
#include "stack/preload/real_calls.h"

namespace postern::preload {

// What a token descriptor stands for. stack is null for a token that could not be attached: every call is ENETDOWN,
// and for one that another thread is closing: every call is EBADF.
class EndpointFd : public FdObject {
 public:
  EndpointFd() : FdObject(FdObjectType::kEndpoint) {}
  [[nodiscard]] static EndpointFd* allocate(AttachedStack* stack, int endpoint, uint32_t generation);

  AttachedStack* stack = nullptr;
  int endpoint = -1;
  uint32_t generation = 0;
  bool stream = false;
  bool closing = false;

  // The stack if the endpoint still exists, else null with *error = -ENETDOWN or -EBADF.
  [[nodiscard]] stack::Stack* live(int* error) const;
  [[nodiscard]] uint32_t flags() const;
  [[nodiscard]] bool nonblocking() const { return (flags() & kFlagNonblocking) != 0; }
  void change_flags(uint32_t set, uint32_t clear);
  // poll(2) bits; everything at once if the stack is dead, so that nobody waits.
  [[nodiscard]] uint32_t readiness() const;

 protected:
  void on_unreferenced() override;

 private:
  EndpointFd* next_free_ = nullptr;
};

class Process {
 public:
  static Process& get();

  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] FdTable& fds() { return fds_; }
  [[nodiscard]] hostd::HostdClient& client() { return *client_.load(std::memory_order_acquire); }
  // Whether sockets of this process may be accelerated at all (a hostd is named).
  [[nodiscard]] bool accelerating() const { return accelerating_; }

  // Looks a descriptor up; one never seen is examined first (a token attaches its stack: a round trip to hostd).
  [[nodiscard]] FdLookup resolve(int fd);
  // The endpoint that fd stands for, or an empty reference (errno untouched).
  [[nodiscard]] FdRef endpoint(int fd);

  // The stack in which this process makes sockets; created at the first call. nullptr: no hostd answers (said once).
  // With the slow-path lock held.
  [[nodiscard]] AttachedStack* own_stack();

  // A new token for an endpoint; the caller owns it. Near the limit of descriptors its number comes from `reserved` (a
  // descriptor that is closed for it, or -1) or from the library's spare one. EMFILE: none is left.
  [[nodiscard]] Result<int> create_token(const AttachedStack& stack, int endpoint, uint32_t generation,
                                         int reserved = -1);

  // Marks every stack dead if the connection to hostd has hung up. Looks at most every 20 ms unless now is set.
  void check_hostd(bool now);
  [[nodiscard]] size_t stack_count() const { return stack_count_.load(std::memory_order_acquire); }
  [[nodiscard]] AttachedStack* stack_at(size_t index) const { return stacks_[index]; }

  // Whether an endpoint's descriptor was closed here within the last second: its port may still be on its way back.
  [[nodiscard]] bool closed_recently() const;
  void note_close(int fd);  // before fd's entry is overwritten

  // Grows with every fork: what belongs to the parent (sleepers' epoll instances) is told by it.
  [[nodiscard]] uint64_t fork_count() const { return fork_count_; }
  // In a child made by vfork the memory is the parent's, so nothing may be noted there.
  [[nodiscard]] bool in_vfork_child() const;

  // The library's own descriptors: closing them is refused.
  [[nodiscard]] bool is_internal(int fd) const;
  // Moves a descriptor of the library to a high number and notes it. Returns the new number.
  int adopt_internal(int fd);
  static int move_high(int fd);  // the same without the note
  void note_internal(int fd);
  void close_internal(int fd);

  // Serialises everything that is rare: attaching, promoting, epoll membership. Recursive. Signals and cancellation of
  // the thread are held off: the calls inside include cancellation points.
  class SlowPathLock {
   public:
    SlowPathLock();
    ~SlowPathLock();

   private:
    SignalHold hold_;
    int cancel_state_ = 0;
  };

 private:
  Process();
  static void before_fork();
  static void after_fork_in_parent();
  static void after_fork_in_child();
  static int provide_token(void* context, int index);
  hostd::HostdClient* make_client();
  FdLookup examine(int fd);
  FdLookup examine_token(int fd, const hostd::TokenName& name);
  FdLookup examine_closing(int fd);
  void keep_spare(const AttachedStack& stack);
  AttachedStack* add_stack(hostd::StackAttachment& attachment);
  AttachedStack* find_stack(uint32_t stack_id) const;
  int find_token(const AttachedStack* stack) const;

  static constexpr size_t kMaxStacks = 64;
  Options options_;
  FdTable fds_;
  std::atomic<hostd::HostdClient*> client_{nullptr};  // never destroyed: stacks point to it
  bool accelerating_ = false;
  bool warned_no_hostd_ = false;
  AttachedStack* own_stack_ = nullptr;
  bool own_stack_inherited_ = false;  // from the parent; usable only as long as a token of it is held
  AttachedStack* stacks_[kMaxStacks] = {};
  std::atomic<size_t> stack_count_{0};
  int spare_fd_ = -1;  // given up for a token when no number is left; under the slow-path lock
  std::atomic<uint64_t> next_health_check_ns_{0};
  std::atomic<uint64_t> last_close_ns_{0};
  uint64_t fork_count_ = 0;
  int pid_ = 0;
};

// CLOCK_MONOTONIC: for the time-outs that the application gives, which are real time.
[[nodiscard]] uint64_t monotonic_ns();

// errno = -result and -1 if result is negative, else result.
template <typename T>
inline T finish(T result) {
  if (result < 0) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

}  // namespace postern::preload
