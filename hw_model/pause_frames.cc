// The port's pause frames (IEEE 802.3 annex 31B): obeys those of the peer, sends its own when the receive buffer runs
// full. See mac_port.h.
#include <algorithm>

#include "hw_model/agenda.h"
#include "hw_model/frame_parser.h"
#include "hw_model/frame_pool.h"
#include "hw_model/mac_port.h"
#include "hw_model/port_statistics.h"
#include "hw_model/tx_dma.h"

namespace postern::hw_model {

namespace {
constexpr uint16_t kEthertypeMacControl = 0x8808;
constexpr uint16_t kOpcodePause = 1;
constexpr uint64_t kPauseAddress = 0x010000c28001ull;  // 01-80-C2-00-00-01
constexpr uint32_t kOpcodeOffset = 14;
constexpr uint32_t kQuantaOffset = 16;
}  // namespace

void MacPort::set_pause(bool on) {
  if (pause_ && !on) {
    if (asked_to_pause_) send_pause(0);
    asked_to_pause_ = false;
    ++asked_generation_;
    obey_pause(0);
  }
  pause_ = on;
}

// True: it was one. A port that does not obey pause frames discards them all the same. One that has looped back comes
// from a VI, which may not hold up the others.
bool MacPort::take_pause_frame(const sim::FramePtr& frame, bool looped_back) {
  const uint8_t* bytes = frame->bytes.data();
  if (frame->bytes.size() < PST_LIMIT_FRAME_BYTES_MIN) return false;
  if (load_be16(bytes + 12) != kEthertypeMacControl || load_be16(bytes + kOpcodeOffset) != kOpcodePause) return false;
  const uint64_t destination = load_address(bytes, 6);
  if (destination != kPauseAddress && destination != address_) return false;
  ++nic_.statistics->rx_pause_frames;
  if (pause_ && !looped_back) obey_pause(load_be16(bytes + kQuantaOffset));
  return true;
}

// A frame that is on the wire, or has been taken for it, is finished (annex 31B.3.3 wants no more).
void MacPort::obey_pause(uint32_t quanta) {
  const uint64_t now = Agenda::now_ps();
  pause_until_ps_ = now + static_cast<uint64_t>(quanta) * kPauseQuantumBytes * ps_per_byte_;
  ++pause_generation_;
  if (quanta == 0) return resume(pause_generation_, 0, 0, 0);
  nic_.agenda->at<&MacPort::resume>(pause_until_ps_, this, pause_generation_);
}

void MacPort::resume(uint64_t generation, uint64_t, uint64_t, uint64_t) {
  if (generation == pause_generation_ && !sending_) next();
}

void MacPort::buffer_level_changed(uint32_t bytes) {
  if (!asked_to_pause_ && bytes >= pause_high_bytes_) {
    asked_to_pause_ = true;
    refresh_pause(++asked_generation_, 0, 0, 0);
  } else if (asked_to_pause_ && bytes <= pause_low_bytes_) {
    asked_to_pause_ = false;
    ++asked_generation_;
    send_pause(0);
  }
}

void MacPort::refresh_pause(uint64_t generation, uint64_t, uint64_t, uint64_t) {
  if (generation != asked_generation_) return;
  const auto quanta = static_cast<uint32_t>(pause_quanta_);
  send_pause(quanta);
  const uint64_t half_ps = static_cast<uint64_t>(quanta) * kPauseQuantumBytes * ps_per_byte_ / 2;
  nic_.agenda->at<&MacPort::refresh_pause>(Agenda::now_ps() + half_ps, this, generation);
}

// It goes behind the frame on the wire, before all that wait; one that still waits is replaced.
void MacPort::send_pause(uint32_t quanta) {
  pause_frame_due_ = true;
  pause_frame_quanta_ = quanta;
  if (!sending_) next();
}

void MacPort::start_pause_frame() {
  pause_frame_due_ = false;
  sending_ = true;
  const uint64_t first_bit_ps = std::max(Agenda::now_ps(), wire_free_ps_);
  nic_.agenda->at<&MacPort::pause_frame_left>(first_bit_ps + on_wire_ps(PST_LIMIT_FRAME_BYTES_MIN), this,
                                              pause_frame_quanta_);
}

void MacPort::pause_frame_left(uint64_t quanta, uint64_t, uint64_t, uint64_t) {
  const uint64_t first_bit_ps = Agenda::now_ps() - on_wire_ps(PST_LIMIT_FRAME_BYTES_MIN);
  wire_is_free(first_bit_ps, Agenda::now_ps());
  if (!loses_bits_of(first_bit_ps)) put_pause_frame(static_cast<uint32_t>(quanta));
  next();
}

void MacPort::put_pause_frame(uint32_t quanta) {
  const sim::FramePtr frame = nic_.frame_pool->take(PST_LIMIT_FRAME_BYTES_MIN);
  uint8_t* bytes = frame->bytes.data();
  std::fill(frame->bytes.begin(), frame->bytes.end(), uint8_t{0});
  for (unsigned i = 0; i < 6; ++i) {
    bytes[i] = static_cast<uint8_t>(kPauseAddress >> (8 * i));
    bytes[6 + i] = static_cast<uint8_t>(address_ >> (8 * i));
  }
  store_be16(bytes + 12, kEthertypeMacControl);
  store_be16(bytes + kOpcodeOffset, kOpcodePause);
  store_be16(bytes + kQuantaOffset, static_cast<uint16_t>(quanta));
  ++nic_.statistics->tx_pause_frames;
  wire_->deliver(frame);
}

}  // namespace postern::hw_model
