// VI_RESET of a VI that is busy. How far it got is up to time, so of the torn life the common part is compared, and all
// that comes behind it as ever: nothing of it may be left. See twin.h.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tests/equivalence/twin.h"

namespace postern::equivalence {

using namespace hw_model::test;  // NOLINT(google-build-using-namespace): the bench

namespace {

constexpr uint32_t kFramesMost = 30;  // that arrive while the VI is torn down
constexpr uint32_t kSendsMost = 6;

template <typename T>
void cut_to_common_length(std::vector<T>& a, std::vector<T>& b) {
  const size_t common = std::min(a.size(), b.size());
  a.resize(common);
  b.resize(common);
}

}  // namespace

bool Twin::reset_busy(uint32_t index, SoakRandom& random) {
  Seat& seat = seats_[index];
  for (const Seat& each : seats_) {
    if (each.primed && each.wakes_vi) return false;  // its wakeup might come to this VI, or not from it any more
  }
  UdpSpec spec = spec_from_b();
  spec.destination_port = static_cast<uint16_t>(2000 + index);
  spec.frame_bytes = 60 + random.pick(random.chance(2) ? mtu_bytes_ - 46 : 100);
  const std::vector<uint8_t> bytes = udp_frame(spec);
  const uint32_t frames = random.pick(kFramesMost);
  unmask(index);
  if (!expect_frames(bytes.size(), frames)) return false;
  bool sent = false;
  for (uint32_t n = 1 + random.pick(kSendsMost); n > 0; --n)
    sent |= random.chance(3) ? segment(index, random) : send(index, random);
  if (!sent && frames == 0) return false;
  run_ns(random.pick(3000));
  uint32_t left = frames;
  command(make_command(PST_COMMAND_VI_RESET, seat.side[0].vi->id), [&] {
    for (uint32_t n = random.pick(4); n > 0 && left > 0; --n, --left) arrive_both(bytes, false);
  });
  for (; left > 0; --left) arrive_both(bytes, false);
  if (!rest()) differ("no rest after VI_RESET of a busy VI");
  for (unsigned side = 0; side < kSides; ++side) keep_history(side);
  compare_torn(index);
  reset_vi(index);  // frames may wait for buffers of the life that the first one began
  if (!rest()) differ("no rest after VI_RESET");
  for (unsigned side = 0; side < kSides; ++side) {
    for (const sim::Counter& counter : nodes_[side]->device().counters())
      counter_base_[side][counter.name] = counter.value;
  }
  statistics_base_ = read_statistics();
  return true;
}

void Twin::compare_torn(uint32_t index) {
  std::array<Story, kSides> story;
  bool torn = true;
  for (unsigned side = 0; side < kSides; ++side) {
    read_story(index, side, story[side]);
    torn &= seats_[index].side[side].tx_done_idx != seats_[index].side[side].vi->tx_idx;
  }
  counts_.torn += torn ? 1 : 0;
  const std::string who = fmt::format("VI of seat {}, reset while busy", index);
  cut_to_common_length(story[0].rx, story[1].rx);
  cut_to_common_length(story[0].stamped, story[1].stamped);
  cut_to_common_length(story[0].buffers, story[1].buffers);
  compare_lists(who + ": RX events", story[0].rx, story[1].rx);
  compare_lists(who + ": TX events with time stamps", story[0].stamped, story[1].stamped);
  compare_lists(who + ": other events", story[0].others, story[1].others);
  if (difference_.empty()) compare_buffers(index, story[0]);
  compare_slots(index);
  // Its frames, which go to its own destination, and its interrupts.
  std::array<std::vector<std::string>, kSides> frames;
  for (unsigned side = 0; side < kSides; ++side) {
    Node& node = *nodes_[side];
    const auto own = [index](const WireFrame& frame) { return frame.frame->bytes[4] == 0x10 + index; };
    for (const WireFrame& frame : node.wire) {
      if (own(frame)) frames[side].push_back(frame_text(*frame.frame));
    }
    node.wire.erase(std::remove_if(node.wire.begin(), node.wire.end(), own), node.wire.end());
    const auto of_vector = [index](const Interrupt& interrupt) { return interrupt.vector == index; };
    node.interrupts.erase(std::remove_if(node.interrupts.begin(), node.interrupts.end(), of_vector),
                          node.interrupts.end());
    // What had not been announced may have been written.
    std::memset(node.memory.data() + kViArea + index * kViAreaBytes + kRxBuffers, 0, kTxBuffers - kRxBuffers);
  }
  counts_.frames += frames[0].size();
  cut_to_common_length(frames[0], frames[1]);
  compare_lists(who + ": frames sent", frames[0], frames[1]);
}

}  // namespace postern::equivalence
