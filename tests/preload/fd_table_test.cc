// The descriptor table: kinds, references, reuse of numbers, and a race of lookups against close.
#include "stack/preload/fd_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace postern::preload {
namespace {

class CountedObject : public FdObject {
 public:
  CountedObject() : FdObject(FdObjectType::kEndpoint) {}
  std::atomic<int> unreferenced_count{0};

 protected:
  void on_unreferenced() override { unreferenced_count.fetch_add(1); }
};

TEST(FdTableTest, EntryIsUnknownUntilSet) {
  FdTable table;
  EXPECT_EQ(table.lookup(5).kind, FdKind::kUnknown);
  table.set_kernel(5);
  EXPECT_TRUE(table.is_kernel(5));
  table.set_unknown(5);
  EXPECT_EQ(table.lookup(5).kind, FdKind::kUnknown);
}

TEST(FdTableTest, NumbersOutOfRangeAreTheKernels) {
  FdTable table;
  EXPECT_TRUE(table.is_kernel(-1));
  EXPECT_TRUE(table.is_kernel(FdTable::kMaxFds));
  table.set_unknown(-1);
  table.set_kernel(FdTable::kMaxFds);
}

TEST(FdTableTest, NotingTheKernelDoesNotOverwriteAnObject) {
  FdTable table;
  CountedObject object;
  table.set_object(7, &object);
  table.note_kernel(7);
  EXPECT_EQ(table.lookup(7).kind, FdKind::kObject);
}

TEST(FdTableTest, CopiesOfUndecidedSocketsShareTheirWord) {
  FdTable table;
  const uint64_t id = table.new_undecided_id();
  table.set_undecided(3, id);
  table.copy(3, 9);
  table.set_undecided(4, table.new_undecided_id());
  EXPECT_EQ(table.word(3), table.word(9));
  EXPECT_NE(table.word(3), table.word(4));
  EXPECT_EQ(table.lookup(9).undecided_id, id);
}

TEST(FdTableTest, ClosingNumberIsNotUnknownUntilTheKernelHasClosedIt) {
  FdTable table;
  CountedObject object;
  table.set_object(4, &object);
  const uint64_t closing_id = table.new_closing_id();
  table.begin_close(4, closing_id);
  EXPECT_EQ(table.lookup(4).kind, FdKind::kClosing);
  EXPECT_EQ(object.unreferenced_count.load(), 1);
  EXPECT_FALSE(table.set_object_if_unknown(4, &object)) << "the number is about to go";
  EXPECT_EQ(object.fd_count(), 0u);
  table.note_kernel(4);
  EXPECT_EQ(table.lookup(4).kind, FdKind::kClosing);
  table.end_close(4, closing_id);
  EXPECT_EQ(table.lookup(4).kind, FdKind::kUnknown);
}

TEST(FdTableTest, EndOfCloseLeavesANumberThatWasGivenOutAgain) {
  FdTable table;
  CountedObject object;
  table.set_object(4, &object);
  const uint64_t first = table.new_closing_id();
  table.begin_close(4, first);
  table.set_object(4, &object);
  table.end_close(4, first);
  EXPECT_EQ(table.lookup(4).kind, FdKind::kObject);
  const uint64_t second = table.new_closing_id();
  table.begin_close(4, second);
  table.end_close(4, first);
  EXPECT_EQ(table.lookup(4).kind, FdKind::kClosing) << "another thread's close of the same number";
}

TEST(FdTableTest, AnyNumberOfInternalDescriptorsIsKeptApart) {
  FdTable table;
  for (int fd = 1000; fd < 2000; fd += 2) {
    table.set_internal(fd);
  }
  EXPECT_TRUE(table.is_internal(1998));
  EXPECT_FALSE(table.is_internal(1999));
  EXPECT_EQ(table.next_internal(0), 1000);
  EXPECT_EQ(table.next_internal(1001), 1002);
  EXPECT_EQ(table.next_internal(1999), -1);
  EXPECT_EQ(table.limit(), 0) << "walks over the application's numbers stay short";
  table.set_unknown(1000);
  EXPECT_EQ(table.next_internal(0), 1002);
}

TEST(FdTableTest, ForgettingLeavesAnotherObject) {
  FdTable table;
  CountedObject first;
  CountedObject second;
  ASSERT_TRUE(table.set_object_if_unknown(4, &first));
  table.set_object(4, &second);
  table.forget_object(4, &first);
  EXPECT_EQ(table.lookup(4).object.get(), &second);
  table.forget_object(4, &second);
  EXPECT_EQ(table.lookup(4).kind, FdKind::kUnknown);
  EXPECT_EQ(second.unreferenced_count.load(), 1);
}

TEST(FdTableTest, LastCloseReleasesTheObjectOnce) {
  FdTable table;
  CountedObject object;
  table.set_object(3, &object);
  table.copy(3, 4);
  EXPECT_EQ(object.fd_count(), 2u);
  table.set_unknown(3);
  EXPECT_EQ(object.unreferenced_count.load(), 0);
  table.set_kernel(4);
  EXPECT_EQ(object.fd_count(), 0u);
  EXPECT_EQ(object.unreferenced_count.load(), 1);
}

TEST(FdTableTest, ReferenceKeepsAClosedObjectAlive) {
  FdTable table;
  CountedObject object;
  table.set_object(3, &object);
  {
    FdLookup found = table.lookup(3);
    table.set_unknown(3);
    EXPECT_EQ(object.unreferenced_count.load(), 0);
    EXPECT_EQ(found.object.get(), &object);
  }
  EXPECT_EQ(object.unreferenced_count.load(), 1);
}

TEST(FdTableTest, LimitCoversTheHighestNumberInUse) {
  FdTable table;
  EXPECT_EQ(table.limit(), 0);
  table.set_kernel(41);
  EXPECT_EQ(table.limit(), 42);
  table.set_unknown(41);
  EXPECT_EQ(table.limit(), 42);
}

TEST(FdTableTest, LookupsThatRaceWithReuseSeeALiveObjectOfTheirNumber) {
  FdTable table;
  CountedObject first;
  CountedObject second;
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop.load()) {
        const FdLookup found = table.lookup(3);
        if (found.kind == FdKind::kObject && found.object.get() != &first && found.object.get() != &second) {
          wrong.fetch_add(1);
        }
      }
    });
  }
  for (int round = 0; round < 20000; ++round) {
    CountedObject& object = round % 2 == 0 ? first : second;
    // As in the library, an object is used again only when nobody refers to its earlier use any more.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (object.unreferenced_count.load() != round / 2 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    table.set_object(3, &object);
    table.set_unknown(3);
  }
  stop.store(true);
  for (auto& reader : readers) {
    reader.join();
  }
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(first.fd_count() + second.fd_count(), 0u);
  EXPECT_EQ(first.unreferenced_count.load(), 10000);
  EXPECT_EQ(second.unreferenced_count.load(), 10000);
}

}  // namespace
}  // namespace postern::preload
