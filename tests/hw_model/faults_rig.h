// One NIC with a VI that injected faults hit, one beside it, and a log of what the device reports.
#pragma once

#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {

using sim::FaultKind;
using sim::InjectedFault;

constexpr uint64_t kPortAddressA = 0x0a00004e5002ull;

struct FaultLog : sim::FaultObserver {
  struct Entry {
    uint64_t time_ps;
    InjectedFault fault;
  };
  void fault_injected(const InjectedFault& fault) override { entries.push_back({now_ps(), fault}); }
  [[nodiscard]] size_t count(FaultKind kind) const {
    size_t sum = 0;
    for (const Entry& entry : entries) sum += entry.fault.kind == kind ? 1 : 0;
    return sum;
  }
  std::vector<Entry> entries;
};

inline NodeOptions small_node() {
  NodeOptions options;
  options.memory_bytes = 4096;
  return options;
}

// One NIC with a VI that is hit and one beside it.
struct FaultRig {
  FaultRig() : a("a", kMacA), b("b", kMacB, small_node()) {
    a.device().set_fault_observer(&log);
    a.enable_admin();
    ViOptions options;
    options.vector = 3;
    vi = std::make_unique<TestVi>(a, 0, options);
    options.vector = 4;
    other = std::make_unique<TestVi>(a, 1, options);
  }
  void set(const char* name, double value) {
    EXPECT_TRUE(a.nic.set_property(std::string("fault.") + name, value)) << name;
  }
  void set_in(const char* name, uint64_t delay_ns) {
    const uint64_t at_ns = now_ps() / 1000 + delay_ns;
    set(name, static_cast<double>(at_ns));
  }
  void expect_error(TestVi& hit, unsigned source, unsigned code) {
    const auto event = hit.next_event();
    ASSERT_TRUE(event.has_value());
    ASSERT_EQ(pst_event_get_type(&*event), PST_EVENT_TYPE_ERROR);
    const pst_error_event error{{event->word[0], event->word[1]}};
    EXPECT_EQ(pst_error_event_get_source(&error), source);
    EXPECT_EQ(pst_error_event_get_code(&error), code);
    EXPECT_FALSE(hit.has_event());
  }
  // The VI beside the one that was hit sends and gets its completion.
  void expect_other_works() {
    const size_t before = a.wire.size();
    other->send(udp_frame());
    run_ns(5000);
    EXPECT_EQ(a.wire.size(), before + 1);
    const auto event = other->next_event();
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(pst_event_get_type(&*event), PST_EVENT_TYPE_TX);
  }
  void receive_all(TestVi& receiver) {
    ASSERT_EQ(receiver.add_filter(PST_FILTER_MATCH_MAC,
                                  [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, kPortAddressA); }),
              static_cast<uint32_t>(PST_ERROR_CODE_OK));
    receiver.post_rx(16);
    run_ns(3000);
  }
  static std::vector<uint8_t> frame_for_a() {
    UdpSpec spec;
    spec.destination = kMacA;
    spec.source = kMacB;
    return udp_frame(spec);
  }
  // Lets time pass until the log has count entries.
  void run_until_faults(size_t count) {
    for (int tries = 0; tries < 10000 && log.entries.size() < count; ++tries) run_ns(10);
    ASSERT_EQ(log.entries.size(), count);
  }
  uint32_t admin_status() { return static_cast<uint32_t>(a.read32(PST_FUNCTION_ADMIN_STATUS_OFFSET)); }

  FreshKernel kernel;
  FaultLog log;
  Node a;
  Node b;  // at the other end of the wire if a test connects it
  std::unique_ptr<TestVi> vi, other;
};

}  // namespace postern::hw_model::test
