// Test bench for the NIC model. See nic_bench.h.
#include "tests/hw_model/nic_bench.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/nic_factory.h"

namespace postern::hw_model::test {

FreshKernel::FreshKernel() {
  sc_core::sc_curr_simcontext =
      new sc_core::sc_simcontext();  // the old one is abandoned: modules of an earlier test live in it
  sc_core::sc_default_global_context = sc_core::sc_curr_simcontext;
}

void run_ns(uint64_t duration_ns) {
  if (duration_ns == 0) return;

  sc_core::sc_start(sc_core::sc_time(static_cast<double>(duration_ns), sc_core::SC_NS));
}
uint64_t now_ps() { return sc_core::sc_time_stamp().value(); }

const char* test_device() {
  const char* device = std::getenv("POSTERN_TEST_DEVICE");
  return device == nullptr ? "model" : device;
}

Node::Node(const sc_core::sc_module_name& module_name, const std::array<uint8_t, 6>& mac, const NodeOptions& options)
    : sc_module(module_name),
      owned_nic(sim::make_nic(options.device.empty() ? test_device() : options.device, "nic", mac)),
      nic(*owned_nic),
      memory_socket("memory"),
      cpu_socket("cpu"),
      memory(options.memory_bytes) {
  memory_socket.bind(static_cast<tlm::tlm_fw_transport_if<>&>(*this));
  cpu_socket.bind(static_cast<tlm::tlm_bw_transport_if<>&>(*this));
  device_ = &nic;
  if (options.decorate) {
    decorator = options.decorate(*device_);
    device_ = decorator.get();
  }
  if (options.monitored) {
    monitored = std::make_unique<sim::MonitoredNic>("tap", *device_, mac, name());
    device_ = &monitored->tap();
  }
  device_->dma_socket.bind(memory_socket);
  cpu_socket.bind(device_->bar_socket);
  device_->msix_port.bind(*this);
  device_->lifecycle_port.bind(*this);
  device_->wire_port.bind(*this);
}

Node::~Node() { finish_monitor(); }

void Node::finish_monitor() {
  if (!monitored || finished_) return;
  finished_ = true;
  monitored->finish();
  const sim::BoundaryMonitor* monitor = &monitored->monitor();
  bool unexpected = false;
  for (size_t i = 0; i < sim::kRuleCount; ++i) {
    const auto rule = static_cast<sim::Rule>(i);
    const bool expected = expected_rules_.count(rule) != 0;
    unexpected |= !expected && monitor->violation_count(rule) != 0;
    if (expected && monitor->violation_count(rule) == 0)
      ADD_FAILURE() << "the monitor has not seen the violation of " << sim::rule_name(rule) << "\n" << monitor->text();
  }
  if (unexpected) ADD_FAILURE() << monitor->text();
}

void Node::bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned width_bytes) {
  tlm::tlm_generic_payload payload;
  payload.set_command(tlm::TLM_WRITE_COMMAND);
  payload.set_address(sim::bar_address(bar, offset));
  payload.set_data_ptr(reinterpret_cast<unsigned char*>(&value));
  payload.set_data_length(width_bytes);
  payload.set_streaming_width(width_bytes);
  sc_core::sc_time delay;
  cpu_socket->b_transport(payload, delay);
  EXPECT_EQ(payload.get_response_status(), tlm::TLM_OK_RESPONSE);
}

uint64_t Node::bar_read(unsigned bar, uint64_t offset, unsigned width_bytes) {
  uint64_t value = 0;
  bool done = false;
  sc_core::sc_spawn([&] {
    tlm::tlm_generic_payload payload;
    payload.set_command(tlm::TLM_READ_COMMAND);
    payload.set_address(sim::bar_address(bar, offset));
    payload.set_data_ptr(reinterpret_cast<unsigned char*>(&value));
    payload.set_data_length(width_bytes);
    payload.set_streaming_width(width_bytes);
    sc_core::sc_time delay;
    cpu_socket->b_transport(payload, delay);
    done = true;
  });
  for (int tries = 0; tries < 20000 && !done; ++tries) run_ns(tries < 10000 ? 10 : 1000);
  EXPECT_TRUE(done) << "BAR read did not return";
  return value;
}

