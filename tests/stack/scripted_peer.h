// A stack and a peer that is only a script: the test writes segments by hand and looks at what comes out.
#pragma once

#include <sstream>

#include "stack/checksum.h"
#include "stack/ethernet.h"
#include "stack/ipv4.h"
#include "stack/tcp_header.h"
#include "tests/stack/test_network.h"

namespace postern::stack::test {

struct SentSegment {
  uint64_t time_ns;
  TcpHeader header;
  std::string payload;
};

class ScriptedPeer {
 public:
  explicit ScriptedPeer(std::function<void(StackConfig&)> adjust = nullptr) : host(clock, make(adjust)) {
    host.netif.on_transmit = [this](Frame frame) { take(std::move(frame)); };
  }

  void frame_in(Frame frame) {
    host.netif.arrived.push_back(std::move(frame));
    while (!host.netif.arrived.empty()) host.stack->poll();  // an answer to ARP may follow
  }
  // An IPv4 packet from the peer.
  void ip_in(uint8_t protocol, const std::string& payload, uint16_t fragment = 0) {
    Frame frame(kEthernetHeaderBytes + kIpv4HeaderBytes);
    ethernet_emit(frame.data(), host.config.mac, peer_mac, kEthertypeIpv4);
    uint8_t* ip = frame.data() + kEthernetHeaderBytes;
    ip[0] = 0x45;
    store_be16(ip + 2, static_cast<uint16_t>(kIpv4HeaderBytes + payload.size()));
    store_be16(ip + 6, fragment);
    ip[8] = 64;
    ip[9] = protocol;
    std::memcpy(ip + 12, peer.address.bytes, 4);
    std::memcpy(ip + 16, host.config.address.bytes, 4);
    const uint16_t checksum = checksum_finish(checksum_add(0, ip, kIpv4HeaderBytes));
    std::memcpy(ip + 10, &checksum, 2);
    frame.insert(frame.end(), payload.begin(), payload.end());
    frame_in(std::move(frame));
  }
  // A TCP segment from the peer: seq and ack are absolute.
  void segment_in(uint8_t flags, uint32_t seq, uint32_t ack, const std::string& payload = "", uint16_t window = 65535,
                  const TcpOptions& options = {}) {
    TcpHeader header;
    header.source_port = peer.port;
    header.destination_port = local_port;
    header.seq = seq;
    header.ack = ack;
    header.flags = flags;
    header.window = window;
    header.options = options;
    uint8_t buffer[64];
    const uint16_t header_bytes = tcp_emit(buffer, header);
    std::string segment(reinterpret_cast<char*>(buffer), header_bytes);
    segment += payload;
    uint64_t sum = ipv4_pseudo_sum(peer.address, host.config.address, 6, static_cast<uint16_t>(segment.size()));
    const uint16_t checksum = checksum_finish(checksum_add(sum, segment.data(), segment.size()));
    std::memcpy(segment.data() + 16, &checksum, 2);
    ip_in(6, segment);
  }
  // The peer opens a connection to a listener on port 80. Afterwards `server` is accepted, seq and ack are ready.
  void establish(const TcpOptions& syn_options = {}, uint16_t window = 65535) {
    listener = listen_on(host, 80);
    local_port = 80;
    segment_in(kTcpSyn, peer_seq++, 0, "", window, syn_options);
    EXPECT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent.at(0).header.flags, kTcpSyn | kTcpAck);
    EXPECT_EQ(sent.at(0).header.ack, peer_seq);
    syn_ack = sent.at(0).header;
    local_seq = syn_ack.seq + 1;
    TcpOptions options;
    if (syn_ack.options.has_timestamp) {
      options.has_timestamp = true;
      options.timestamp = syn_options.timestamp;
      options.timestamp_echo = syn_ack.options.timestamp;
    }
    segment_in(kTcpAck, peer_seq, local_seq, "", window, options);
    server = host.stack->accept(listener, nullptr);
    EXPECT_GE(server, 0);
    sent.clear();
  }
  void data_in(const std::string& payload, uint32_t offset = 0, uint8_t flags = kTcpAck) {
    segment_in(flags, peer_seq + offset, local_seq, payload);
  }
  // Acknowledges `bytes` of what the stack has sent.
  void ack_in(uint32_t bytes, uint16_t window = 65535) { segment_in(kTcpAck, peer_seq, local_seq + bytes, "", window); }

