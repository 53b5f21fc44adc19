// A network for stack tests, in one process and in virtual time: hosts with a stack each, connected by an in-memory
// wire that loses, duplicates, reorders and delays frames by a seed. Nothing here is used outside tests.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "stack/packet_pool.h"
#include "stack/stack.h"

namespace postern::stack::test {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1'000'000'000;

class TestClock : public DeviceClock {
 public:
  [[nodiscard]] uint64_t now_ns() const override { return now; }
  uint64_t now = kSecond;
};

// Ports of one host. Remembers what is taken, so that tests see leaks.
class TestPorts : public PortAuthority {
 public:
  int acquire(Protocol protocol, const SocketAddress& local, uint32_t flags) override {
    const auto key = [&](uint16_t port) { return std::pair{protocol, port}; };
    if (local.port != 0) {
      if (taken.count(key(local.port)) != 0 && (flags & kReuseAddress) == 0) return -EADDRINUSE;
      taken.insert(key(local.port));
      return local.port;
    }
    while (taken.count(key(next)) != 0) ++next;
    taken.insert(key(next));
    return next++;
  }
  void release(Protocol protocol, const SocketAddress& local) override {
    const auto found = taken.find({protocol, local.port});
    ASSERT_NE(found, taken.end());
    taken.erase(found);
  }
  std::multiset<std::pair<Protocol, uint16_t>> taken;
  uint16_t next = 40000;
};

using Frame = std::vector<uint8_t>;

// One end of a wire: what the stack sends goes to on_transmit, what was delivered waits in arrived.
class TestInterface : public NetworkInterface {
 public:
  bool can_transmit(PacketPool&) override { return !ring_full; }
  void transmit(PacketPool& pool, const TxFrame& frame) override {
    Frame bytes;
    for (unsigned i = 0; i < frame.piece_count; ++i) {
      const uint8_t* data = pool.buffer(frame.pieces[i].packet) + frame.pieces[i].offset_bytes;
      bytes.insert(bytes.end(), data, data + frame.pieces[i].length_bytes);
      if (hold_sent) {
        pool.retain(frame.pieces[i].packet);
        held.push_back(frame.pieces[i].packet);
      }
    }
    if (on_transmit) on_transmit(std::move(bytes));
  }
  bool transmit_bytes(const uint8_t* frame, uint64_t, uint16_t length_bytes) override {
    if (ring_full) return false;
    if (on_transmit) on_transmit(Frame(frame, frame + length_bytes));
    return true;
  }
  void flush() override {}
  size_t poll(PacketPool& pool, RxFrame* frames, size_t max_count, size_t* work) override {
    size_t count = 0;
    while (count < max_count && !arrived.empty()) {
      const uint32_t packet = pool.allocate();
      if (packet == kNoPacket) {
        ++no_buffer_count;
        arrived.pop_front();
        continue;
      }
      const Frame& bytes = arrived.front();
      std::memcpy(pool.buffer(packet), bytes.data(), bytes.size());
      frames[count] = {};
      frames[count].packet = packet;
      frames[count].length_bytes = static_cast<uint16_t>(bytes.size());
      ++count;
      arrived.pop_front();
    }
    *work = count;
    primed = primed && count == 0;
    return count;
  }
  void refill(PacketPool&) override {}
  bool has_event() const override { return !arrived.empty(); }
  void prime() override {
    primes_count += primed ? 0 : 1;
    primed = true;
  }
  bool failed() const override { return false; }

  void release_held(PacketPool& pool) {
    for (const uint32_t packet : held) pool.release(packet);
    held.clear();
  }

