// Micro-benchmark of the model alone: two NICs back to back, a VI each, no stack. Prints packets per second of wall
// time.
//   vi_benchmark [--monitor] [packets] [frame bytes] [idle VIs] [name=value ...]   properties of both NICs
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

constexpr uint32_t kRing = 2048;
constexpr uint32_t kBatch = 32;  // packets per doorbell

ViOptions options() {
  ViOptions options;
  options.rx_entries = options.tx_entries = kRing;
  options.evq_entries = 4096;
  return options;
}

int run(int argc, char** argv) {
  NodeOptions node_options;
  node_options.monitored = argc > 1 && std::strcmp(argv[1], "--monitor") == 0;
  if (node_options.monitored) {
    --argc;
    ++argv;
  }
  const uint64_t packets = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000000) / kBatch * kBatch;
  const size_t frame_bytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 60;
  const uint32_t idle_vis = argc > 3 ? static_cast<uint32_t>(std::strtoul(argv[3], nullptr, 10)) : 0;
  Node a("a", kMacA, node_options);
  Node b("b", kMacB, node_options);
  a.peer = &b;
  b.peer = &a;
  a.record_wire = b.record_wire = false;
  for (int i = 4; i < argc; ++i) {
    const std::string setting = argv[i];
    const size_t equals = setting.find('=');
    const double value = equals == std::string::npos ? 0 : std::atof(setting.c_str() + equals + 1);
    for (Node* node : {&a, &b}) {
      if (const auto result = node->nic.set_property(setting.substr(0, equals), value); !result) {
        std::fprintf(stderr, "vi_benchmark: %s\n", result.error.c_str());
        return 1;
      }
    }
  }
  std::unique_ptr<TestVi> sender_vi, receiver_vi;
  run_ns(1);
  a.enable_admin();
  b.enable_admin();
  sender_vi = std::make_unique<TestVi>(a, 0, options());
  receiver_vi = std::make_unique<TestVi>(b, 0, options());
  for (uint32_t i = 0; i < idle_vis; ++i) TestVi idle_a(a, 1, options()), idle_b(b, 1, options());
  receiver_vi->add_filter(PST_FILTER_MATCH_LISTENER_ANY,
                          [](pst_command& c) { pst_filter_insert_set_local_port(&c, 2000); });
  receiver_vi->post_rx(kRing);
  run_ns(5000);

  UdpSpec spec;
  spec.frame_bytes = frame_bytes;
  const auto bytes = udp_frame(spec);
  std::memcpy(a.memory.data() + sender_vi->base + kTxBuffers, bytes.data(), bytes.size());
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, kTxBuffers);
  pst_tx_desc_set_length_bytes(&desc, bytes.size());
  pst_tx_desc_set_end_of_packet(&desc, 1);

  uint64_t received = 0;
  uint32_t completed = 0;
  uint64_t queued = 0;
  const uint64_t start_ps = now_ps();
  const auto start = std::chrono::steady_clock::now();
  uint64_t progress_ps = start_ps;
  while (received < packets &&
         now_ps() - progress_ps < 10'000'000'000ull) {  // 10 ms without a packet: some were dropped
    while (const auto event = sender_vi->next_event()) {
      const pst_tx_event tx{{event->word[0], event->word[1]}};
      completed = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&tx));
    }
    sender_vi->return_space();
    while (queued < packets && sender_vi->tx_idx - completed + kBatch <= kRing / 4) {
      for (uint32_t i = 0; i < kBatch; ++i, ++queued) sender_vi->queue_desc(desc);
      sender_vi->ring_tx();
    }
    uint32_t seen = 0;
    while (receiver_vi->next_event()) ++seen;
    received += seen;
    if (seen != 0) {
      progress_ps = now_ps();
      receiver_vi->return_space();
      receiver_vi->post_rx(seen);
    }
    run_ns(4000);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double simulated_s = static_cast<double>(progress_ps - start_ps) * 1e-12;
  std::printf(
      "%llu packets of %zu bytes in %.3f s: %.0f packets per wall second; simulated %.6f s, %.3f Mpps, %.3f Gb/s\n",
      static_cast<unsigned long long>(received), frame_bytes, seconds, static_cast<double>(received) / seconds,
      simulated_s, static_cast<double>(received) / simulated_s * 1e-6,
      static_cast<double>(received) * static_cast<double>(frame_bytes) * 8 / simulated_s * 1e-9);
  for (const sim::Counter& counter : b.nic.counters()) {
    if (counter.name.rfind("drops.", 0) == 0 && counter.value != 0) {
      std::printf("  receiver %s: %llu\n", counter.name.c_str(), static_cast<unsigned long long>(counter.value));
    }
  }
  return received == packets ? 0 : 1;
}

}  // namespace
}  // namespace postern::hw_model::test

int main(int argc, char** argv) { return postern::hw_model::test::run(argc, argv); }