void Node::enable_admin(uint32_t entries) {
  admin_entries_ = entries;
  admin_producer_idx_ = 0;
  std::memset(memory.data() + kAdminCq, 0, entries * PST_ADMIN_COMPLETION_BYTES);
  write64(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, kAdminSq);
  write64(PST_FUNCTION_ADMIN_CQ_BASE_OFFSET, kAdminCq);
  write32(PST_FUNCTION_ADMIN_ENTRIES_OFFSET, entries);
  write32(PST_FUNCTION_ADMIN_ENABLE_OFFSET, 1);
}

uint32_t Node::submit(pst_command command) {
  const uint32_t idx = admin_producer_idx_++;
  pst_command_set_command_id(&command, 0x4000 + idx);
  at<pst_command>(kAdminSq + idx % admin_entries_ * PST_COMMAND_BYTES) = command;
  write32(PST_FUNCTION_ADMIN_DOORBELL_OFFSET, admin_producer_idx_);
  return idx;
}

std::optional<pst_admin_completion> Node::completion(uint32_t idx) {
  const auto& slot = at<pst_admin_completion>(kAdminCq + idx % admin_entries_ * PST_ADMIN_COMPLETION_BYTES);
  const bool odd_pass = idx / admin_entries_ & 1;
  if (pst_admin_completion_get_phase(&slot) == (odd_pass ? 1u : 0u)) return std::nullopt;
  return slot;
}

pst_admin_completion Node::command(pst_command command) {
  const uint32_t idx = submit(command);
  for (int tries = 0; tries < 100000; ++tries) {  // 1 ms, and 80 ms more where much is in flight on a slow link
    run_ns(tries < 20000 ? 50 : 1000);
    if (const auto answer = completion(idx)) {
      EXPECT_EQ(pst_admin_completion_get_command_id(&*answer), (0x4000 + idx) & 0xffff);
      write32(PST_FUNCTION_ADMIN_CONSUMER_OFFSET, idx + 1);
      return *answer;
    }
  }
  ADD_FAILURE() << "no admin completion for opcode " << pst_command_get_opcode(&command) << "; ADMIN_STATUS "
                << read32(PST_FUNCTION_ADMIN_STATUS_OFFSET);
  return {};
}

pst_admin_completion* Node::completion_of(const pst_command& c) {
  last_ = command(c);
  return &last_;
}

uint64_t Node::counter(const std::string& name) const {
  for (const sim::Counter& counter : nic.counters()) {
    if (counter.name == name) return counter.value;
  }
  ADD_FAILURE() << "no counter " << name;
  return 0;
}

uint64_t Node::drops_total(const std::string& prefix) const {
  uint64_t sum = 0;
  for (const sim::Counter& counter : nic.counters()) {
    if (counter.name.rfind("drops." + prefix, 0) == 0) sum += counter.value;
  }
  return sum;
}

void Node::raise(uint32_t vector) { interrupts.push_back({now_ps(), vector}); }

void Node::deliver(const sim::FramePtr& frame) {
  last_frame_ps = now_ps();
  ++frame_count;
  if (record_wire) wire.push_back({now_ps(), frame});
  if (peer != nullptr) peer->device().wire_export->deliver(frame);
}