  void run_for(uint64_t duration_ns) {
    const uint64_t until = clock.now + duration_ns;
    for (;;) {
      host.stack->poll();
      const uint64_t next = host.stack->next_deadline_ns();
      if (next > until) break;
      clock.now = std::max(clock.now, next);
    }
    clock.now = until;
    host.stack->poll();
  }
  [[nodiscard]] std::string describe() const {
    std::ostringstream text;
    for (const SentSegment& segment : sent) {
      text << '[' << unsigned{segment.header.flags} << " seq+" << segment.header.seq - local_seq << " ack+"
           << segment.header.ack - peer_seq << ' ' << segment.payload.size() << "B]";
    }
    return text.str();
  }

  TestClock clock;
  Host host;
  SocketAddress peer{IpAddress::ipv4(0x0a090002), 5555};
  uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};
  uint16_t local_port = 80;
  uint32_t peer_seq = 7'000'000;
  uint32_t local_seq = 0;
  int listener = -1;
  int server = -1;
  TcpHeader syn_ack;
  std::vector<SentSegment> sent;  // TCP
  std::vector<Frame> other;       // everything else
  bool answer_arp = true;

 private:
  static StackConfig make(const std::function<void(StackConfig&)>& adjust) {
    StackConfig config = test_config(1);
    config.tcp_timestamps = 0;  // plain segments, unless a test wants them
    if (adjust) adjust(config);
    return config;
  }
  void take(Frame frame) {
    if (load_be16(frame.data() + 12) == kEthertypeArp) {
      const bool request = frame[21] == 1 && std::memcmp(frame.data() + 38, peer.address.bytes, 4) == 0;
      if (request && answer_arp) answer(frame);
      other.push_back(std::move(frame));
      return;
    }
    const uint8_t* ip = frame.data() + kEthernetHeaderBytes;
    Ipv4Header header;
    ASSERT_TRUE(ipv4_parse(ip, static_cast<uint16_t>(frame.size() - kEthernetHeaderBytes), &header));
    EXPECT_EQ(checksum_fold(checksum_add(0, ip, kIpv4HeaderBytes)), 0xffff);
    if (header.protocol != 6) {
      other.push_back(std::move(frame));
      return;
    }
    const uint8_t* tcp = ip + header.header_bytes;
    const auto tcp_bytes = static_cast<uint16_t>(header.total_bytes - header.header_bytes);
    EXPECT_EQ(
        checksum_fold(checksum_add(ipv4_pseudo_sum(header.source, header.destination, 6, tcp_bytes), tcp, tcp_bytes)),
        0xffff);
    EXPECT_TRUE(header.dont_fragment);
    SentSegment segment{clock.now, {}, {}};
    ASSERT_TRUE(tcp_parse(tcp, tcp_bytes, &segment.header));
    segment.payload.assign(reinterpret_cast<const char*>(tcp) + segment.header.header_bytes,
                           tcp_bytes - segment.header.header_bytes);
    sent.push_back(std::move(segment));
  }
  void answer(const Frame& request) {
    Frame reply = request;
    ethernet_emit(reply.data(), host.config.mac, peer_mac, kEthertypeArp);
    reply[21] = 2;
    std::memcpy(reply.data() + 22, peer_mac, 6);
    std::memcpy(reply.data() + 28, peer.address.bytes, 4);
    std::memcpy(reply.data() + 32, host.config.mac, 6);
    std::memcpy(reply.data() + 38, host.config.address.bytes, 4);
    host.netif.arrived.push_back(std::move(reply));
  }
};

}  // namespace postern::stack::test
