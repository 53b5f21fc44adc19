// Threads that close foreign descriptors, a fair share per owner: see foreign_fd_closer.h.
#include "driver/foreign_fd_closer.h"

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

namespace postern {
namespace {

constexpr uint32_t kThreadsMost = 64;
constexpr uint32_t kThreadsPerOwner = 8;
constexpr std::chrono::seconds kIdleLife{1};  // a thread without work ends after that

class ForeignFdCloser {
 public:
  // Never destroyed: a thread may still sit in close() when the process ends.
  static ForeignFdCloser& get() {
    static auto* const closer = new ForeignFdCloser;
    return *closer;
  }

  void add(int fd, uint32_t owner) {
    const std::lock_guard lock(mutex_);
    owners_[owner].waiting.push_back(fd);
    ensure_thread();
  }

  bool held_up(uint32_t owner) {
    const std::lock_guard lock(mutex_);
    const auto found = owners_.find(owner);
    return found != owners_.end() && found->second.active + found->second.waiting.size() > kForeignClosesMost;
  }

 private:
  struct Owner {
    std::deque<int> waiting;
    uint32_t active = 0;  // in close() now
  };

  // Somebody is there for the next descriptor that may be closed now. Without a thread it waits for the next one that
  // runs.
  void ensure_thread() {
    if (next_owner() == owners_.end()) {
      return;
    }
    if (idle_count_ > 0) {
      work_.notify_one();
      return;
    }
    if (thread_count_ >= kThreadsMost) {
      return;
    }
    try {
      std::thread([this] { serve(); }).detach();
      ++thread_count_;
    } catch (const std::system_error&) {
    }
  }

  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto next = next_owner();
      if (next == owners_.end()) {
        ++idle_count_;
        const bool woken = work_.wait_for(lock, kIdleLife) == std::cv_status::no_timeout;
        --idle_count_;
        if (!woken && next_owner() == owners_.end()) {
          --thread_count_;
          return;
        }
        continue;
      }
      close_one(next->first, lock);
    }
  }

  std::map<uint32_t, Owner>::iterator next_owner() {
    for (auto owner = owners_.begin(); owner != owners_.end(); ++owner) {
      if (!owner->second.waiting.empty() && owner->second.active < kThreadsPerOwner) {
        return owner;
      }
    }
    return owners_.end();
  }

  void close_one(uint32_t owner_id, std::unique_lock<std::mutex>& lock) {
    Owner& owner = owners_[owner_id];
    const int fd = owner.waiting.front();
    owner.waiting.pop_front();
    ++owner.active;
    ensure_thread();
    lock.unlock();
    ::close(fd);
    lock.lock();
    --owner.active;  // a map's elements stay where they are; only an idle owner is erased
    if (owner.active == 0 && owner.waiting.empty()) {
      owners_.erase(owner_id);
    }
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::map<uint32_t, Owner> owners_;
  uint32_t thread_count_ = 0;
  uint32_t idle_count_ = 0;
};

}  // namespace

void close_foreign(int fd, uint32_t owner) {
  if (fd >= 0) {
    ForeignFdCloser::get().add(fd, owner);
  }
}

bool foreign_closes_held_up(uint32_t owner) { return ForeignFdCloser::get().held_up(owner); }

}  // namespace postern
