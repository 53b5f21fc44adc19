// Tables and JSON; see the header.
#include "sim/run_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace postern::sim {
namespace {

using Json = nlohmann::json;  // objects keep their keys sorted

double to_ns(uint64_t ps) { return static_cast<double>(ps) / 1000.0; }

uint64_t count_of(const std::vector<NamedCount>& counts, const std::string& name) {
  const auto it =
      std::find_if(counts.begin(), counts.end(), [&](const NamedCount& count) { return count.name == name; });
  return it == counts.end() ? 0 : it->value;
}

Json counts_json(const std::vector<NamedCount>& counts) {
  Json object = Json::object();
  for (const NamedCount& count : counts) {
    object[count.name] = count.value;
  }
  return object;
}

Json histogram_json(const LatencyHistogram& histogram) {
  return {{"count", histogram.count()},
          {"mean_ns", to_ns(histogram.mean_ps())},
          {"min_ns", to_ns(histogram.min_ps())},
          {"p50_ns", to_ns(histogram.percentile_ps(0.50))},
          {"p90_ns", to_ns(histogram.percentile_ps(0.90))},
          {"p99_ns", to_ns(histogram.percentile_ps(0.99))},
          {"max_ns", to_ns(histogram.max_ps())}};
}

std::string histogram_row(const std::string& name, const LatencyHistogram& h) {
  return fmt::format("{:<20}{:>10}{:>11.1f}{:>11.1f}{:>11.1f}{:>11.1f}{:>11.1f}\n", name, h.count(), to_ns(h.min_ps()),
                     to_ns(h.percentile_ps(0.5)), to_ns(h.percentile_ps(0.9)), to_ns(h.percentile_ps(0.99)),
                     to_ns(h.max_ps()));
}

std::string histogram_head(const char* title) {
  return fmt::format("{:<20}{:>10}{:>11}{:>11}{:>11}{:>11}{:>11}\n", title, "count", "min", "p50", "p90", "p99", "max");
}

Json stages_json(const StageTrace& stages) {
  Json list = Json::array();
  for (size_t i = 0; i < kStageIntervals.size(); ++i) {
    Json row = histogram_json(stages.interval(i));
    row["stage"] = kStageIntervals[i].name;
    row["meaning"] = kStageIntervals[i].meaning;
    list.push_back(std::move(row));
  }
  return list;
}

// The latencies of the devices alone.
struct DeviceLatency {
  const char* name;
  const char* meaning;
  const LatencyHistogram* histogram;
};

std::vector<DeviceLatency> device_latencies(const RunReport& report) {
  std::vector<DeviceLatency> list;
  for (size_t i = 0; report.stages != nullptr && i < kDeviceIntervals.size(); ++i) {
    list.push_back({kDeviceIntervals[i].name, kDeviceIntervals[i].meaning, &report.stages->device_interval(i)});
  }
  if (report.wakeups != nullptr) {
    list.push_back({"event_to_interrupt", "event in host memory to the interrupt that a prime before it asked for",
                    &report.wakeups->event_to_interrupt()});
    list.push_back({"prime_to_interrupt", "prime written to its interrupt, where the event was there before",
                    &report.wakeups->prime_to_interrupt()});
  }
  return list;
}

Json device_latencies_json(const RunReport& report) {
  Json list = Json::array();
  for (const DeviceLatency& latency : device_latencies(report)) {
    Json row = histogram_json(*latency.histogram);
    row["latency"] = latency.name;
    row["meaning"] = latency.meaning;
    list.push_back(std::move(row));
  }
  return list;
}

std::string device_latencies_text(const RunReport& report) {
  std::string text;
  for (const DeviceLatency& latency : device_latencies(report)) {
    if (latency.histogram->count() == 0) continue;
    if (text.empty()) text = fmt::format("\n{}", histogram_head("device latency, ns"));
    text += histogram_row(latency.name, *latency.histogram);
  }
  return text;
}

Json depth_json(const EventQueueReport& queue) {
  Json object = Json::object();
  for (size_t bucket = 0; bucket < queue.depth.size(); ++bucket) {
    if (queue.depth[bucket] != 0) {
      object[fmt::format("le_{}", 1u << bucket)] = queue.depth[bucket];
    }
  }
  return object;
}

// One character per power of two of depth, from 1 up to the deepest: a blank for no event, then by ninths of the
// fullest bucket.
std::string depth_bar(const EventQueueReport& queue) {
  static constexpr std::string_view kLevels = ".:-=+*#%@";
  const uint64_t fullest = *std::max_element(queue.depth.begin(), queue.depth.end());
  std::string bar;
  for (const uint64_t count : queue.depth) {
    bar += count == 0 ? ' ' : kLevels[static_cast<size_t>((count * (kLevels.size() - 1)) / fullest)];
  }
  const size_t last = bar.find_last_not_of(' ');
  return last == std::string::npos ? std::string() : bar.substr(0, last + 1);
}

Json event_queue_json(const EventQueueReport& queue) {
  return {{"host", queue.host},
          {"vi", queue.vi_id},
          {"entries", queue.entries},
          {"events", queue.events},
          {"polls", queue.polls},
          {"events_per_poll",
           queue.polls == 0 ? 0.0 : static_cast<double>(queue.events) / static_cast<double>(queue.polls)},
          {"depth_max", queue.depth_max},
          {"credits_low_water", queue.credits_low_water},
          {"primes", queue.primes},
          {"interrupts", queue.interrupts},
          {"overflow_marks", queue.overflow_marks},
          {"stalls", queue.stalls},
          {"merged_frames", queue.merged_frames},
          {"holdoff_ns", queue.holdoff_ns},
          {"depth", depth_json(queue)}};
}

Json workload_json(const WorkloadResult& result) {
  Json object = {{"name", result.name},   {"kind", result.kind},     {"ok", result.finished && result.error.empty()},
                 {"error", result.error}, {"counts", result.counts}, {"rates", result.rates}};
  if (result.round_trip.count() > 0) {
    object["round_trip"] = histogram_json(result.round_trip);
  }
  return object;
}

Json limits_json(const ResourceLimits& limits) {
  Json shares = Json::object();
  for (const ResourceShare& share : limits.shares) {
    shares[share.resource] = share.count != 0 ? Json(share.count) : Json(share.share);
  }
  return {{"limited_by", limits.limited_by}, {"reason", limits.reason}, {"resources", std::move(shares)}};
}

std::string limits_text(const HostReport& host) {
  std::string text =
      fmt::format("host {}: limited by {} ({})\n ", host.name, host.limits.limited_by, host.limits.reason);
  for (const ResourceShare& share : host.limits.shares) {
    text += share.count != 0 ? fmt::format(" {} {}x", share.resource, share.count)
                             : fmt::format(" {} {:.1f} %", share.resource, share.share * 100);
  }
  return text + "\n";
}

std::string workloads_text(const RunReport& report) {
  std::string text;
  for (const WorkloadResult& result : report.workloads) {
    const bool ok = result.finished && result.error.empty();
    text += fmt::format("{} ({}): {}\n", result.name, result.kind,
                        ok ? "ok" : fmt::format("FAILED: {}", result.error.empty() ? "not finished" : result.error));
    for (const auto& [name, value] : result.counts) {
      text += name == "hash" ? fmt::format("  {:<24}{:>20}\n", name, fmt::format("{:016x}", value))
                             : fmt::format("  {:<24}{:>20}\n", name, value);
    }
    for (const auto& [name, value] : result.rates) {
      text += fmt::format("  {:<24}{:>20.3f}\n", name, value);
    }
  }
  bool head = false;
  for (const WorkloadResult& result : report.workloads) {
    if (result.round_trip.count() > 0) {
      text += head ? std::string() : fmt::format("\n{}", histogram_head("round trip, ns"));
      head = true;
      text += histogram_row(result.name, result.round_trip);
    }
  }
  return text;
}

std::string event_queues_text(const RunReport& report) {
  std::string text = fmt::format("{:<14}{:>5}{:>9}{:>11}{:>11}{:>13}{:>11}{:>13}{:>9}{:>12}  {}\n", "event queue", "vi",
                                 "entries", "events", "polls", "events/poll", "max depth", "min credits", "primes",
                                 "interrupts", "depth 1 2 4 8 ..");
  for (const EventQueueReport& queue : report.event_queues) {
    text += fmt::format("{:<14}{:>5}{:>9}{:>11}{:>11}{:>13.2f}{:>11}{:>13}{:>9}{:>12}  |{}|\n", queue.host, queue.vi_id,
                        queue.entries, queue.events, queue.polls,
                        queue.polls == 0 ? 0.0 : static_cast<double>(queue.events) / static_cast<double>(queue.polls),
                        queue.depth_max, queue.credits_low_water, queue.primes, queue.interrupts, depth_bar(queue));
  }
  return text;
}

bool starts_with(const std::string& text, const char* prefix) { return text.rfind(prefix, 0) == 0; }

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

std::vector<NamedCount> stack_counts(const stack::StackStats& stats) {
#define POSTERN_COUNT(field) \
  { #field, stats.field }
  return {
      POSTERN_COUNT(rx_packets_count),
      POSTERN_COUNT(rx_bytes_count),
      POSTERN_COUNT(tx_packets_count),
      POSTERN_COUNT(tx_bytes_count),
      POSTERN_COUNT(polls_count),
      POSTERN_COUNT(poll_batches_count),
      POSTERN_COUNT(deferred_count),
      POSTERN_COUNT(lock_waits_count),
      POSTERN_COUNT(wakes_count),
      POSTERN_COUNT(tcp_segments_in_count),
      POSTERN_COUNT(tcp_segments_out_count),
      POSTERN_COUNT(tcp_retransmits_count),
      POSTERN_COUNT(tcp_fast_retransmits_count),
      POSTERN_COUNT(tcp_timeouts_count),
      POSTERN_COUNT(tcp_out_of_order_count),
      POSTERN_COUNT(tcp_duplicate_count),
      POSTERN_COUNT(tcp_resets_in_count),
      POSTERN_COUNT(tcp_resets_out_count),
      POSTERN_COUNT(tcp_active_opens_count),
      POSTERN_COUNT(tcp_passive_opens_count),
      POSTERN_COUNT(tcp_challenge_acks_count),
      POSTERN_COUNT(tcp_zero_window_probes_count),
      POSTERN_COUNT(udp_in_count),
      POSTERN_COUNT(udp_out_count),
      POSTERN_COUNT(icmp_in_count),
      POSTERN_COUNT(icmp_out_count),
      POSTERN_COUNT(arp_in_count),
      POSTERN_COUNT(arp_out_count),
      POSTERN_COUNT(ip_fragments_in_count),
      POSTERN_COUNT(ip_reassembled_count),
      POSTERN_COUNT(ip_fragments_out_count),
      POSTERN_COUNT(drop_ethernet_malformed),
      POSTERN_COUNT(drop_ethernet_other_host),
      POSTERN_COUNT(drop_ethernet_unknown_type),
      POSTERN_COUNT(drop_arp_malformed),
      POSTERN_COUNT(drop_arp_queue_full),
      POSTERN_COUNT(drop_arp_unresolved),
      POSTERN_COUNT(drop_ip_malformed),
      POSTERN_COUNT(drop_ip_checksum),
      POSTERN_COUNT(drop_ip_other_address),
      POSTERN_COUNT(drop_ip_protocol),
      POSTERN_COUNT(drop_ip_reassembly),
      POSTERN_COUNT(drop_icmp_malformed),
      POSTERN_COUNT(drop_udp_malformed),
      POSTERN_COUNT(drop_udp_checksum),
      POSTERN_COUNT(drop_udp_no_socket),
      POSTERN_COUNT(drop_udp_queue_full),
      POSTERN_COUNT(drop_tcp_malformed),
      POSTERN_COUNT(drop_tcp_checksum),
      POSTERN_COUNT(drop_tcp_no_socket),
      POSTERN_COUNT(drop_tcp_unacceptable),
      POSTERN_COUNT(drop_tcp_paws),
      POSTERN_COUNT(drop_tcp_backlog_full),
      POSTERN_COUNT(drop_tcp_window),
      POSTERN_COUNT(drop_no_buffer),
      POSTERN_COUNT(drop_tx_backlog_full),
      POSTERN_COUNT(drop_rx_multi_buffer),
  };
#undef POSTERN_COUNT
}

EventQueueReport event_queue_report(const std::string& host, const ViState& vi,
                                    const std::vector<NamedCount>& nic_counters) {
  const std::string prefix = fmt::format("vi{}.", vi.vi_id);
  EventQueueReport queue;
  queue.host = host;
  queue.vi_id = vi.vi_id;
  queue.entries = vi.layout.geometry.evq_entries;
  queue.events = vi.events_count;
  queue.polls = vi.polls_count;
  queue.depth_max = count_of(nic_counters, prefix + "evq_depth_max");
  queue.credits_low_water = queue.entries - std::min(queue.entries, queue.depth_max);
  queue.primes = vi.primes_count;
  queue.interrupts = count_of(nic_counters, prefix + "interrupts");
  queue.overflow_marks = vi.overflow_marks_count;
  queue.stalls = count_of(nic_counters, prefix + "evq_stalls");
  queue.merged_frames = count_of(nic_counters, prefix + "merged_frames");
  queue.holdoff_ns = count_of(nic_counters, prefix + "holdoff_ns");
  for (size_t bucket = 0; bucket < queue.depth.size(); ++bucket) {
    queue.depth[bucket] = count_of(nic_counters, fmt::format("{}evq_depth_le_{}", prefix, 1u << bucket));
  }
  return queue;
}

std::map<std::string, uint64_t> drops_by_reason(const RunReport& report) {
  std::map<std::string, uint64_t> drops;
  for (const HostReport& host : report.hosts) {
    for (const NamedCount& count : host.nic) {
      if (starts_with(count.name, "drops.") && count.value > 0) {
        drops[host.name + ".nic." + count.name.substr(6)] = count.value;
      }
    }
    for (const NamedCount& count : host.stack) {
      if (starts_with(count.name, "drop_") && count.value > 0) {
        drops[host.name + ".stack." + count.name.substr(5)] = count.value;
      }
    }
  }
  for (const NamedCount& count : report.wires) {
    if (count.value > 0 && (ends_with(count.name, ".lost") || count.name.find(".drops.") != std::string::npos)) {
      drops[count.name] = count.value;
    }
  }
  return drops;
}

std::string stage_table_json(const StageTrace& stages) { return stages_json(stages).dump(2); }

std::string stage_table_text(const StageTrace& stages) {
  std::string text = histogram_head("stage, ns");
  for (size_t i = 0; i < kStageIntervals.size(); ++i) {
    if (stages.interval(i).count() > 0) {
      text += histogram_row(kStageIntervals[i].name, stages.interval(i));
    }
  }
  return text;
}

std::string report_json(const RunReport& report) {
  Json root = {
      {"scenario", report.scenario},         {"seed", report.seed},
      {"simulated_ns", report.simulated_ns}, {"wire_fingerprint", fmt::format("{:016x}", report.wire_fingerprint)},
      {"drops", drops_by_reason(report)},    {"wires", counts_json(report.wires)}};
  root["stages"] = report.stages == nullptr ? Json::array() : stages_json(*report.stages);
  root["device_latencies"] = device_latencies_json(report);
  root["event_queues"] = Json::array();
  for (const EventQueueReport& queue : report.event_queues) {
    root["event_queues"].push_back(event_queue_json(queue));
  }
  root["hosts"] = Json::object();
  for (const HostReport& host : report.hosts) {
    root["hosts"][host.name] = {{"nic", counts_json(host.nic)},
                                {"function", counts_json(host.function)},
                                {"stack", counts_json(host.stack)},
                                {"limits", limits_json(host.limits)}};
  }
  root["workloads"] = Json::array();
  for (const WorkloadResult& result : report.workloads) {
    root["workloads"].push_back(workload_json(result));
  }
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string report_text(const RunReport& report) {
  std::string text = fmt::format("{}: seed {}, {:.3f} ms simulated, wire fingerprint {:016x}\n\n", report.scenario,
                                 report.seed, static_cast<double>(report.simulated_ns) / 1e6, report.wire_fingerprint);
  text += workloads_text(report);
  if (report.stages != nullptr && !report.stages->empty()) {
    text += fmt::format("\n{}", stage_table_text(*report.stages));
  }
  text += device_latencies_text(report);
  text += fmt::format("\n{}", event_queues_text(report));
  text += "\n";
  for (const HostReport& host : report.hosts) {
    text += limits_text(host);
  }
  const std::map<std::string, uint64_t> drops = drops_by_reason(report);
  text += drops.empty() ? "\nno drops\n" : "\ndrops by reason\n";
  for (const auto& [reason, count] : drops) {
    text += fmt::format("  {:<44}{:>12}\n", reason, count);
  }
  return text;
}

}  // namespace postern::sim
