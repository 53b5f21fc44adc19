// The descriptor table. Word layout: low 2 bits FdKind; the rest the undecided id or the object's address.
#include "stack/preload/fd_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>

namespace postern::preload {
namespace {

constexpr unsigned kKindBits = 4;  // objects are 16-byte aligned
constexpr uint64_t kKindMask = (1 << kKindBits) - 1;

FdKind kind_of(uint64_t word) { return static_cast<FdKind>(word & kKindMask); }
FdObject* object_of(uint64_t word) { return reinterpret_cast<FdObject*>(word & ~kKindMask); }
uint64_t word_of(uint64_t id, FdKind kind) { return (id << kKindBits) | static_cast<uint64_t>(kind); }

}  // namespace

bool FdObject::try_acquire() {
  uint32_t count = refs_count_.load(std::memory_order_relaxed);
  while (count != 0) {
    if (refs_count_.compare_exchange_weak(count, count + 1, std::memory_order_acquire, std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

void FdObject::release() {
  if (refs_count_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    on_unreferenced();
  }
}

FdRef::FdRef(const FdRef& other) : object_(other.object_) {
  if (object_ != nullptr) {
    object_->refs_count_.fetch_add(1, std::memory_order_relaxed);
  }
}

FdRef::~FdRef() {
  if (object_ != nullptr) {
    object_->release();
  }
}

FdTable::FdTable() {
  void* memory = ::mmap(nullptr, sizeof(std::atomic<uint64_t>) * kMaxFds, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory != MAP_FAILED) {
    entries_ = static_cast<std::atomic<uint64_t>*>(memory);
  }
}

FdTable::~FdTable() {
  if (entries_ != nullptr) {
    ::munmap(entries_, sizeof(std::atomic<uint64_t>) * kMaxFds);
  }
}

uint64_t FdTable::word(int fd) const {
  return valid(fd) && entries_ != nullptr ? entries_[fd].load(std::memory_order_acquire) : kKernelWord;
}

bool FdTable::is_kernel(int fd) const { return word(fd) == kKernelWord; }

FdLookup FdTable::lookup(int fd) const {
  FdLookup found;
  for (;;) {
    const uint64_t seen = word(fd);
    found.kind = kind_of(seen);
    if (found.kind == FdKind::kUndecided) {
      found.undecided_id = seen >> kKindBits;
      return found;
    }
    if (found.kind != FdKind::kObject) {
      return found;
    }
    FdObject* object = object_of(seen);
    if (!object->try_acquire()) {
      continue;  // closed between the two loads; the entry has changed or is about to
    }
    found.object = FdRef(object);
    if (word(fd) == seen) {
      return found;
    }
    found.object = FdRef();
  }
}

void FdTable::exchange(int fd, uint64_t word) {
  if (!valid(fd) || entries_ == nullptr) {
    return;
  }
  int limit = limit_.load(std::memory_order_relaxed);
  while (word != 0 && fd >= limit && !limit_.compare_exchange_weak(limit, fd + 1, std::memory_order_acq_rel)) {
  }
  drop(entries_[fd].exchange(word, std::memory_order_acq_rel));
}

void FdTable::drop(uint64_t word) {
  if (kind_of(word) == FdKind::kObject) {
    FdObject* object = object_of(word);
    object->fds_count_.fetch_sub(1, std::memory_order_acq_rel);
    object->release();
  }
}

bool FdTable::set_object_if_unknown(int fd, FdObject* object) {
  if (!valid(fd) || entries_ == nullptr) {
    return false;
  }
  const uint64_t wanted = reinterpret_cast<uint64_t>(object) | static_cast<uint64_t>(FdKind::kObject);
  object->refs_count_.fetch_add(1, std::memory_order_relaxed);
  object->fds_count_.fetch_add(1, std::memory_order_relaxed);
  int limit = limit_.load(std::memory_order_relaxed);
  while (fd >= limit && !limit_.compare_exchange_weak(limit, fd + 1, std::memory_order_acq_rel)) {
  }
  uint64_t expected = 0;
  if (!entries_[fd].compare_exchange_strong(expected, wanted, std::memory_order_acq_rel)) {
    drop(wanted);
    return false;
  }
  return true;
}

void FdTable::forget_object(int fd, FdObject* object) {
  uint64_t expected = reinterpret_cast<uint64_t>(object) | static_cast<uint64_t>(FdKind::kObject);
  if (valid(fd) && entries_ != nullptr &&
      entries_[fd].compare_exchange_strong(expected, 0, std::memory_order_acq_rel)) {
    drop(expected);
  }
}

void FdTable::begin_close(int fd, uint64_t closing_id) {
  // Only an object's number needs the middle state: looking at any other one finds nothing that would stay noted.
  exchange(fd, kind_of(word(fd)) == FdKind::kObject ? word_of(closing_id, FdKind::kClosing) : 0);
}

void FdTable::end_close(int fd, uint64_t closing_id) {
  if (valid(fd) && entries_ != nullptr) {
    uint64_t expected = word_of(closing_id, FdKind::kClosing);
    entries_[fd].compare_exchange_strong(expected, 0, std::memory_order_acq_rel);
  }
}

void FdTable::note_kernel(int fd) {
  if (valid(fd) && entries_ != nullptr) {
    uint64_t expected = 0;
    entries_[fd].compare_exchange_strong(expected, kKernelWord, std::memory_order_acq_rel);
  }
}

void FdTable::set_internal(int fd) {
  if (!valid(fd) || entries_ == nullptr) {
    return;
  }
  int begin = internal_begin_.load(std::memory_order_relaxed);
  while (fd < begin && !internal_begin_.compare_exchange_weak(begin, fd, std::memory_order_acq_rel)) {
  }
  int end = internal_end_.load(std::memory_order_relaxed);
  while (fd >= end && !internal_end_.compare_exchange_weak(end, fd + 1, std::memory_order_acq_rel)) {
  }
  drop(entries_[fd].exchange(static_cast<uint64_t>(FdKind::kInternal), std::memory_order_acq_rel));
}

bool FdTable::is_internal(int fd) const { return kind_of(word(fd)) == FdKind::kInternal; }

int FdTable::next_internal(int fd) const {
  const int end = internal_end_.load(std::memory_order_acquire);
  for (int number = std::max(fd, internal_begin_.load(std::memory_order_acquire)); number < end; ++number) {
    if (is_internal(number)) {
      return number;
    }
  }
  return -1;
}

void FdTable::set_undecided(int fd, uint64_t id) { exchange(fd, word_of(id, FdKind::kUndecided)); }

void FdTable::set_object(int fd, FdObject* object) {
  const auto address = reinterpret_cast<uint64_t>(object);
  assert((address & kKindMask) == 0);
  object->refs_count_.fetch_add(1, std::memory_order_relaxed);
  object->fds_count_.fetch_add(1, std::memory_order_relaxed);
  exchange(fd, address | static_cast<uint64_t>(FdKind::kObject));
}

FdRef FdTable::reference(FdObject* object) {
  object->refs_count_.fetch_add(1, std::memory_order_relaxed);
  return FdRef(object);
}

void FdTable::copy(int from, int to) {
  const FdLookup found = lookup(from);
  switch (found.kind) {
    case FdKind::kObject:
      set_object(to, found.object.get());
      break;
    case FdKind::kUndecided:
      set_undecided(to, found.undecided_id);
      break;
    case FdKind::kKernel:
      set_kernel(to);
      break;
    case FdKind::kUnknown:
    case FdKind::kClosing:
    case FdKind::kInternal:
      set_unknown(to);  // looked at when it is used
      break;
  }
}

}  // namespace postern::preload
