// BAR2: the windows of all VIs. Keeps the last value of each doorbell register (R1), ignores repeated writes (R2),
// checks indices (R12) and tells the block that a doorbell is for. Holds the PIO pages, each built on its first write.
// Packet walk: where a send reaches the device.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"

namespace postern::hw_model {

struct Vi;

class Doorbell {
 public:
  explicit Doorbell(NicBlocks& nic);

  void reset();
  // FUNCTION.FEATURES bits of what this block offers.
  [[nodiscard]] uint32_t features() const;
  // The window of a VI that starts reads as zero.
  void clear_window(uint32_t vi_id);

  void write(uint64_t offset, unsigned width_bytes, uint64_t value);
  [[nodiscard]] uint64_t read(uint64_t offset, unsigned width_bytes) const;

  // A write of any length into a PIO page, in one piece; offset is that in the BAR. What leaves the page is a bad
  // access.
  void write_pio(uint64_t offset, const void* data, uint32_t bytes);
  // Bytes of a VI's PIO page as last written, 0 where nothing was; offset + bytes <= PIO_BYTES.
  void read_pio(uint32_t vi_id, uint32_t offset, void* data, uint32_t bytes) const;

 private:
  static constexpr uint32_t kRegisterBytes = 0x58;  // doorbell registers lie below this offset, one each 8 bytes
  using Window = std::array<uint64_t, kRegisterBytes / 8>;
  using PioPage = std::array<uint8_t, PST_LIMIT_PIO_BYTES>;

  void write_page(uint32_t vi_id, uint32_t offset, unsigned width_bytes, uint64_t value);
  void ring(Vi& vi, uint32_t offset, uint64_t value);
  void ring_rx(Vi& vi, uint32_t producer_idx);
  void ring_tx(Vi& vi, uint32_t producer_idx);
  void ring_push(Vi& vi, uint32_t producer_idx);
  void ring_pio(Vi& vi, uint64_t value);
  bool next_after_completed(Vi& vi, uint32_t producer_idx);
  void post_descriptor(Vi& vi, const pst_tx_desc& desc);
  void ring_consumer(Vi& vi, uint32_t consumer_idx);
  void ring_prime(Vi& vi, uint64_t value);
  void bad(Vi& vi, uint32_t index);
  void unsupported(Vi& vi, uint32_t index);
  [[nodiscard]] const uint64_t* cell(uint64_t offset, unsigned width_bytes) const;

  NicBlocks& nic_;
  const double& push_property_;
  const double& pio_property_;
  std::vector<std::unique_ptr<Window>> windows_;  // built on the first write
  std::vector<std::unique_ptr<PioPage>> pio_pages_;
};

}  // namespace postern::hw_model
