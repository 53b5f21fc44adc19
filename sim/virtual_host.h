// A host in virtual time, as a workload sees it: resource manager, one VI, a stack, and calls like those of sockets
// that cost processor time. Hides SystemC, the sleeper protocol and the cost model. Packet walk: the application's
// first and last step. Every call must come from a thread of the simulation (Simulation::spawn).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "driver/resource_manager.h"
#include "driver/vi.h"
#include "sim/simulation.h"
#include "stack/stack.h"

namespace postern::sim {

class VirtualHost : private stack::PortAuthority, private stack::Waker {
 public:
  struct Options {
    uint64_t spin_ns = 20'000;  // how long a waiter looks at the event queue before it primes and sleeps
    ViGeometry geometry;
    EvqPolicy evq_policy = EvqPolicy::kStall;
    uint32_t holdoff_ns = 0;      // of the event queue's wakeups (R7)
    uint16_t holdoff_events = 0;  // likewise
    bool rx_prefix = false;       // metadata before each received frame
    uint8_t merge_count = 0;      // frames that one RX event may complete; more than one turns rx_prefix on
    stack::StackConfig stack;     // identity and VI are filled in
  };

  VirtualHost(Simulation& simulation, size_t host_idx, const Options& options);
  ~VirtualHost() override;

  // Starts the function, makes the VI, formats and attaches the stack. Then serve() keeps the protocol going.
  [[nodiscard]] Status boot();
  // The stack helper's part: advances the protocol while no workload thread does. Never returns.
  void serve();
  [[nodiscard]] bool booted() const { return stack_ != nullptr; }

  [[nodiscard]] const std::string& name() const { return spec_.name; }
  [[nodiscard]] stack::IpAddress address() const { return stack::IpAddress::ipv4(spec_.address_ipv4); }
  [[nodiscard]] uint64_t now_ps() const { return cpu_.now_ps(); }
  [[nodiscard]] uint64_t now_ns() const { return cpu_.now_ps() / 1000; }
  void spend_ns(double duration_ns) { cpu_.spend_ns(duration_ns); }

  // A thread of the simulation works on this host while one exists.
  class Thread {
   public:
    explicit Thread(VirtualHost& host) : host_(host) {
      host_.active_threads_++;
      host_.threads_max_ = std::max(host_.threads_max_, ++host_.threads_count_);
    }
    ~Thread();
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;
    // Sleeps; the host's helper goes on in the meantime.
    void sleep_until_ns(uint64_t time_ns);

   private:
    VirtualHost& host_;
  };

  // Endpoint calls as of stack::Stack, with their cost. None of them waits, except for the resource manager (bind,
  // connect, listen).
  [[nodiscard]] int open(stack::SocketType type);
  [[nodiscard]] int bind(int endpoint, uint16_t port);
  [[nodiscard]] int connect(int endpoint, const stack::SocketAddress& remote);
  [[nodiscard]] int listen(int endpoint, int backlog);
  [[nodiscard]] int accept(int endpoint);
  [[nodiscard]] int64_t send(int endpoint, const void* data, size_t size_bytes,
                             const stack::SocketAddress* to = nullptr);
  [[nodiscard]] int64_t recv(int endpoint, void* data, size_t size_bytes, stack::SocketAddress* from = nullptr);
  [[nodiscard]] int shutdown(int endpoint, int how) { return stack_->shutdown(endpoint, how); }
  [[nodiscard]] int set_option(int endpoint, int level, int name, int value) {
    return stack_->set_option(endpoint, level, name, &value, sizeof value);
  }
  void close(int endpoint);
  [[nodiscard]] uint32_t readiness(int endpoint) const { return stack_->readiness(endpoint); }
  // SO_ERROR of an endpoint as a positive errno value.
  [[nodiscard]] int pending_error(int endpoint);

  // Makes every waiting thread of this host look again.
  void nudge() { cpu_.wake(); }
  // Lets the stack work off events and timers; returns what it did.
  size_t poll();
  // Polls until ready() or the deadline: spins, then primes and sleeps on the interrupt. False: deadline.
  [[nodiscard]] bool wait_until(const std::function<bool()>& ready, uint64_t deadline_ns);
  // Waits until one of the POLL* bits is set.
  [[nodiscard]] bool wait_ready(int endpoint, uint32_t poll_bits, uint64_t deadline_ns);

  // Why the stack is down, for a person; empty while it is not.
  [[nodiscard]] std::string device_problem() const;

  [[nodiscard]] stack::Stack& stack() { return *stack_; }
  [[nodiscard]] ResourceManager& resources() { return resources_; }
  // Uses the resource manager when no other thread does.
  void administer(const std::function<void(ResourceManager&)>& body);
  [[nodiscard]] PciFunction& function() { return simulation_.function(host_idx_); }
  [[nodiscard]] HostCpu& cpu() { return cpu_; }
  [[nodiscard]] const HostSpec& spec() const { return spec_; }
  [[nodiscard]] const Options& options() const { return options_; }
  // Most workload threads that were here at once.
  [[nodiscard]] unsigned threads_max() const { return threads_max_; }
  [[nodiscard]] uint32_t vi_id() const { return grant_.vi_id; }
  [[nodiscard]] const ViGeometry& geometry() const { return options_.geometry; }
  [[nodiscard]] size_t host_idx() const { return host_idx_; }

 private:
  class AdminTurn;
  struct PortKey {
    stack::Protocol protocol;
    uint32_t address;
    uint16_t port;
    friend bool operator<(const PortKey& a, const PortKey& b) {
      return std::tie(a.protocol, a.address, a.port) < std::tie(b.protocol, b.address, b.port);
    }
  };

  // stack::PortAuthority and stack::Waker.
  [[nodiscard]] int acquire(stack::Protocol protocol, const stack::SocketAddress& local, uint32_t flags) override;
  void release(stack::Protocol protocol, const stack::SocketAddress& local) override;
  void wake() override { cpu_.wake(); }

  [[nodiscard]] Status make_stack();
  void release_ports();
  void watch_device();
  void sleep(uint64_t deadline_ns, const std::function<bool()>& ready);
  void note_local_port(int endpoint);

  Simulation& simulation_;
  const size_t host_idx_;
  const HostSpec spec_;
  Options options_;
  HostCpu& cpu_;
  HostStageTrace* const stages_;
  HeapDmaAllocator allocator_;
  ResourceManager resources_;
  DmaMemory region_;
  ViGrant grant_;
  std::unique_ptr<ViWindow> window_;
  std::unique_ptr<InterruptLine> interrupt_;
  std::unique_ptr<stack::Stack> stack_;

  unsigned active_threads_ = 0;  // those that do not sleep
  unsigned threads_count_ = 0;
  unsigned threads_max_ = 0;
  unsigned waiting_threads_ = 0;
  uint32_t device_event_idx_ = 0;              // the event queue as it was when the device last gave a sign of life
  uint64_t device_seen_ns_ = 0;                // when that was
  std::string device_error_;                   // what it said when it was asked
  bool admin_busy_ = false;                    // the resource manager is single-threaded
  std::multimap<PortKey, uint32_t> bindings_;  // binding ids
  std::vector<PortKey> released_;              // not yet told to the resource manager
  struct EndpointNote {
    uint16_t local_port = 0;
    bool stream = false;
  };
  std::vector<EndpointNote> endpoints_;  // by endpoint id, for the stage trace
};

}  // namespace postern::sim