void Node::b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time&) {
  const uint64_t address = payload.get_address();
  const uint32_t bytes = payload.get_data_length();
  if (record_dma) dma.push_back({now_ps(), payload.is_write(), address, bytes});
  if (address >= memory.size() || bytes > memory.size() - address) {
    payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
    return;
  }
  if (payload.is_write()) {
    std::memcpy(memory.data() + address, payload.get_data_ptr(), bytes);
  } else {
    std::memcpy(payload.get_data_ptr(), memory.data() + address, bytes);
  }
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

unsigned int Node::transport_dbg(tlm::tlm_generic_payload& payload) {
  const uint64_t address = payload.get_address();
  const uint32_t bytes = payload.get_data_length();
  if (!payload.is_read() || address >= memory.size() || bytes > memory.size() - address) return 0;
  std::memcpy(payload.get_data_ptr(), memory.data() + address, bytes);
  return bytes;
}

pst_command make_command(unsigned opcode, uint32_t target) {
  pst_command command{};
  pst_command_set_opcode(&command, opcode);
  pst_command_set_target_id(&command, target);
  return command;
}

TestVi::TestVi(Node& node_in, uint32_t area, const ViOptions& options_in)
    : node(node_in), options(options_in), base(kViArea + area * kViAreaBytes) {
  std::memset(node.memory.data() + base, 0, kViAreaBytes);
  if (options.domain) {
    pd = *options.domain;
  } else {
    const pst_admin_completion allocated = node.command(make_command(PST_COMMAND_PD_ALLOC));
    pd = static_cast<uint32_t>(pst_admin_completion_get_result(&allocated));
  }
  if (options.map) {
    pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, pd);
    pst_translation_map_set_domain_address(&map, options.domain_base);
    pst_translation_map_set_host_address(&map, base);
    pst_translation_map_set_length_bytes(&map, kViAreaBytes);
    pst_translation_map_set_writable(&map, 1);
    EXPECT_EQ(node.status(map), PST_ERROR_CODE_OK);
  }
  pst_command c = make_command(PST_COMMAND_VI_ALLOC, pd);
  pst_vi_alloc_set_rx_ring_address(&c, options.domain_base + kRxRing);
  pst_vi_alloc_set_tx_ring_address(&c, options.domain_base + kTxRing);
  pst_vi_alloc_set_evq_address(&c, options.domain_base + kEvq);
  pst_vi_alloc_set_rx_entries(&c, options.rx_entries);
  pst_vi_alloc_set_tx_entries(&c, options.tx_entries);
  pst_vi_alloc_set_evq_entries(&c, options.evq_entries);
  pst_vi_alloc_set_evq_policy(&c, options.policy);
  pst_vi_alloc_set_rx_prefix(&c, options.rx_prefix);
  pst_vi_alloc_set_mac_any_source(&c, options.any_source);
  pst_vi_alloc_set_vlan_strip(&c, options.vlan_strip);
  pst_vi_alloc_set_merge_count(&c, options.merge_count);
  pst_vi_alloc_set_vector(&c, options.vector);
  pst_vi_alloc_set_holdoff_ns(&c, options.holdoff_ns);
  pst_vi_alloc_set_holdoff_events(&c, options.holdoff_events);
  pst_vi_alloc_set_rate_limit_mbps(&c, options.rate_limit_mbps);
  pst_vi_alloc_set_weight(&c, options.weight);
  const pst_admin_completion answer = node.command(c);
  alloc_status = static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
  id = static_cast<uint32_t>(pst_admin_completion_get_result(&answer));
  if (options.vector != PST_VECTOR_NONE) node.bar_write(PST_BAR_MSIX, options.vector * 16 + 12, 0, 4);
}

void TestVi::doorbell(uint32_t offset, uint64_t value, unsigned width_bytes) {
  node.bar_write(PST_BAR_VI, static_cast<uint64_t>(id) * PST_VI_WINDOW_STRIDE + offset, value, width_bytes);
}

void TestVi::write_rx_desc(uint32_t idx, uint64_t address, uint32_t bytes) {
  pst_rx_desc desc{};
  pst_rx_desc_set_address(&desc, address);
  pst_rx_desc_set_length_bytes(&desc, bytes);
  node.at<pst_rx_desc>(base + kRxRing + idx % options.rx_entries * PST_RX_DESC_BYTES) = desc;
}

void TestVi::post_rx(uint32_t count, uint32_t bytes) {
  for (uint32_t i = 0; i < count; ++i, ++rx_idx)
    write_rx_desc(rx_idx, options.domain_base + kRxBuffers + 2048ull * (rx_idx % 256), bytes);
  doorbell(PST_VI_RX_DOORBELL_OFFSET, rx_idx);
}

void TestVi::forget() {
  rx_idx = tx_idx = evq_idx = 0;
  sequence = 0;
}

void TestVi::queue_desc(const pst_tx_desc& desc) {
  node.at<pst_tx_desc>(base + kTxRing + tx_idx++ % options.tx_entries * PST_TX_DESC_BYTES) = desc;
}

void TestVi::queue_tx(const std::vector<uint8_t>& bytes, void (*adjust)(pst_tx_desc&)) {
  const uint64_t address = kTxBuffers + 2048ull * (tx_idx % 256);
  std::memcpy(node.memory.data() + base + address, bytes.data(), bytes.size());
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, options.domain_base + address);
  pst_tx_desc_set_length_bytes(&desc, bytes.size());
  pst_tx_desc_set_end_of_packet(&desc, 1);
  if (adjust != nullptr) adjust(desc);
  queue_desc(desc);
}

