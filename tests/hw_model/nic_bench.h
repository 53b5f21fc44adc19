// Test bench for the NIC model over its real sockets: host memory as a TLM target, BAR accesses, an MSI-X sink and a
// wire end that records or forwards. Test bodies are procedural: they write, let time pass, and look.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn
#include <systemc>
#include <tlm>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "sim/monitor/monitored_nic.h"

namespace postern::hw_model::test {

constexpr std::array<uint8_t, 6> kMacA{0x02, 0x50, 0x4e, 0, 0, 0x0a};
constexpr std::array<uint8_t, 6> kMacB{0x02, 0x50, 0x4e, 0, 0, 0x0b};
constexpr uint32_t kIpA = 0x0a090001;  // 10.9.0.1, host byte order
constexpr uint32_t kIpB = 0x0a090002;

// A fresh SystemC kernel, so that several tests can run in one process. Must be built before any module.
class FreshKernel {
 public:
  FreshKernel();
};

struct Interrupt {
  uint64_t time_ps;
  uint32_t vector;
};

struct WireFrame {
  uint64_t time_ps;
  sim::FramePtr frame;
};

struct DmaAccess {
  uint64_t time_ps;
  bool write;
  uint64_t address;
  uint32_t bytes;
};

struct NodeOptions {
  size_t memory_bytes = 32u << 20;
  bool monitored = true;  // false: no tap and no monitor, for measurements
  std::string device;     // "model" or "rtl"; empty: test_device()
  // Puts a device of the test's own between the NIC and the tap, e.g. one that breaks a rule.
  std::function<std::unique_ptr<sim::NicDevice>(sim::NicDevice& inner)> decorate;
};

// What the tests drive: "model", or what the environment variable POSTERN_TEST_DEVICE says ("rtl").
[[nodiscard]] const char* test_device();

// One NIC with its host, and a monitor around it. Each violation of the contract fails the test when the node goes, but
// for those of rules that the test expects to be broken.
class Node : public sc_core::sc_module,
             public sim::MsixIf,
             public sim::ViLifecycleIf,
             public sim::EthernetIf,
             public tlm::tlm_fw_transport_if<>,
             public tlm::tlm_bw_transport_if<> {
 public:
  Node(const sc_core::sc_module_name& module_name, const std::array<uint8_t, 6>& mac, const NodeOptions& options = {});
  ~Node() override;

  // What the host sees: the tap around the NIC, or the NIC.
  [[nodiscard]] sim::NicDevice& device() { return *device_; }
  // The test breaks this rule, or has a device that does; it fails if the monitor does not see it.
  void expect_violation(sim::Rule rule) { expected_rules_.insert(rule); }
  // Tells the monitor that the run is over, and fails the test for what it has found. The destructor does it otherwise.
  void finish_monitor();

  // --- BARs. Writes are posted; reads run the simulation until the answer is there.
  void bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned width_bytes);
  uint64_t bar_read(unsigned bar, uint64_t offset, unsigned width_bytes);
  void write32(uint64_t offset, uint64_t value) { bar_write(PST_BAR_FUNCTION, offset, value, 4); }
  void write64(uint64_t offset, uint64_t value) { bar_write(PST_BAR_FUNCTION, offset, value, 8); }
  uint64_t read32(uint64_t offset) { return bar_read(PST_BAR_FUNCTION, offset, 4); }

  // --- admin queue
  void enable_admin(uint32_t entries = 64);
  // Runs the simulation until the completion is there. Fails the test after 81 ms.
  pst_admin_completion command(pst_command command);
  uint32_t submit(pst_command command);  // returns its index; completion() looks
  std::optional<pst_admin_completion> completion(uint32_t idx);
  uint32_t status(const pst_command& c) {
    return static_cast<uint32_t>(pst_admin_completion_get_status(completion_of(c)));
  }

  // --- memory
  template <class T>
  T& at(uint64_t address) {
    return *reinterpret_cast<T*>(memory.data() + address);
  }

  uint64_t counter(const std::string& name) const;
  uint64_t drops_total(const std::string& prefix) const;  // sum of drops.<prefix>*

  void raise(uint32_t vector) override;
  void vi_started(uint32_t vi_id) override { started.push_back(vi_id); }
  void vi_stopped(uint32_t vi_id) override { stopped.push_back(vi_id); }
  void deliver(const sim::FramePtr& frame) override;
  void set_link(bool up) override {
    if (peer != nullptr) peer->device().wire_export->set_link(up);
  }
  void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) override;
  tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
    return tlm::TLM_COMPLETED;
  }
  bool get_direct_mem_ptr(tlm::tlm_generic_payload&, tlm::tlm_dmi&) override { return false; }
  unsigned int transport_dbg(tlm::tlm_generic_payload& payload) override;
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
    return tlm::TLM_COMPLETED;
  }
  void invalidate_direct_mem_ptr(sc_dt::uint64, sc_dt::uint64) override {}

  const std::unique_ptr<sim::NicDevice> owned_nic;
  sim::NicDevice& nic;
  std::unique_ptr<sim::NicDevice> decorator;
  std::unique_ptr<sim::MonitoredNic> monitored;  // null without monitor
  tlm::tlm_target_socket<64> memory_socket;
  tlm::tlm_initiator_socket<64> cpu_socket;
  std::vector<uint8_t> memory;
  std::vector<Interrupt> interrupts;
  std::vector<WireFrame> wire;  // frames that left
  std::vector<uint32_t> started, stopped;
  bool record_dma = false;
  std::vector<DmaAccess> dma;
  Node* peer = nullptr;  // gets the frames that leave
  bool record_wire = true;
  uint64_t last_frame_ps = 0;
  uint64_t frame_count = 0;

 private:
  pst_admin_completion* completion_of(const pst_command& c);

  sim::NicDevice* device_ = nullptr;
  std::set<sim::Rule> expected_rules_;
  bool finished_ = false;
  uint32_t admin_entries_ = 0;
  uint32_t admin_producer_idx_ = 0;
  pst_admin_completion last_{};
};

