// A scripted PCI function for driver tests: answers register reads, executes admin commands at the doorbell, and writes
// every access down as one line of text. Also a LiveFunction, so that hostd can run over it in process.
#pragma once

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "driver/live_function.h"
#include "driver/unique_fd.h"

namespace postern::testing {

class FakeClock : public DeviceClock {
 public:
  [[nodiscard]] uint64_t now_ns() const override { return now_ns_; }
  void advance(uint64_t ns) { now_ns_ += ns; }

 private:
  std::atomic<uint64_t> now_ns_{1000};
};

class FakeInterruptLine : public InterruptLine {
 public:
  FakeInterruptLine() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  WaitOutcome wait(uint64_t) override { return WaitOutcome::kTimeout; }
  int event_fd() const override { return fd_.get(); }

 private:
  UniqueFd fd_;
};

class FakeFunction : public LiveFunction {
 public:
  FakeFunction() {
    registers[PST_FUNCTION_MAGIC_OFFSET] = PST_MAGIC;
    registers[PST_FUNCTION_VERSION_OFFSET] = PST_CONTRACT_VERSION;
    registers[PST_FUNCTION_CONTRACT_HASH_OFFSET] = PST_CONTRACT_HASH;
    registers[PST_FUNCTION_VI_COUNT_OFFSET] = 1024;
    registers[PST_FUNCTION_STATUS_OFFSET] = PST_FUNCTION_STATUS_READY_MASK | PST_FUNCTION_STATUS_LINK_UP_MASK;
    registers[PST_FUNCTION_MAC_ADDRESS_OFFSET] = 0x010000000002;  // 02:00:00:00:00:01
    registers[PST_FUNCTION_LINK_SPEED_MBPS_OFFSET] = 10000;
    registers[PST_FUNCTION_MTU_MAX_BYTES_OFFSET] = 9216;
    clock_memfd_.reset(memfd_create("fake-clock", MFD_CLOEXEC));
    if (ftruncate(clock_memfd_.get(), PST_LIMIT_PAGE_BYTES) != 0) {
      std::abort();
    }
    connection_event_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }

  // --- what tests set and look at ------------------------------------------------------------------------------------
  std::map<uint64_t, uint64_t> registers;
  uint32_t pci_identity = (PST_PCI_DEVICE_ID << 16) | PST_PCI_VENDOR_ID;
  std::vector<std::string> log;          // every access
  std::map<uint64_t, uint64_t> failing;  // opcode -> PST_ERROR_CODE_* that the next such command gets
  bool answers_commands = true;
  std::atomic<bool> vanished{false};   // all registers read as all ones; the device's clock runs
  std::atomic<bool> was_reset{false};  // by nobody that the driver knows of; the device's clock runs
  bool keeps_log = true;
  std::set<uint64_t> domains, vis, filters, mappings;
  uint64_t completion_result_offset = 0;
  std::atomic<uint64_t> last_evq_policy{PST_EVQ_POLICY_STALL};

  std::vector<std::string> take_log() { return std::exchange(log, {}); }
  FakeClock& fake_clock() { return clock_; }
  // The device goes away: all later calls fail and connection_fd() becomes readable.
  void die() {
    dead_ = true;
    const uint64_t one = 1;
    (void)!write(connection_event_.get(), &one, sizeof one);
  }
  // Pretends that the device has executed many commands, for wrap tests.
  void set_admin_index(uint32_t idx) { executed_idx_ = idx; }

