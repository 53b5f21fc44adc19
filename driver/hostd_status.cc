// What `postern status` shows of a host, as JSON text.
#include <fmt/format.h>
#include <netinet/in.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "driver/hostd.h"

namespace postern::hostd {
namespace {

using Json = nlohmann::ordered_json;

Json port_json(const PortBinding& binding) {
  return Json{{"protocol", binding.protocol == IPPROTO_TCP ? "tcp" : "udp"},
              {"address", binding.local.text()},
              {"port", binding.port},
              {"listening", binding.listening}};
}

Json device_json(DeviceSession& device) {
  Json json{{"alive", device.is_open()}, {"opened_count", device.generation()}};
  if (!device.is_open()) {
    json["error"] = device.last_error();
    return json;
  }
  const DeviceInfo& info = device.manager().device();
  std::string mac;
  for (size_t i = 0; i < info.mac.size(); ++i) {
    mac += fmt::format("{}{:02x}", i == 0 ? "" : ":", info.mac[i]);
  }
  json["mac"] = mac;
  json["vi_count"] = info.vi_count;
  json["link_speed_mbps"] = info.link_speed_mbps;
  json["time_ns"] = device.function().clock().now_ns();
  return json;
}

Json statistics_json(const PortStatistics& statistics) {
  Json drops = Json::object();
  for (size_t reason = 0; reason < statistics.drops.size(); ++reason) {
    drops[pst_drop_reason_name(reason)] = statistics.drops[reason];
  }
  return Json{{"tx_frames", statistics.tx_frames},
              {"tx_bytes", statistics.tx_bytes},
              {"rx_frames", statistics.rx_frames},
              {"rx_bytes", statistics.rx_bytes},
              {"events", statistics.events},
              {"interrupts", statistics.interrupts},
              {"drops", drops}};
}

}  // namespace

std::string Hostd::status_text() {
  Json json{{"host", config_.stack.host},
            {"pid", getpid()},
            {"address", fmt::format("{}/{}", config_.stack.address.text(), config_.stack.prefix_bits)},
            {"mtu_bytes", config_.stack.mtu_bytes},
            {"device", device_json(device_)},
            {"connections", connections_.size()},
            {"tokens", tokens_.count()},
            {"ending_helpers", ending_helpers_.size()}};
  if (device_.is_open()) {
    Result<PortStatistics> statistics = device_.manager().read_statistics();
    if (statistics) {
      json["statistics"] = statistics_json(*statistics);
    } else {
      suspect_device(statistics.error());
    }
  }
  std::map<uint32_t, Json> ports;  // by VI
  for (const PortBinding& binding :
       device_.is_open() ? device_.manager().ports().bindings() : std::vector<PortBinding>()) {
    ports.try_emplace(binding.owner, Json::array()).first->second.push_back(port_json(binding));
  }
  Json stacks = Json::array();
  for (const auto& [stack_id, record] : stacks_) {
    Json stack{{"id", stack_id},
               {"host_stack", record->grant.is_host_stack != 0},
               {"vi", record->vi.vi_id},
               {"vector", record->vi.vector},
               {"helper_pid", record->helper.pid()},
               {"creator_pid", record->creator_pid},
               {"uid", record->uid},
               {"attached_processes", record->attached_count},
               {"orphaned", record->orphaned_at.has_value()},
               {"tokens", tokens_.count(stack_id)},
               {"region_bytes", record->grant.region_bytes}};
    stack["ports"] = std::move(ports.try_emplace(record->vi.vi_id, Json::array()).first->second);
    stacks.push_back(stack);
  }
  json["stacks"] = stacks;
  return json.dump(2, ' ', false, Json::error_handler_t::replace);  // paths need not be UTF-8
}

}  // namespace postern::hostd
