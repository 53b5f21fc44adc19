// What each descriptor number of this process stands for. Indexed by number, looked up without a lock; a reference
// taken from the table keeps its object alive although another thread closes the descriptor.
//
// Entries are 64-bit words: unknown (never seen), kernel, undecided (an Internet socket without address yet: it may
// become an endpoint; all duplicates share one id), or a pointer to an FdObject. Objects live in memory that is never
// returned, so a reader that loses the race against close() finds a dead object (zero references), not garbage.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace postern::preload {

enum class FdKind : uint8_t { kUnknown = 0, kKernel = 1, kUndecided = 2, kObject = 3 };

enum class FdObjectType : uint8_t { kEndpoint, kEpoll };

// Base of what a descriptor can refer to. 16-byte aligned so that the low bits of its address are free.
class alignas(16) FdObject {
 public:
  explicit FdObject(FdObjectType type) : type_(type) {}
  virtual ~FdObject() = default;
  [[nodiscard]] FdObjectType type() const { return type_; }
  // Descriptor numbers of this process that refer to the object. 0: closed here, kept alive by callers only.
  [[nodiscard]] uint32_t fd_count() const { return fds_count_.load(std::memory_order_acquire); }

 protected:
  // Called when the last reference is gone. The memory must stay readable (see top of file).
  virtual void on_unreferenced() = 0;

 private:
  friend class FdTable;
  friend class FdRef;
  bool try_acquire();
  void release();

  FdObjectType type_;
  std::atomic<uint32_t> refs_count_{0};  // table entries plus FdRefs
  std::atomic<uint32_t> fds_count_{0};   // table entries
};

// A counted reference to an FdObject. Movable and copyable.
class FdRef {
 public:
  FdRef() = default;
  FdRef(const FdRef& other);
  FdRef(FdRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  FdRef& operator=(FdRef other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~FdRef();
  [[nodiscard]] FdObject* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  friend class FdTable;
  explicit FdRef(FdObject* object) : object_(object) {}
  FdObject* object_ = nullptr;
};

struct FdLookup {
  FdKind kind = FdKind::kUnknown;
  uint64_t undecided_id = 0;  // kUndecided
  FdRef object;               // kObject
};

class FdTable {
 public:
  static constexpr int kMaxFds = 1 << 20;  // the kernel's default fs.nr_open; higher numbers are the kernel's

  FdTable();  // reserves address space; pages appear as numbers are used
  ~FdTable();
  FdTable(const FdTable&) = delete;
  FdTable& operator=(const FdTable&) = delete;

  // Lock-free. Numbers out of range are the kernel's.
  [[nodiscard]] FdLookup lookup(int fd) const;
  // True if the entry says "kernel": the fast path of every call on a file or pipe.
  [[nodiscard]] bool is_kernel(int fd) const;

  void set_unknown(int fd) { exchange(fd, 0); }
  void set_kernel(int fd) { exchange(fd, kKernelWord); }
  // Changes unknown to kernel; does nothing if the entry has become something else meanwhile.
  void note_kernel(int fd);
  void set_undecided(int fd, uint64_t id);
  [[nodiscard]] uint64_t new_undecided_id() { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  void set_object(int fd, FdObject* object);
  // Makes `to` mean what `from` means now.
  void copy(int from, int to);
  // Highest number ever set, plus one: bounds walks over the table.
  [[nodiscard]] int limit() const { return limit_.load(std::memory_order_acquire); }
  // Raw word of an entry, to compare two entries.
  [[nodiscard]] uint64_t word(int fd) const;

 private:
  static constexpr uint64_t kKernelWord = 1;
  static bool valid(int fd) { return fd >= 0 && fd < kMaxFds; }
  void exchange(int fd, uint64_t word);
  std::atomic<uint64_t>* entries_ = nullptr;
  std::atomic<int> limit_{0};
  std::atomic<uint64_t> next_id_{1};
};

}  // namespace postern::preload