  // --- PciFunction ---
  Result<uint32_t> config_read(uint16_t offset, unsigned width) override {
    note(fmt::format("config_read {:#x}/{}", offset, width));
    if (dead_) return gone();
    return offset == 0 ? pci_identity : 0;
  }
  Status config_write(uint16_t offset, unsigned width, uint32_t value) override {
    note(fmt::format("config_write {:#x}/{} {:#x}", offset, width, value));
    if (dead_) return gone();
    return {};
  }
  Result<uint64_t> bar_read(unsigned bar, uint64_t offset, unsigned width) override {
    note(fmt::format("bar_read {}:{:#x}/{}", bar, offset, width));
    if (dead_) return gone();
    if (vanished) return ~uint64_t{0} >> (64 - 8 * width);
    if (was_reset && offset == PST_FUNCTION_ADMIN_ENABLE_OFFSET) return uint64_t{0};
    return registers[offset];
  }
  Status bar_write(unsigned bar, uint64_t offset, unsigned width, uint64_t value) override {
    note(fmt::format("bar_write {}:{:#x}/{} {:#x}", bar, offset, width, value));
    if (dead_) return gone();
    registers[offset] = value;
    if (offset == PST_FUNCTION_ADMIN_DOORBELL_OFFSET && answers_commands) {
      while (executed_idx_ != static_cast<uint32_t>(value)) execute(executed_idx_++);
    }
    if (offset == PST_FUNCTION_ADMIN_ENABLE_OFFSET) executed_idx_ = 0;
    return {};
  }
  Result<std::unique_ptr<ViWindow>> open_window(uint32_t) override { return Error{ENOSYS, "not used"}; }
  Result<uint64_t> dma_map(const DmaMemory& memory) override {
    if (dead_) return gone();
    const uint64_t address = next_dma_address_;
    next_dma_address_ += memory.size_bytes + 0x100000;
    note(fmt::format("dma_map {} bytes -> {:#x}", memory.size_bytes, address));
    memory_[address] = static_cast<uint8_t*>(memory.base);
    mappings.insert(address);
    return address;
  }
  Status dma_unmap(uint64_t address) override {
    note(fmt::format("dma_unmap {:#x}", address));
    if (dead_) return gone();
    mappings.erase(address);
    return {};
  }
  Result<std::unique_ptr<InterruptLine>> open_interrupt(uint32_t vector) override {
    note(fmt::format("open_interrupt {}", vector));
    if (dead_) return gone();
    return std::unique_ptr<InterruptLine>(std::make_unique<FakeInterruptLine>());
  }
  Status reset() override {
    note("reset");
    if (dead_) return gone();
    domains.clear();
    vis.clear();
    filters.clear();
    return {};
  }
  const DeviceClock& clock() const override { return clock_; }
  void pause_ns(uint64_t ns) override {
    if (keeps_log && (log.empty() || log.back() != "pause")) log.push_back("pause");
    clock_.advance(ns);
  }

  // --- LiveFunction ---
  Result<WindowDescriptors> take_window(uint32_t vi_id) override {
    note(fmt::format("take_window {}", vi_id));
    if (dead_) return gone();
    WindowDescriptors descriptors;
    descriptors.window_fd = memfd_create("fake-window", MFD_CLOEXEC);
    if (ftruncate(descriptors.window_fd, PST_VI_WINDOW_STRIDE) != 0) std::abort();
    descriptors.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return descriptors;
  }
  int clock_page_fd() const override { return clock_memfd_.get(); }
  int connection_fd() const override { return connection_event_.get(); }
  Status service_connection() override { return dead_ ? Status(gone()) : Status(); }

 private:
  void note(std::string line) {
    if (keeps_log) log.push_back(std::move(line));
  }
  static Error gone() { return Error{ENODEV, "the device is gone"}; }

  // Where the device finds host memory of a DMA address.
  uint8_t* host_memory(uint64_t address) {
    auto found = memory_.upper_bound(address);
    --found;
    return found->second + (address - found->first);
  }

  void execute(uint32_t idx) {
    const auto entries = static_cast<uint32_t>(registers[PST_FUNCTION_ADMIN_ENTRIES_OFFSET]);
    pst_command command;
    std::memcpy(&command, host_memory(registers[PST_FUNCTION_ADMIN_SQ_BASE_OFFSET]) + (idx % entries) * 64, 64);
    uint64_t result = 0;
    const uint64_t status = run(command, result);
    pst_admin_completion completion{};
    pst_admin_completion_set_command_id(&completion, pst_command_get_command_id(&command));
    pst_admin_completion_set_status(&completion, status);
    pst_admin_completion_set_result(&completion, result);
    pst_admin_completion_set_phase(&completion, ((idx / entries) & 1) == 0);
    std::memcpy(host_memory(registers[PST_FUNCTION_ADMIN_CQ_BASE_OFFSET]) + (idx % entries) * 16, &completion, 16);
  }

  static uint64_t lowest_free(std::set<uint64_t>& used, uint64_t first) {
    while (!used.insert(first).second) ++first;
    return first;
  }

