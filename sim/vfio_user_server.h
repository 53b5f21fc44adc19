// vfio-user server: offers one simulated PCI function to one client at a time over a Unix socket. Hides the protocol:
// framing, negotiation, region and interrupt descriptions, descriptors. The device behind it is a VfioUserBackend; the
// memory that is shared is in DoorbellPages (device to host) and HostDmaRegions (host to device).
// Single-threaded and never blocking: the simulator's loop calls service() when a descriptor of append_poll_fds() is
// ready. A client that breaks the protocol gets an error reply, or loses its connection when the stream cannot be
// followed.
#pragma once

#include <poll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "driver/eventfd_signaller.h"
#include "driver/result.h"
#include "driver/unique_fd.h"
#include "driver/vfio_user_socket.h"
#include "sim/doorbell_pages.h"
#include "sim/host_dma_regions.h"

namespace postern::sim {

// The PCI function behind the server. Accesses arrive one at a time and checked: widths 4 or 8 and aligned within the
// BAR; 1, 2 or 4 and aligned in configuration space. Completion callbacks may be called at once or from the simulator's
// loop later, but not after the server has been destroyed.
class VfioUserBackend {
 public:
  using ReadDone = std::function<void(uint64_t value)>;
  using Done = std::function<void()>;

  virtual ~VfioUserBackend() = default;
  [[nodiscard]] virtual uint32_t config_read(uint16_t offset, unsigned width_bytes) = 0;
  virtual void config_write(uint16_t offset, unsigned width_bytes, uint32_t value) = 0;
  // done gets the value after the simulated round trip; all ones if the device does not answer.
  virtual void bar_read(unsigned bar, uint64_t offset, unsigned width_bytes, ReadDone done) = 0;
  virtual void bar_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) = 0;
  // An eventfd has been connected to a vector or taken away. A client such as a VMM keeps its guest's MSI-X table to
  // itself, so a connected vector must count as unmasked in the device's table.
  virtual void interrupt_connected(uint32_t vector, bool connected) = 0;
  // Resets the device, its configuration space and DoorbellPages (function_reset()). done: it is ready again.
  virtual void reset(Done done) = 0;
  virtual void client_attached() = 0;
  // The client has gone; its DMA memory and interrupts are already taken away. Must reset as reset() does. done: a new
  // client may be served.
  virtual void client_detached(Done done) = 0;
};

class VfioUserServer {
 public:
  using Log = std::function<void(const std::string&)>;
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kNegotiationMost{2};
  static constexpr uint32_t kLogLinesPerSecond = 10;  // of lines that a client can cause; more are not written

  // Listens on socket_path (mode 0600). A socket file that nobody listens on is replaced. The references must outlive
  // the server. Errors: EADDRINUSE another simulator listens there; ENAMETOOLONG; what bind() says.
  [[nodiscard]] static Result<std::unique_ptr<VfioUserServer>> listen(const std::string& socket_path,
                                                                      VfioUserBackend& backend, DoorbellPages& pages,
                                                                      HostDmaRegions& memory, Log log);
  // Closes the connection and removes the socket file. The backend is not called.
  ~VfioUserServer();
  VfioUserServer(const VfioUserServer&) = delete;
  VfioUserServer& operator=(const VfioUserServer&) = delete;

  // Adds the descriptors to wait for (at most two).
  void append_poll_fds(std::vector<pollfd>& fds) const;
  // Does what can be done now: accepts, reads, executes, replies. Bounded work per call.
  void service();
  // Drops a client that has connected but not agreed on a version within kNegotiationMost: it keeps others away. To be
  // called now and then, also without events.
  void drop_silent_client(Clock::time_point now);

  // The device's MSI-X message has arrived: signals the eventfd, or remembers it while the vector is masked.
  void raise_msix(uint32_t vector);

  [[nodiscard]] bool client_attached() const { return client_.valid(); }

  struct Statistics {
    uint64_t messages_count = 0;
    uint64_t error_replies_count = 0;
    uint64_t refused_clients_count = 0;
    uint64_t interrupts_count = 0;       // eventfds signalled
    uint64_t interrupts_lost_count = 0;  // no eventfd connected, or the kernel refused to signal it
  };
  [[nodiscard]] const Statistics& statistics() const { return statistics_; }

 private:
  struct Interrupt {
    UniqueFd event_fd;
    bool masked = false;
    bool pending = false;
  };
  // What a command leaves behind: an errno value, or a payload with descriptors; or the reply comes later.
  struct Reply {
    int error = 0;
    std::vector<uint8_t> payload;
    std::vector<UniqueFd> owned_fds;  // closed after sending
    std::vector<int> fds;
    bool later = false;

    [[nodiscard]] static Reply with_error(int error) {
      Reply reply;
      reply.error = error;
      return reply;
    }
  };
  using Message = vfio_user::Message;
  using Payload = std::vector<uint8_t>;

  VfioUserServer(VfioUserBackend& backend, DoorbellPages& pages, HostDmaRegions& memory, Log log);

  void log_of_client(const std::string& line);
  void accept_clients();
  void read_client();
  void drop_client(const std::string& reason);
  // Checks the header, executes and replies. False: the connection is over.
  bool handle(const Message& message);
  [[nodiscard]] int check(const Message& message) const;
  [[nodiscard]] Reply execute(const Message& message);
  bool send_reply(const vfio_user::Header& request, const Reply& reply);
  // Ends an operation whose reply was left for later.
  void finish(uint64_t operation, Reply reply);

  Reply do_version(const Message& message);
  Reply do_dma_map(const Message& message);
  Reply do_dma_unmap(const Payload& payload);
  Reply do_get_info(const Payload& payload);
  Reply do_get_region_info(const Payload& payload);
  Reply do_get_region_io_fds(const Payload& payload);
  Reply do_get_irq_info(const Payload& payload);
  Reply do_set_irqs(const Message& message);
  Reply do_region_read(const Payload& payload);
  Reply do_region_write(const Payload& payload);
  Reply do_reset(const Payload& payload);

  int connect_interrupts(uint32_t start, uint32_t count, const std::vector<UniqueFd>& fds);
  void disconnect_interrupt(uint32_t vector);
  void act_on_interrupt(uint32_t vector, uint32_t action);
  void signal(Interrupt& interrupt);

  VfioUserBackend& backend_;
  DoorbellPages& pages_;
  HostDmaRegions& memory_;
  Log log_;
  std::string socket_path_;
  UniqueFd listener_;
  vfio_user::MessageSocket client_;
  Clock::time_point connected_;  // when the client did
  bool negotiated_ = false;
  bool close_after_reply_ = false;
  bool unwanted_fds_ = false;  // the client has sent descriptors where none belong
  bool resetting_ = false;     // a client has gone and the device is not ready for the next
  uint64_t client_max_fds_ = 1;
  uint64_t client_max_transfer_bytes_ = 0;
  uint64_t operation_ = 0;  // grows with each message and each client; tells late completions apart
  bool busy_ = false;       // a reply is left for later; nothing else is read until then
  vfio_user::Header busy_request_;
  EventFdSignaller signaller_;
  std::array<Interrupt, PST_LIMIT_MSIX_VECTOR_COUNT> interrupts_;
  Statistics statistics_;
  Clock::time_point log_second_;  // when counting lines began
  uint32_t log_lines_count_ = 0;
};

}  // namespace postern::sim