// Memory map of a node: admin rings at the bottom, then a fixed area for each VI.
constexpr uint64_t kAdminSq = 0x10000;
constexpr uint64_t kAdminCq = 0x20000;
constexpr uint64_t kScratch = 0x30000;
constexpr uint64_t kViArea = 0x100000;
constexpr uint64_t kViAreaBytes = 0x200000;
constexpr uint64_t kRxRing = 0x0, kTxRing = 0x10000, kEvq = 0x20000, kRxBuffers = 0x100000, kTxBuffers = 0x180000;

struct ViOptions {
  uint32_t rx_entries = 128;
  uint32_t tx_entries = 128;
  uint32_t evq_entries = 256;
  uint32_t policy = PST_EVQ_POLICY_STALL;
  bool rx_prefix = false;
  bool any_source = true;
  bool vlan_strip = false;
  uint32_t merge_count = 0;
  uint32_t vector = PST_VECTOR_NONE;
  uint32_t holdoff_ns = 0;
  uint32_t holdoff_events = 0;
  uint32_t rate_limit_mbps = 0;
  uint32_t weight = 0;
  bool map = true;                 // map the VI's area at domain_base
  std::optional<uint32_t> domain;  // an existing domain; otherwise one is made
  uint64_t domain_base = 0;        // domain address of the VI's area
};

// A driver of one VI, by hand.
class TestVi {
 public:
  TestVi(Node& node, uint32_t area, const ViOptions& options = {});

  void doorbell(uint32_t offset, uint64_t value, unsigned width_bytes = 4);
  void post_rx(uint32_t count, uint32_t bytes = 2048);  // buffers in ring order, 2 KiB apart; rings the doorbell
  void write_rx_desc(uint32_t idx, uint64_t address, uint32_t bytes);
  void forget();  // all indices are 0 again: after VI_RESET
  // One packet in one fragment; does not ring the doorbell.
  void queue_tx(const std::vector<uint8_t>& bytes, void (*adjust)(pst_tx_desc&) = nullptr);
  void queue_desc(const pst_tx_desc& desc);
  void ring_tx() { doorbell(PST_VI_TX_DOORBELL_OFFSET, tx_idx); }
  void send(const std::vector<uint8_t>& bytes) {
    queue_tx(bytes);
    ring_tx();
  }
  bool has_event() const;
  std::optional<pst_event> next_event();  // consumes it (does not return space)
  std::vector<pst_event> events();        // all that are there
  void return_space() { doorbell(PST_VI_EVQ_CONSUMER_OFFSET, evq_idx); }
  void prime() { doorbell(PST_VI_EVQ_PRIME_OFFSET, prime_value(), 8); }
  uint64_t prime_value() { return evq_idx | static_cast<uint64_t>(++sequence) << 32; }
  uint8_t* rx_buffer(uint32_t idx) { return node.memory.data() + base + kRxBuffers + 2048ull * (idx % 256); }
  uint32_t add_filter(unsigned match,
                      void (*adjust)(pst_command&) = nullptr);  // returns the status; last_filter is the id

  Node& node;
  ViOptions options;
  uint64_t base;
  uint32_t pd = 0, id = 0, alloc_status = 0, last_filter = 0;
  uint32_t rx_idx = 0, tx_idx = 0, evq_idx = 0;
  uint16_t sequence = 0;
};

pst_command make_command(unsigned opcode, uint32_t target = 0);

// Frames
struct UdpSpec {
  std::array<uint8_t, 6> destination = kMacB, source = kMacA;
  uint32_t source_ip = kIpA, destination_ip = kIpB;
  uint16_t source_port = 1000, destination_port = 2000;
  size_t frame_bytes = 60;
  bool checksums = true;
  uint8_t protocol = 17;
};
std::vector<uint8_t> udp_frame(const UdpSpec& spec = {});
std::vector<uint8_t> arp_frame(const std::array<uint8_t, 6>& source, uint32_t sender_ip, uint32_t target_ip);
// Puts a frame on the node's wire now.
sim::FramePtr arrive(Node& node, const std::vector<uint8_t>& bytes, bool bad_fcs = false);

void run_ns(uint64_t duration_ns);
uint64_t now_ps();
inline uint32_t be16(const uint8_t* p) { return static_cast<uint32_t>(p[0] << 8 | p[1]); }

}  // namespace postern::hw_model::test
