// A PCI function in another process, reached by vfio-user. Registers travel as messages; VI windows, the device clock
// and DMA memory are shared memory; interrupts are eventfds. Hides the protocol, its sequence of set-up and its errors.
// One thread uses it at a time (hostd); windows, interrupt lines and the clock may be used by others meanwhile. Every
// wait is bounded; once the device is gone, each call returns ENODEV at once.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "driver/live_function.h"
#include "driver/mapped_device_clock.h"
#include "driver/result.h"
#include "driver/unique_fd.h"
#include "driver/vfio_user_socket.h"

namespace postern {

class VfioUserFunction : public LiveFunction {
 public:
  struct Options {
    int reply_timeout_ms = 5000;  // wall time that a reply may take; then the device counts as gone
    int reset_timeout_ms = 10000;
  };

  // Connects, negotiates, checks that the device has the contract's regions and interrupts, enables memory space, bus
  // mastering and MSI-X. Errors: ECONNREFUSED or ENOENT nobody serves the socket; ENODEV hung up, which a second client
  // sees; EPROTO the device behind it is another one; ETIMEDOUT.
  [[nodiscard]] static Result<std::unique_ptr<VfioUserFunction>> connect(const std::string& socket_path,
                                                                         Options options);
  [[nodiscard]] static Result<std::unique_ptr<VfioUserFunction>> connect(const std::string& socket_path) {
    return connect(socket_path, Options());
  }
  ~VfioUserFunction() override;
  VfioUserFunction(const VfioUserFunction&) = delete;
  VfioUserFunction& operator=(const VfioUserFunction&) = delete;

  // PciFunction
  [[nodiscard]] Result<uint32_t> config_read(uint16_t offset, unsigned width_bytes) override;
  [[nodiscard]] Status config_write(uint16_t offset, unsigned width_bytes, uint32_t value) override;
  [[nodiscard]] Result<uint64_t> bar_read(unsigned bar, uint64_t offset, unsigned width_bytes) override;
  [[nodiscard]] Status bar_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) override;
  [[nodiscard]] Result<std::unique_ptr<ViWindow>> open_window(uint32_t vi_id) override;
  // The memory's fd must be a memfd that can be sealed against shrinking (MFD_ALLOW_SEALING); this seals it.
  [[nodiscard]] Result<uint64_t> dma_map(const DmaMemory& memory) override;
  [[nodiscard]] Status dma_unmap(uint64_t dma_address) override;
  [[nodiscard]] Result<std::unique_ptr<InterruptLine>> open_interrupt(uint32_t vector) override;
  [[nodiscard]] Status reset() override;
  [[nodiscard]] const DeviceClock& clock() const override { return *clock_; }
  void pause_ns(uint64_t duration_ns) override;

  // LiveFunction
  [[nodiscard]] Result<WindowDescriptors> take_window(uint32_t vi_id) override;
  [[nodiscard]] int clock_page_fd() const override { return clock_fd_.get(); }
  [[nodiscard]] int connection_fd() const override { return socket_.fd(); }
  [[nodiscard]] Status service_connection() override;

  // Connects a vector to an eventfd of the caller's, which stays the caller's; -1 disconnects the vector.
  [[nodiscard]] Status connect_interrupt(uint32_t vector, int event_fd);

 private:
  struct Window {
    UniqueFd window_fd;
    UniqueFd kick_fd;
  };
  using Payload = std::vector<uint8_t>;

  explicit VfioUserFunction(Options options) : options_(options) {}

  [[nodiscard]] Status negotiate();
  [[nodiscard]] Status check_device();
  [[nodiscard]] Status map_clock();
  [[nodiscard]] Status enable_function();
  [[nodiscard]] Status unmask_vector(uint32_t vector);

  // One command and its reply. An error reply becomes an Error with the server's errno value.
  [[nodiscard]] Result<vfio_user::Message> call(vfio_user::Command command, const Payload& payload,
                                                const std::vector<int>& fds = {}, int timeout_ms = 0);
  [[nodiscard]] Status send(vfio_user::Command command, const Payload& payload, const std::vector<int>& fds,
                            bool no_reply);
  [[nodiscard]] Result<vfio_user::Message> await_reply(uint16_t message_id, vfio_user::Command command, int timeout_ms);
  // Waits until the socket is ready for events, at most until deadline_ns of CLOCK_MONOTONIC.
  [[nodiscard]] Status wait_ready(short events, uint64_t deadline_ns, vfio_user::Command command);
  Error lost(const std::string& why);
  [[nodiscard]] Result<uint64_t> region_read(uint32_t region, uint64_t offset, unsigned width_bytes);
  [[nodiscard]] Status region_write(uint32_t region, uint64_t offset, unsigned width_bytes, uint64_t value,
                                    bool posted);
  [[nodiscard]] Status fetch_windows();
  [[nodiscard]] Result<Window*> find_window(uint32_t vi_id);
  [[nodiscard]] uint64_t choose_dma_address(uint64_t size_bytes);

  Options options_;
  std::string socket_path_;
  vfio_user::MessageSocket socket_;
  std::string gone_reason_;  // not empty: the device is gone
  uint16_t next_message_id_ = 1;
  vfio_user::Capabilities server_;
  UniqueFd clock_fd_;
  std::unique_ptr<MappedDeviceClock> clock_;
  std::map<uint32_t, Window> windows_;      // received and not yet taken, by VI
  std::map<uint64_t, uint64_t> dma_bytes_;  // DMA address -> size
  uint64_t next_dma_address_ = 0x1'0000'0000;
  std::vector<uint32_t> vectors_;  // connected
};

}  // namespace postern
