// Epoll membership and merging. See epoll_set.h.
#include "stack/preload/epoll_set.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace postern::preload {
namespace {

constexpr uint32_t kAlwaysReported = EPOLLERR | EPOLLHUP;
constexpr uint32_t kModeBits = EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE;

EpollSet* free_sets = nullptr;  // under the slow-path lock

EndpointFd* endpoint_of(const FdRef& object) {
  return object && object.get()->type() == FdObjectType::kEndpoint ? static_cast<EndpointFd*>(object.get()) : nullptr;
}

EpollSet* set_of(const FdRef& object) {
  return object && object.get()->type() == FdObjectType::kEpoll ? static_cast<EpollSet*>(object.get()) : nullptr;
}

}  // namespace

EpollSet* EpollSet::allocate() {
  Process::SlowPathLock lock;
  EpollSet* set = free_sets;
  if (set != nullptr) {
    free_sets = set->next_free_;
    return set;
  }
  return new EpollSet();
}

void EpollSet::on_unreferenced() {
  std::vector<Member> members;
  {
    Lock lock(*this);
    members.swap(members_);
  }
  members.clear();  // outside the lock: may release other objects
  Process::SlowPathLock lock;
  next_free_ = free_sets;
  free_sets = this;
}

FdRef EpollSet::find(int epoll_fd) {
  FdLookup found = Process::get().fds().lookup(epoll_fd);
  if (found.kind != FdKind::kObject || found.object.get()->type() != FdObjectType::kEpoll) {
    return FdRef();
  }
  return std::move(found.object);
}

EpollSet::Member* EpollSet::find_member(int fd, const FdObject* object) {
  for (Member& member : members_) {
    if (member.fd == fd && member.object.get() == object) {
      return &member;
    }
  }
  return nullptr;
}

// Moves members out whose last descriptor is gone. The caller lets go of them after it has released the lock: that may
// end other sets, which takes other locks.
void EpollSet::drop_closed(std::vector<Member>* closed) {
  const auto kept_end = std::stable_partition(members_.begin(), members_.end(), [](const Member& member) {
    return !member.object || member.object.get()->fd_count() != 0;
  });
  closed->assign(std::make_move_iterator(kept_end), std::make_move_iterator(members_.end()));
  members_.erase(kept_end, members_.end());
}

void EpollSet::arm(Member* member, const epoll_event& event) {
  member->event = event;
  member->disarmed = false;
  if (const EndpointFd* endpoint = endpoint_of(member->object); endpoint != nullptr && endpoint->stack != nullptr) {
    // One less than now: what is ready at this moment counts as an edge (epoll(7): EPOLL_CTL_ADD and MOD report it).
    member->seen_activity = endpoint->stack->stack().activity(endpoint->endpoint) - 1;
  }
}

int EpollSet::control(int operation, int fd, const FdRef& object, epoll_event* event) {
  if (set_of(object) == this) {
    return -EINVAL;
  }
  if (operation != EPOLL_CTL_DEL && event == nullptr) {
    return -EFAULT;
  }
  std::vector<Member> closed;
  Lock lock(*this);
  drop_closed(&closed);
  Member* member = find_member(fd, object.get());
  switch (operation) {
    case EPOLL_CTL_ADD: {
      if (member != nullptr) {
        return -EEXIST;
      }
      Member added;
      added.fd = fd;
      added.object = object;
      arm(&added, *event);
      members_.push_back(std::move(added));
      return 0;
    }
    case EPOLL_CTL_MOD:
      if (member == nullptr) {
        return -ENOENT;
      }
      arm(member, *event);
      return 0;
    case EPOLL_CTL_DEL:
      if (member == nullptr) {
        return -ENOENT;
      }
      members_.erase(members_.begin() + (member - members_.data()));
      return 0;
    default:
      return -EINVAL;
  }
}

void EpollSet::note_undecided(int operation, int fd, uint64_t id, const epoll_event* event) {
  Lock lock(*this);
  std::erase_if(members_, [&](const Member& member) { return !member.object && member.fd == fd; });
  if (operation == EPOLL_CTL_DEL) {
    return;
  }
  Member member;
  member.fd = fd;
  member.undecided_id = id;
  member.event = *event;
  members_.push_back(std::move(member));
}

uint32_t EpollSet::ready_events(const Member& member, uint32_t* activity, int depth) {
  const uint32_t wanted = (member.event.events & ~kModeBits) | kAlwaysReported;
  if (EndpointFd* endpoint = endpoint_of(member.object); endpoint != nullptr) {
    *activity = endpoint->stack != nullptr ? endpoint->stack->stack().activity(endpoint->endpoint) : 0;
    return endpoint->readiness() & wanted;
  }
  if (EpollSet* nested = set_of(member.object); nested != nullptr && depth < kMaxDepth) {
    return nested->any_ready(depth + 1) ? EPOLLIN & wanted : 0;
  }
  return 0;
}

