// What each descriptor number of this process stands for. Indexed by number, looked up without a lock; a reference
// taken from the table keeps its object alive although another thread closes the descriptor.
//
// Entries are 64-bit words: unknown (never seen), kernel, undecided (an Internet socket without address yet: it may
// become an endpoint; all duplicates share one id), internal (the library's own), closing (close() of an object's
// number is under way), or a pointer to an FdObject. Objects live in memory that is never returned, so a reader that
// loses the race against close() finds a dead object (zero references), not garbage.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace postern::preload {

enum class FdKind : uint8_t { kUnknown = 0, kKernel = 1, kUndecided = 2, kObject = 3, kClosing = 4, kInternal = 5 };

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
  // The library's own descriptor. It does not count for limit(): its number is high, walks are for the application's.
  void set_internal(int fd);
  [[nodiscard]] bool is_internal(int fd) const;
  // The lowest internal number that is not below fd, or -1.
  [[nodiscard]] int next_internal(int fd) const;
  void set_undecided(int fd, uint64_t id);
  [[nodiscard]] uint64_t new_undecided_id() { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  void set_object(int fd, FdObject* object);
  // Unknown to object, for what was found out about a number that others may close meanwhile. False if the entry has
  // become something else; then nothing is changed.
  [[nodiscard]] bool set_object_if_unknown(int fd, FdObject* object);
  // Back to unknown if the entry still is this object.
  void forget_object(int fd, FdObject* object);

  // Closing takes two steps around the kernel's close, so that nobody looks at a number that is about to go and notes
  // what it was. closing_id: one per close call. begin_close() makes an object's number closing and any other unknown;
  // end_close() makes it unknown unless the number has been given out again meanwhile.
  [[nodiscard]] uint64_t new_closing_id() { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  void begin_close(int fd, uint64_t closing_id);
  void end_close(int fd, uint64_t closing_id);
  [[nodiscard]] static FdRef reference(FdObject* object);
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
  static void drop(uint64_t word);  // what a word no longer in the table referred to
  std::atomic<uint64_t>* entries_ = nullptr;
  std::atomic<int> limit_{0};
  std::atomic<int> internal_begin_{kMaxFds};  // internal numbers are in [begin, end)
  std::atomic<int> internal_end_{0};
  std::atomic<uint64_t> next_id_{1};
};

}  // namespace postern::preload
