// Boundary traffic made by hand, as a host and a faultless device would make it: what a monitor's tests feed it with,
// one access a call. Time goes on by a microsecond with each call unless a test says otherwise.
#pragma once

#include <cstring>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "sim/boundary_observer.h"

namespace postern::sim::test {

struct HandVi {
  uint32_t id = 0;
  uint32_t domain = 0;
  uint64_t host_base = 0;  // the domain's address 0
  uint32_t rx_entries = 128, tx_entries = 128, evq_entries = 128;
  uint32_t events = 0;  // written so far
  uint32_t rx_posted = 0, tx_posted = 0;
  uint32_t rx_done = 0, tx_done = 0;
  uint32_t sequence = 0;
};

class HandTraffic {
 public:
  static constexpr uint64_t kSq = 0x1000, kCq = 0x2000;
  static constexpr uint64_t kRxRing = 0x0, kTxRing = 0x1000, kEvq = 0x2000, kRxBuffers = 0x10000, kTxBuffers = 0x20000;
  static constexpr uint64_t kAreaBytes = 0x40000;

  explicit HandTraffic(BoundaryObserver& to) : to_(to) {}

  uint64_t now_ps = 1000000;
  uint64_t step_ps = 1000000;

  void write(unsigned bar, uint64_t offset, uint64_t value, uint32_t bytes) {
    to_.bar_written(tick(), bar, offset, reinterpret_cast<const uint8_t*>(&value), bytes);
  }
  void read(unsigned bar, uint64_t offset, uint64_t value, uint32_t bytes) {
    const uint64_t issue_ps = tick();
    to_.bar_read(issue_ps, tick(), bar, offset, reinterpret_cast<const uint8_t*>(&value), bytes);
  }
  void dma_read(uint64_t address, const void* data, uint32_t bytes, bool reached = true) {
    to_.dma_read(tick(), address, static_cast<const uint8_t*>(data), bytes, reached);
  }
  void dma_write(uint64_t address, const void* data, uint32_t bytes, bool reached = true) {
    to_.dma_written(tick(), address, static_cast<const uint8_t*>(data), bytes, reached);
  }
  void interrupt(uint32_t vector) { to_.interrupt(tick(), vector); }
  void wait_ns(uint64_t duration_ns) { now_ps += duration_ns * 1000; }