  uint64_t run(const pst_command& command, uint64_t& result) {
    const uint64_t opcode = pst_command_get_opcode(&command);
    const uint64_t target = pst_command_get_target_id(&command);
    note(describe(command));
    if (auto fails = failing.find(opcode); fails != failing.end()) {
      const uint64_t code = fails->second;
      failing.erase(fails);
      return code;
    }
    switch (opcode) {
      case PST_COMMAND_PD_ALLOC:
        result = lowest_free(domains, 1);
        break;
      case PST_COMMAND_PD_FREE:
        return domains.erase(target) == 1 ? PST_ERROR_CODE_OK : PST_ERROR_CODE_NOT_FOUND;
      case PST_COMMAND_VI_ALLOC:
        last_evq_policy = pst_vi_alloc_get_evq_policy(&command);
        result = lowest_free(vis, 3);
        break;
      case PST_COMMAND_VI_FREE:
        return vis.erase(target) == 1 ? PST_ERROR_CODE_OK : PST_ERROR_CODE_NOT_FOUND;
      case PST_COMMAND_FILTER_INSERT:
        result = lowest_free(filters, 100);
        break;
      case PST_COMMAND_FILTER_REMOVE:
        return filters.erase(target) == 1 ? PST_ERROR_CODE_OK : PST_ERROR_CODE_NOT_FOUND;
      case PST_COMMAND_STATISTICS_READ: {
        auto* words = reinterpret_cast<uint64_t*>(host_memory(pst_statistics_read_get_address(&command)));
        for (uint64_t i = 0; i < 32; ++i) words[i] = 1000 + i;
        break;
      }
      default:
        break;
    }
    return PST_ERROR_CODE_OK;
  }

  static std::string describe(const pst_command& command) {
    const uint64_t target = pst_command_get_target_id(&command);
    switch (pst_command_get_opcode(&command)) {
      case PST_COMMAND_PD_ALLOC:
        return "PD_ALLOC";
      case PST_COMMAND_PD_FREE:
        return fmt::format("PD_FREE {}", target);
      case PST_COMMAND_TRANSLATION_MAP:
        return fmt::format("TRANSLATION_MAP {} [{:#x}] -> {:#x} {} bytes w{}", target,
                           pst_translation_map_get_domain_address(&command),
                           pst_translation_map_get_host_address(&command),
                           pst_translation_map_get_length_bytes(&command), pst_translation_map_get_writable(&command));
      case PST_COMMAND_VI_ALLOC:
        return fmt::format("VI_ALLOC {} rx {:#x}/{} tx {:#x}/{} evq {:#x}/{} vector {}", target,
                           pst_vi_alloc_get_rx_ring_address(&command), pst_vi_alloc_get_rx_entries(&command),
                           pst_vi_alloc_get_tx_ring_address(&command), pst_vi_alloc_get_tx_entries(&command),
                           pst_vi_alloc_get_evq_address(&command), pst_vi_alloc_get_evq_entries(&command),
                           pst_vi_alloc_get_vector(&command));
      case PST_COMMAND_VI_FREE:
        return fmt::format("VI_FREE {}", target);
      case PST_COMMAND_SOURCE_GRANT:
        return fmt::format("SOURCE_GRANT {} family {} {:#x}", target, pst_source_grant_get_family(&command),
                           pst_source_grant_get_address_lo(&command));
      case PST_COMMAND_FILTER_INSERT:
        return fmt::format(
            "FILTER_INSERT {} {} proto {} {:#x}:{} <- {:#x}:{} ethertype {:#x} replicate {}", target,
            pst_filter_match_name(pst_filter_insert_get_match(&command)), pst_filter_insert_get_protocol(&command),
            pst_filter_insert_get_local_address_lo(&command), pst_filter_insert_get_local_port(&command),
            pst_filter_insert_get_remote_address_lo(&command), pst_filter_insert_get_remote_port(&command),
            pst_filter_insert_get_ethertype(&command), pst_filter_insert_get_replicate(&command));
      case PST_COMMAND_FILTER_REMOVE:
        return fmt::format("FILTER_REMOVE {}", target);
      case PST_COMMAND_PORT_CONFIG:
        return fmt::format("PORT_CONFIG mtu {}", pst_port_config_get_mtu_bytes(&command));
      case PST_COMMAND_STATISTICS_READ:
        return "STATISTICS_READ";
      default:
        return fmt::format("command {:#x}", pst_command_get_opcode(&command));
    }
  }

  FakeClock clock_;
  std::map<uint64_t, uint8_t*> memory_;
  uint64_t next_dma_address_ = 0x10000000;
  uint32_t executed_idx_ = 0;
  bool dead_ = false;
  UniqueFd clock_memfd_;
  UniqueFd connection_event_;
};

}  // namespace postern::testing
