// The network interface that is a VI (driver/vi.h): posts receive buffers, decodes events, frees sent buffers, batches
// doorbells. Packet walk: below IPv4, above the VI library. Its slot tables live in the region: which packet is in
// which slot of the rings.
#pragma once

#include "driver/vi.h"
#include "stack/network_interface.h"
#include "stack/region.h"

namespace postern::stack {

class ViNetif final : public NetworkInterface {
 public:
  // rx_slots and tx_slots: as many as the rings have entries.
  ViNetif(Vi vi, StackState* state, uint32_t* rx_slots, uint32_t* tx_slots)
      : vi_(vi), state_(state), rx_slots_(rx_slots), tx_slots_(tx_slots) {}

  [[nodiscard]] bool can_transmit(PacketPool& pool) override;
  void transmit(PacketPool& pool, const TxFrame& frame) override;
  [[nodiscard]] bool transmit_bytes(const uint8_t* frame, uint64_t region_offset, uint16_t length_bytes) override;
  void flush() override;
  [[nodiscard]] size_t poll(PacketPool& pool, RxFrame* frames, size_t max_count, size_t* work) override;
  void refill(PacketPool& pool) override;
  [[nodiscard]] bool has_event() const override { return vi_.has_event(); }
  void prime() override;
  [[nodiscard]] bool failed() const override { return vi_.state().halted_code != 0; }

 private:
  void release_sent(PacketPool& pool, uint32_t first_idx, uint32_t end_idx);
  bool take_received(PacketPool& pool, const ViEvent& event, RxFrame* frame);
  [[nodiscard]] const ViGeometry& geometry() const { return vi_.state().layout.geometry; }

  static constexpr size_t kBatch = 64;
  Vi vi_;
  ViEvent events_[kBatch];  // of poll(); here so that no poll has to clear it
  StackState* state_;
  uint32_t* rx_slots_;
  uint32_t* tx_slots_;
};

}  // namespace postern::stack