  std::function<void(Frame)> on_transmit;
  std::deque<Frame> arrived;
  std::vector<uint32_t> held;
  bool ring_full = false;
  bool hold_sent = false;  // as if the device had not read the buffers yet
  bool primed = false;     // a prime stands until an event is consumed
  unsigned primes_count = 0;
  unsigned no_buffer_count = 0;
};

class Region {
 public:
  explicit Region(size_t bytes) : bytes_(bytes) {
    base_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(base_, MAP_FAILED);
  }
  ~Region() { munmap(base_, bytes_); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  [[nodiscard]] void* base() const { return base_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  void* base_ = nullptr;
  size_t bytes_ = 0;
};

inline StackConfig test_config(unsigned host) {
  StackConfig config;
  const uint8_t mac[6] = {0x02, 0, 0, 0, 0, static_cast<uint8_t>(host)};
  std::memcpy(config.mac, mac, 6);
  config.address = IpAddress::ipv4(0x0a090000u + host);
  config.prefix_length = 24;
  config.host_stack = 1;
  config.seed = 1000 + host;
  config.endpoint_count = 64;
  config.packet_count = 4096;
  config.tx_checksum_offload = 0;  // the in-memory wire is no NIC
  return config;
}

struct Host {
  Host(TestClock& clock, const StackConfig& host_config)
      : config(host_config), region(Stack::region_bytes(host_config)) {
    EXPECT_TRUE(Stack::format(region.base(), region.bytes(), config).ok());
    StackParts parts;
    parts.region = region.base();
    parts.region_bytes = region.bytes();
    parts.clock = &clock;
    parts.ports = &ports;
    parts.netif = &netif;
    auto attached = Stack::attach(parts);
    EXPECT_TRUE(attached.ok()) << (attached.ok() ? "" : attached.error().message);
    stack = std::move(attached).value();
  }
  [[nodiscard]] SocketAddress at(uint16_t port) const { return {config.address, port}; }

  StackConfig config;
  Region region;
  TestPorts ports;
  TestInterface netif;
  std::unique_ptr<Stack> stack;
};

struct WireFaults {
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;  // share of frames that are held back
  uint64_t reorder_ns = 300'000;
};

// Two hosts and the wire between them.
class Network {
 public:
  explicit Network(uint64_t seed = 1, std::function<void(StackConfig&)> adjust = nullptr)
      : random_(seed), a(clock, make(1, adjust)), b(clock, make(2, adjust)) {
    connect(a, b, to_b);
    connect(b, a, to_a);
  }

  // Advances to the next arrival or timer, at most to `until`. False if there is nothing before that.
  bool step(uint64_t until_ns) {
    a.stack->poll();
    b.stack->poll();
    const auto deadline = [](const Host& host) {
      return host.stack->is_down() ? UINT64_MAX : host.stack->next_deadline_ns();
    };
    uint64_t next = std::min(deadline(a), deadline(b));
    if (!in_flight_.empty()) next = std::min(next, in_flight_.top().time_ns);
    if (next > until_ns) {
      clock.now = std::max(clock.now, until_ns);
      return false;
    }
    clock.now = std::max(clock.now, next);
    while (!in_flight_.empty() && in_flight_.top().time_ns <= clock.now) {
      in_flight_.top().to->netif.arrived.push_back(in_flight_.top().bytes);
      in_flight_.pop();
    }
    a.stack->poll();
    b.stack->poll();
    return true;
  }
  void run_for(uint64_t duration_ns) {
    const uint64_t until = clock.now + duration_ns;
    while (step(until)) {
    }
  }
  // Runs until the condition holds. False if it did not within the time.
  bool run_until(const std::function<bool()>& condition, uint64_t limit_ns = 10 * kSecond) {
    const uint64_t until = clock.now + limit_ns;
    while (!condition()) {
      if (!step(until)) return condition();
    }
    return true;
  }

  TestClock clock;
  WireFaults to_a, to_b;
  uint64_t delay_ns = 10'000;                       // one way
  double bits_per_ns = 10;                          // rate of each direction
  size_t queue_limit_bytes = 16 << 20;              // of each direction; more is lost
  std::function<bool(const Frame&)> filter;         // false: the wire swallows the frame
  std::vector<std::pair<uint64_t, Frame>> capture;  // everything sent, if capturing
  bool capturing = false;

 private:
  struct InFlight {
    uint64_t time_ns;
    uint64_t order;
    Host* to;
    Frame bytes;
    bool operator<(const InFlight& other) const {  // earliest on top
      return std::tie(time_ns, order) > std::tie(other.time_ns, other.order);
    }
  };
  static StackConfig make(unsigned host, const std::function<void(StackConfig&)>& adjust) {
    StackConfig config = test_config(host);
    if (adjust) adjust(config);
    return config;
  }
  void connect(Host& from, Host& to, WireFaults& faults) {
    uint64_t* free_at = &wire_free_at_[&from == &a ? 0 : 1];
    from.netif.on_transmit = [this, &to, &faults, free_at](Frame bytes) {
      if (capturing) capture.emplace_back(clock.now, bytes);
      if (filter && !filter(bytes)) return;
      *free_at = std::max(*free_at, clock.now);
      if ((*free_at - clock.now) * bits_per_ns / 8 > static_cast<double>(queue_limit_bytes)) return;
      *free_at += static_cast<uint64_t>(static_cast<double>(bytes.size() + 24) * 8 / bits_per_ns);
      const auto chance = [this](double share) {
        return share > 0 && std::uniform_real_distribution<>(0, 1)(random_) < share;
      };
      if (chance(faults.loss)) return;
      uint64_t arrival = *free_at + delay_ns;
      if (chance(faults.reorder)) arrival += faults.reorder_ns;
      if (chance(faults.duplicate)) in_flight_.push({arrival + 1000, order_++, &to, bytes});
      in_flight_.push({arrival, order_++, &to, std::move(bytes)});
    };
  }

  std::mt19937_64 random_;
  std::priority_queue<InFlight> in_flight_;
  uint64_t order_ = 0;
  uint64_t wire_free_at_[2] = {};

 public:
  Host a, b;
};

// --- short forms of socket calls ---

inline int64_t send_bytes(Host& host, int endpoint, const void* data, size_t size, int flags = 0,
                          const SocketAddress* to = nullptr) {
  const iovec iov{const_cast<void*>(data), size};
  return host.stack->send(endpoint, &iov, 1, flags, to);
}
inline int64_t send_text(Host& host, int endpoint, const std::string& text, int flags = 0) {
  return send_bytes(host, endpoint, text.data(), text.size(), flags);
}
inline int64_t recv_bytes(Host& host, int endpoint, void* data, size_t size, int flags = 0, RecvInfo* info = nullptr) {
  const iovec iov{data, size};
  return host.stack->recv(endpoint, &iov, 1, flags, info);
}
// What is there, as text; the errno's negative value as "-11" if nothing.
inline std::string recv_text(Host& host, int endpoint, size_t max = 65536, int flags = 0) {
  std::string text(max, '\0');
  const int64_t got = recv_bytes(host, endpoint, text.data(), max, flags);
  if (got < 0) return std::to_string(got);
  text.resize(static_cast<size_t>(got));
  return text;
}
inline int get_int(Host& host, int endpoint, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(host.stack->get_option(endpoint, level, name, &value, &length), 0);
  return value;
}
inline int set_int(Host& host, int endpoint, int level, int name, int value) {
  return host.stack->set_option(endpoint, level, name, &value, sizeof value);
}
inline bool ready(Host& host, int endpoint, uint32_t mask) { return (host.stack->readiness(endpoint) & mask) == mask; }
inline int tcp_state(Host& host, int endpoint) {
  tcp_info info{};
  socklen_t length = sizeof info;
  EXPECT_EQ(host.stack->get_option(endpoint, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  return info.tcpi_state;
}

// A listener on b and a connection from a.
struct TcpPair {
  int listener = -1;
  int client = -1;  // on a
  int server = -1;  // on b
};
inline int listen_on(Host& host, uint16_t port, int backlog = 16) {
  const int listener = host.stack->open(SocketType::kStream);
  EXPECT_GE(listener, 0);
  EXPECT_EQ(host.stack->bind(listener, {IpAddress::any_ipv4(), port}), 0);
  EXPECT_EQ(host.stack->listen(listener, backlog), 0);
  return listener;
}
inline TcpPair connect_pair(Network& net, uint16_t port = 80) {
  TcpPair pair;
  pair.listener = listen_on(net.b, port);
  pair.client = net.a.stack->open(SocketType::kStream);
  EXPECT_EQ(net.a.stack->connect(pair.client, net.b.at(port)), -EINPROGRESS);
  EXPECT_TRUE(net.run_until([&] { return ready(net.b, pair.listener, POLLIN) && ready(net.a, pair.client, POLLOUT); },
                            60 * kSecond));
  pair.server = net.b.stack->accept(pair.listener, nullptr);
  EXPECT_GE(pair.server, 0);
  return pair;
}

}  // namespace postern::stack::test