int EpollSet::collect(epoll_event* events, int max_count) {
  std::vector<Member> closed;
  Lock lock(*this);
  drop_closed(&closed);
  int count = 0;
  const size_t size = members_.size();
  for (size_t step = 0; step < size && count < max_count; ++step) {
    Member& member = members_[(next_start_ + step) % size];
    if (!member.object || member.disarmed) {
      continue;
    }
    uint32_t activity = member.seen_activity - 1;  // nested sets: always news
    const uint32_t ready = ready_events(member, &activity, 0);
    const bool edge = (member.event.events & EPOLLET) != 0;
    const EndpointFd* endpoint = endpoint_of(member.object);
    const bool down = endpoint != nullptr && (endpoint->stack == nullptr || endpoint->stack->is_dead());
    if (ready == 0 || (edge && !down && activity == member.seen_activity)) {
      continue;
    }
    member.seen_activity = activity;
    member.disarmed = (member.event.events & EPOLLONESHOT) != 0 || (edge && down);
    events[count].events = ready;
    events[count].data = member.event.data;
    ++count;
  }
  next_start_ = size == 0 ? 0 : (next_start_ + 1) % size;
  return count;
}

bool EpollSet::any_ready(int depth) {
  Lock lock(*this);
  for (const Member& member : members_) {
    if (!member.object || member.disarmed || member.object.get()->fd_count() == 0) {
      continue;
    }
    uint32_t activity = member.seen_activity - 1;
    if (ready_events(member, &activity, depth) != 0 &&
        ((member.event.events & EPOLLET) == 0 || activity != member.seen_activity)) {
      return true;
    }
  }
  return false;
}

void EpollSet::add_stacks(StackSet* stacks, int depth) {
  Lock lock(*this);
  for (const Member& member : members_) {
    if (const EndpointFd* endpoint = endpoint_of(member.object); endpoint != nullptr) {
      stacks->add(endpoint->stack);
    } else if (EpollSet* nested = set_of(member.object); nested != nullptr && depth < kMaxDepth) {
      nested->add_stacks(stacks, depth + 1);
    }
  }
}

template <typename Visit>
void EpollSet::for_each_set(Visit visit) {
  FdTable& fds = Process::get().fds();
  for (int fd = 0; fd < fds.limit(); ++fd) {
    const FdLookup found = fds.lookup(fd);
    if (EpollSet* set = set_of(found.object); set != nullptr) {
      visit(fd, *set);
    }
  }
}

void EpollSet::socket_promoted(int number, const FdRef& endpoint) {
  for_each_set([&](int, EpollSet& set) {
    Lock lock(set);
    for (Member& member : set.members_) {
      if (!member.object && member.fd == number) {
        member.object = endpoint;
        arm(&member, epoll_event(member.event));
      }
    }
  });
}

void EpollSet::socket_demoted(int number, const FdRef& endpoint) {
  for_each_set([&](int epoll_fd, EpollSet& set) {
    Lock lock(set);
    if (Member* member = set.find_member(number, endpoint.get()); member != nullptr) {
      epoll_event event = member->event;
      set.members_.erase(set.members_.begin() + (member - set.members_.data()));
      real().epoll_ctl(epoll_fd, EPOLL_CTL_ADD, number, &event);
    }
  });
}

namespace {

// The sets that the forking thread has locked.
std::vector<FdRef>& locked_sets() {
  static auto* sets = new std::vector<FdRef>();
  return *sets;
}

}  // namespace

// Sets nest in any order of numbers, so waiting for one while holding others could be a deadlock: all or none.
void EpollSet::before_fork() {
  FdTable& fds = Process::get().fds();
  std::vector<FdRef>& locked = locked_sets();
  for (int fd = 0; fd < fds.limit();) {
    FdLookup found = fds.lookup(fd);
    EpollSet* set = set_of(found.object);
    const bool have = set == nullptr ||
                      std::any_of(locked.begin(), locked.end(), [&](const FdRef& other) { return other.get() == set; });
    if (have) {
      ++fd;
    } else if (::pthread_mutex_trylock(&set->mutex_) == 0) {
      locked.push_back(std::move(found.object));
      ++fd;
    } else {
      after_fork(false);
      ::sched_yield();
      fd = 0;
    }
  }
}

void EpollSet::after_fork(bool in_child) {
  std::vector<FdRef> locked;
  locked.swap(locked_sets());
  for (const FdRef& ref : locked) {
    EpollSet* set = set_of(ref);
    if (in_child) {
      pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
      set->mutex_ = fresh;
      set->waiters_count.store(0, std::memory_order_relaxed);
    } else {
      ::pthread_mutex_unlock(&set->mutex_);
    }
  }
}

}  // namespace postern::preload
