// An epoll descriptor that also holds endpoints. Kernel descriptors are in the kernel's set as always; endpoints are
// kept here, beside it, and both are merged when someone waits. Membership follows epoll(7): it belongs to the open
// file description and ends with its last descriptor in this process.
#pragma once

#include <pthread.h>
#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "stack/preload/process.h"
#include "stack/preload/sleeper.h"

namespace postern::preload {

class EpollSet : public FdObject {
 public:
  EpollSet() : FdObject(FdObjectType::kEpoll) {}
  [[nodiscard]] static EpollSet* allocate();
  // The set behind an epoll descriptor; empty if it is none (or one that holds only kernel descriptors).
  [[nodiscard]] static FdRef find(int epoll_fd);

  // epoll_ctl for an endpoint or for an epoll set that is put into this one. 0 or -errno.
  [[nodiscard]] int control(int operation, int fd, const FdRef& object, epoll_event* event);
  // Notes that an undecided socket is in the kernel's set, so that it can move here when it is promoted.
  void note_undecided(int operation, int fd, uint64_t id, const epoll_event* event);

  // Writes up to max_count events of endpoints that are ready; edge-triggered and one-shot members are marked.
  [[nodiscard]] int collect(epoll_event* events, int max_count);
  // Whether collect() would find something. Marks nothing. depth: nesting so far.
  [[nodiscard]] bool any_ready(int depth = 0);
  // The stacks whose endpoints are members (of nested sets too).
  void add_stacks(StackSet* stacks, int depth = 0);
  // Which of the two sources goes first: alternates, so that neither starves when max_events is small.
  [[nodiscard]] bool kernel_first() { return (turns_count_.fetch_add(1, std::memory_order_relaxed) & 1) != 0; }

  // Threads in epoll_wait on this set: control() wakes them.
  std::atomic<uint32_t> waiters_count{0};

  // The socket at `number` has become an endpoint: sets that had it as an undecided member take it over.
  static void socket_promoted(int number, const FdRef& endpoint);
  // The endpoint that `number` was is a kernel socket now: sets hand it to the kernel.
  static void socket_demoted(int number, const FdRef& endpoint);
  // Fork: no set may be half-changed in the child, so all are locked meanwhile. With the slow-path lock and signals
  // held off.
  static void before_fork();
  static void after_fork(bool in_child);

 protected:
  void on_unreferenced() override;

 private:
  struct Member {
    int fd = -1;
    FdRef object;  // empty: an undecided socket, waited for by the kernel
    uint64_t undecided_id = 0;
    epoll_event event{};
    uint32_t seen_activity = 0;  // edge-triggered: the activity that was reported
    bool disarmed = false;       // one-shot and reported
  };
  class Lock {
   public:
    explicit Lock(EpollSet& set) : set_(set) { ::pthread_mutex_lock(&set_.mutex_); }
    ~Lock() { ::pthread_mutex_unlock(&set_.mutex_); }

   private:
    SignalHold hold_;
    EpollSet& set_;
  };
  static uint32_t ready_events(const Member& member, uint32_t* activity, int depth);
  static void arm(Member* member, const epoll_event& event);
  Member* find_member(int fd, const FdObject* object);
  void drop_closed(std::vector<Member>* closed);
  template <typename Visit>
  static void for_each_set(Visit visit);

  static constexpr int kMaxDepth = 5;  // as the kernel's limit for nested sets (epoll_ctl(2), ELOOP)
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  std::vector<Member> members_;
  size_t next_start_ = 0;
  std::atomic<uint32_t> turns_count_{0};
  EpollSet* next_free_ = nullptr;
};

}  // namespace postern::preload