bool TestVi::has_event() const {
  const auto& slot = node.at<pst_event>(base + kEvq + evq_idx % options.evq_entries * PST_EVENT_BYTES);
  const bool odd_pass = evq_idx / options.evq_entries & 1;
  return pst_event_get_phase(&slot) == (odd_pass ? 0u : 1u);
}

std::optional<pst_event> TestVi::next_event() {
  if (!has_event()) return std::nullopt;
  return node.at<pst_event>(base + kEvq + evq_idx++ % options.evq_entries * PST_EVENT_BYTES);
}

std::vector<pst_event> TestVi::events() {
  std::vector<pst_event> events;
  while (const auto event = next_event()) events.push_back(*event);
  return events;
}

uint32_t TestVi::add_filter(unsigned match, void (*adjust)(pst_command&)) {
  pst_command c = make_command(PST_COMMAND_FILTER_INSERT, id);
  pst_filter_insert_set_match(&c, match);
  if (match <= PST_FILTER_MATCH_LISTENER_ANY) {
    pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV4);
    pst_filter_insert_set_protocol(&c, 17);
  }
  if (adjust != nullptr) adjust(c);
  const pst_admin_completion answer = node.command(c);
  last_filter = static_cast<uint32_t>(pst_admin_completion_get_result(&answer));
  return static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
}

namespace {

void put16(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

void put32(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  put16(bytes, at, value >> 16);
  put16(bytes, at + 2, value & 0xffff);
}

// The plain way of RFC 1071, unlike the model's.
uint32_t sum16(const std::vector<uint8_t>& bytes, size_t from, size_t to) {
  uint32_t sum = 0;
  for (size_t i = from; i < to; i += 2) sum += static_cast<uint32_t>(bytes[i] << 8) | (i + 1 < to ? bytes[i + 1] : 0u);
  return sum;
}

uint16_t finish(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace

std::vector<uint8_t> udp_frame(const UdpSpec& spec) {
  std::vector<uint8_t> bytes(spec.frame_bytes);
  std::copy(spec.destination.begin(), spec.destination.end(), bytes.begin());
  std::copy(spec.source.begin(), spec.source.end(), bytes.begin() + 6);
  put16(bytes, 12, 0x0800);
  bytes[14] = 0x45;
  put16(bytes, 16, static_cast<uint32_t>(spec.frame_bytes - 14));
  bytes[22] = 64;
  bytes[23] = spec.protocol;
  put32(bytes, 26, spec.source_ip);
  put32(bytes, 30, spec.destination_ip);
  put16(bytes, 34, spec.source_port);
  put16(bytes, 36, spec.destination_port);
  const uint32_t l4_bytes = static_cast<uint32_t>(spec.frame_bytes - 34);
  if (spec.protocol == 17) put16(bytes, 38, l4_bytes);
  for (size_t i = 54; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7);
  if (!spec.checksums) return bytes;
  put16(bytes, 24, finish(sum16(bytes, 14, 34)));
  const size_t field = spec.protocol == 17 ? 40 : 50;
  put16(bytes, field, finish(sum16(bytes, 26, 34) + spec.protocol + l4_bytes + sum16(bytes, 34, bytes.size())));
  return bytes;
}

std::vector<uint8_t> arp_frame(const std::array<uint8_t, 6>& source, uint32_t sender_ip, uint32_t target_ip) {
  std::vector<uint8_t> bytes(60);
  std::fill(bytes.begin(), bytes.begin() + 6, static_cast<uint8_t>(0xff));
  std::copy(source.begin(), source.end(), bytes.begin() + 6);
  put16(bytes, 12, 0x0806);
  put16(bytes, 14, 1);
  put16(bytes, 16, 0x0800);
  bytes[18] = 6;
  bytes[19] = 4;
  put16(bytes, 20, 1);
  std::copy(source.begin(), source.end(), bytes.begin() + 22);
  put32(bytes, 28, sender_ip);
  put32(bytes, 38, target_ip);
  return bytes;
}

sim::FramePtr arrive(Node& node, const std::vector<uint8_t>& bytes, bool bad_fcs) {
  auto frame = std::make_shared<sim::EthernetFrame>();
  frame->bytes = bytes;
  frame->bad_fcs = bad_fcs;
  node.device().wire_export->deliver(frame);
  return frame;
}

}  // namespace postern::hw_model::test

// The linker wants it; gtest's main runs the tests and each test runs the kernel itself.
int sc_main(int, char**) { return 0; }