  void enable_admin(uint32_t entries = 16) {
    admin_entries_ = entries;
    admin_idx_ = 0;
    write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, kSq, 8);
    write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_CQ_BASE_OFFSET, kCq, 8);
    write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENTRIES_OFFSET, entries, 4);
    write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENABLE_OFFSET, 1, 4);
  }
  // Doorbell and read of the command.
  void submit(pst_command command) {
    pst_command_set_command_id(&command, admin_idx_ & 0xffff);
    write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_DOORBELL_OFFSET, admin_idx_ + 1, 4);
    dma_read(kSq + admin_idx_ % admin_entries_ * PST_COMMAND_BYTES, &command, sizeof command);
    ++admin_idx_;
  }
  void complete(uint32_t result = 0, uint32_t status = PST_ERROR_CODE_OK) {
    const uint32_t idx = completed_idx_++;
    pst_admin_completion answer{};
    pst_admin_completion_set_command_id(&answer, idx & 0xffff);
    pst_admin_completion_set_status(&answer, status);
    pst_admin_completion_set_result(&answer, result);
    pst_admin_completion_set_phase(&answer, idx / admin_entries_ % 2 == 0 ? 1 : 0);
    dma_write(kCq + idx % admin_entries_ * PST_ADMIN_COMPLETION_BYTES, &answer, sizeof answer);
    write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_CONSUMER_OFFSET, idx + 1, 4);
  }
  void command(const pst_command& command, uint32_t result = 0, uint32_t status = PST_ERROR_CODE_OK) {
    submit(command);
    complete(result, status);
  }
  static pst_command make(unsigned opcode, uint32_t target = 0) {
    pst_command command{};
    pst_command_set_opcode(&command, opcode);
    pst_command_set_target_id(&command, target);
    return command;
  }

  // A domain whose address 0 is host_base, and a VI in it.
  HandVi vi(uint32_t id, uint64_t host_base, void (*adjust)(pst_command&) = nullptr) {
    HandVi made;
    made.id = made.domain = id;
    made.host_base = host_base;
    command(make(PST_COMMAND_PD_ALLOC), id);
    pst_command map = make(PST_COMMAND_TRANSLATION_MAP, id);
    pst_translation_map_set_host_address(&map, host_base);
    pst_translation_map_set_length_bytes(&map, kAreaBytes);
    pst_translation_map_set_writable(&map, 1);
    command(map);
    pst_command alloc = make(PST_COMMAND_VI_ALLOC, id);
    pst_vi_alloc_set_rx_ring_address(&alloc, kRxRing);
    pst_vi_alloc_set_tx_ring_address(&alloc, kTxRing);
    pst_vi_alloc_set_evq_address(&alloc, kEvq);
    pst_vi_alloc_set_rx_entries(&alloc, made.rx_entries);
    pst_vi_alloc_set_tx_entries(&alloc, made.tx_entries);
    pst_vi_alloc_set_evq_entries(&alloc, made.evq_entries);
    pst_vi_alloc_set_vector(&alloc, PST_VECTOR_NONE);
    if (adjust != nullptr) adjust(alloc);
    command(alloc, id);
    return made;
  }
  void doorbell(const HandVi& vi, uint32_t offset, uint64_t value, uint32_t bytes = 4) {
    write(PST_BAR_VI, uint64_t{vi.id} * PST_VI_WINDOW_STRIDE + offset, value, bytes);
  }
  // Posts count buffers of 2 KiB; the device reads the descriptors.
  void post_rx(HandVi& vi, uint32_t count) {
    std::vector<pst_rx_desc> descs(count);
    const uint32_t first = vi.rx_posted;
    for (uint32_t i = 0; i < count; ++i) {
      pst_rx_desc_set_address(&descs[i], kRxBuffers + 2048ull * ((first + i) % 32));
      pst_rx_desc_set_length_bytes(&descs[i], 2048);
    }
    vi.rx_posted += count;
    doorbell(vi, PST_VI_RX_DOORBELL_OFFSET, vi.rx_posted);
    dma_read(vi.host_base + kRxRing + first % vi.rx_entries * 16ull, descs.data(), count * 16);
  }
  // Posts one packet of one fragment; the device reads descriptor and payload.
  void post_tx(HandVi& vi, const std::vector<uint8_t>& bytes) {
    pst_tx_desc desc{};
    pst_tx_desc_set_address(&desc, kTxBuffers + 2048ull * (vi.tx_posted % 32));
    pst_tx_desc_set_length_bytes(&desc, bytes.size());
    pst_tx_desc_set_end_of_packet(&desc, 1);
    const uint32_t idx = vi.tx_posted++;
    doorbell(vi, PST_VI_TX_DOORBELL_OFFSET, vi.tx_posted);
    dma_read(vi.host_base + kTxRing + idx % vi.tx_entries * 16ull, &desc, sizeof desc);
    dma_read(vi.host_base + kTxBuffers + 2048ull * (idx % 32), bytes.data(), static_cast<uint32_t>(bytes.size()));
  }
  // Writes an event with the right phase into the next slot.
  void event(HandVi& vi, pst_event event) {
    pst_event_set_phase(&event, vi.events / vi.evq_entries % 2 == 0 ? 1 : 0);
    dma_write(vi.host_base + kEvq + vi.events % vi.evq_entries * 16ull, &event, sizeof event);
    ++vi.events;
  }
  static pst_event timer_event(uint32_t sequence = 1) {
    pst_timer_event event{};
    pst_timer_event_set_type(&event, PST_EVENT_TYPE_TIMER);
    pst_timer_event_set_sequence(&event, sequence);
    return {{event.word[0], event.word[1]}};
  }
  static pst_event error_event(uint32_t source, uint32_t code, uint32_t index = 0) {
    pst_error_event event{};
    pst_error_event_set_type(&event, PST_EVENT_TYPE_ERROR);
    pst_error_event_set_source(&event, source);
    pst_error_event_set_code(&event, code);
    pst_error_event_set_index(&event, index);
    return {{event.word[0], event.word[1]}};
  }
  static pst_event tx_event(uint32_t consumer_idx) {
    pst_tx_event event{};
    pst_tx_event_set_type(&event, PST_EVENT_TYPE_TX);
    pst_tx_event_set_tx_consumer_idx(&event, consumer_idx);
    return {{event.word[0], event.word[1]}};
  }
  static pst_event rx_event(uint32_t consumer_idx, uint32_t length_bytes, uint32_t desc_count = 1) {
    pst_rx_event event{};
    pst_rx_event_set_type(&event, PST_EVENT_TYPE_RX);
    pst_rx_event_set_length_bytes(&event, length_bytes);
    pst_rx_event_set_desc_count(&event, desc_count);
    pst_rx_event_set_rx_consumer_idx(&event, consumer_idx);
    return {{event.word[0], event.word[1]}};
  }
  void frame_arrives(const std::vector<uint8_t>& bytes) {
    auto frame = std::make_shared<EthernetFrame>();
    frame->bytes = bytes;
    to_.frame_received(tick(), frame);
  }
  // Payload into the next posted buffer, then its event.
  void deliver(HandVi& vi, const std::vector<uint8_t>& bytes) {
    payload(vi, bytes);
    event(vi, rx_event(vi.rx_done, static_cast<uint32_t>(bytes.size())));
  }
  void payload(HandVi& vi, const std::vector<uint8_t>& bytes) {
    dma_write(vi.host_base + kRxBuffers + 2048ull * (vi.rx_done % 32), bytes.data(),
              static_cast<uint32_t>(bytes.size()));
    ++vi.rx_done;
  }
  void prime(HandVi& vi, uint32_t consumer_idx) {
    doorbell(vi, PST_VI_EVQ_PRIME_OFFSET, consumer_idx | uint64_t{++vi.sequence} << 32, 8);
  }
  void consume(const HandVi& vi, uint32_t consumer_idx) { doorbell(vi, PST_VI_EVQ_CONSUMER_OFFSET, consumer_idx); }
  void unmask(uint32_t vector) { write(PST_BAR_MSIX, uint64_t{vector} * 16 + 12, 0, 4); }
  void finish() { to_.finish(tick()); }

 private:
  uint64_t tick() { return now_ps += step_ps; }

  BoundaryObserver& to_;
  uint32_t admin_entries_ = 16;
  uint32_t admin_idx_ = 0;
  uint32_t completed_idx_ = 0;
};

}  // namespace postern::sim::test
