// ARP, ICMP and IPv4 header checks, frame by frame against a scripted peer.
#include "tests/stack/scripted_peer.h"

namespace postern::stack::test {
namespace {

Frame arp_request(ScriptedPeer& peer, const IpAddress& target) {
  Frame frame(42);
  ethernet_emit(frame.data(), kBroadcastMac, peer.peer_mac, kEthertypeArp);
  const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, 1};
  std::memcpy(frame.data() + 14, fixed, 8);
  std::memcpy(frame.data() + 22, peer.peer_mac, 6);
  std::memcpy(frame.data() + 28, peer.peer.address.bytes, 4);
  std::memcpy(frame.data() + 38, target.bytes, 4);
  return frame;
}

std::string echo_request(const std::string& text) {
  std::string message(8, '\0');
  message[0] = 8;
  message[5] = 1;
  message += text;
  const uint16_t checksum = checksum_finish(checksum_add(0, message.data(), message.size()));
  std::memcpy(message.data() + 2, &checksum, 2);
  return message;
}

TEST(ArpTest, HostStackAnnouncesItselfAndAnswersOnlyForItsAddress) {
  ScriptedPeer peer;
  peer.run_for(kMs);
  ASSERT_EQ(peer.other.size(), 1u);  // gratuitous: asks for its own address
  EXPECT_EQ(std::memcmp(peer.other[0].data() + 28, peer.other[0].data() + 38, 4), 0);
  peer.frame_in(arp_request(peer, peer.host.config.address));
  ASSERT_EQ(peer.other.size(), 2u);
  EXPECT_EQ(peer.other[1][21], 2);
  EXPECT_EQ(std::memcmp(peer.other[1].data(), peer.peer_mac, 6), 0);
  peer.frame_in(arp_request(peer, IpAddress::ipv4(0x0a090055)));
  EXPECT_EQ(peer.other.size(), 2u);
}

TEST(ArpTest, OtherStacksLearnButStaySilent) {
  ScriptedPeer peer([](StackConfig& config) { config.host_stack = 0; });
  peer.run_for(kMs);
  peer.frame_in(arp_request(peer, peer.host.config.address));
  EXPECT_TRUE(peer.other.empty());
  const int socket = peer.host.stack->open(SocketType::kDatagram);
  send_bytes(peer.host, socket, "x", 1, 0, &peer.peer);
  ASSERT_EQ(peer.other.size(), 1u);  // no request needed
  EXPECT_EQ(std::memcmp(peer.other[0].data(), peer.peer_mac, 6), 0);
}

TEST(ArpTest, PacketsWaitForTheAnswerInOrder) {
  ScriptedPeer peer;
  peer.answer_arp = false;
  const int socket = peer.host.stack->open(SocketType::kDatagram);
  for (const char* text : {"1", "2", "3"}) send_bytes(peer.host, socket, text, 1, 0, &peer.peer);
  ASSERT_EQ(peer.other.size(), 2u);  // announcement and one request
  peer.frame_in(arp_request(peer, peer.host.config.address));
  ASSERT_EQ(peer.other.size(), 6u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(peer.other[2 + i].back(), "123"[i]);
}

TEST(ArpTest, StaleEntryIsUsedWhileItIsAskedForAgainAndForgottenWithoutAnswer) {
  ScriptedPeer peer;
  const int socket = peer.host.stack->open(SocketType::kDatagram);
  send_bytes(peer.host, socket, "x", 1, 0, &peer.peer);
  peer.run_for(61 * kSecond);
  peer.answer_arp = false;
  peer.other.clear();
  send_bytes(peer.host, socket, "y", 1, 0, &peer.peer);
  ASSERT_EQ(peer.other.size(), 2u);  // data, then a request to the known holder
  EXPECT_EQ(peer.other[0].back(), 'y');
  EXPECT_EQ(std::memcmp(peer.other[1].data(), peer.peer_mac, 6), 0);
  peer.run_for(5 * kSecond);
  peer.other.clear();
  send_bytes(peer.host, socket, "z", 1, 0, &peer.peer);
  ASSERT_EQ(peer.other.size(), 1u);
  EXPECT_EQ(peer.other[0][0], 0xff);
}

TEST(ArpTest, MalformedPacketsAreCounted) {
  ScriptedPeer peer;
  Frame frame = arp_request(peer, peer.host.config.address);
  frame[18] = 7;  // hardware address length
  peer.frame_in(frame);
  frame.resize(20);
  peer.frame_in(frame);
  EXPECT_EQ(peer.host.stack->stats().drop_arp_malformed, 2u);
}

TEST(IcmpTest, EchoIsAnsweredWithTheSameBytes) {
  ScriptedPeer peer;
  peer.ip_in(1, echo_request("ping data, odd"));
  const Frame& reply = peer.other.back();
  ASSERT_EQ(reply.size(), 14u + 20 + 8 + 14);
  EXPECT_EQ(reply[34], 0);
  EXPECT_EQ(checksum_fold(checksum_add(0, reply.data() + 34, reply.size() - 34)), 0xffff);
  EXPECT_EQ(std::string(reply.begin() + 42, reply.end()), "ping data, odd");
  EXPECT_EQ(std::memcmp(reply.data() + 30, peer.peer.address.bytes, 4), 0);
}

TEST(IcmpTest, WrongChecksumGetsNoAnswer) {
  ScriptedPeer peer;
  std::string request = echo_request("x");
  request.back() = 'y';
  peer.ip_in(1, request);
  EXPECT_EQ(peer.host.stack->stats().drop_icmp_malformed, 1u);
  EXPECT_EQ(peer.host.stack->stats().icmp_out_count, 0u);
}

TEST(Ipv4Test, BadPacketsAreDroppedUnderTheirReason) {
  ScriptedPeer peer;
  Frame good(60);
  ethernet_emit(good.data(), peer.host.config.mac, peer.peer_mac, kEthertypeIpv4);
  uint8_t* ip = good.data() + 14;
  ip[0] = 0x45;
  store_be16(ip + 2, 46);
  ip[8] = 1;
  ip[9] = 99;
  std::memcpy(ip + 12, peer.peer.address.bytes, 4);
  std::memcpy(ip + 16, peer.host.config.address.bytes, 4);
  const auto seal = [](Frame& frame) {
    std::memset(frame.data() + 24, 0, 2);
    const uint16_t checksum = checksum_finish(checksum_add(0, frame.data() + 14, 20));
    std::memcpy(frame.data() + 24, &checksum, 2);
  };
  seal(good);
  Frame bad = good;
  peer.frame_in(bad);  // protocol 99
  bad[25] = static_cast<uint8_t>(bad[25] ^ 1);
  peer.frame_in(bad);
  bad = good;
  store_be16(bad.data() + 16, 200);  // longer than the frame
  seal(bad);
  peer.frame_in(bad);
  bad = good;
  bad[14] = 0x44;
  peer.frame_in(bad);
  bad = good;
  bad[33] = 77;  // not our address
  seal(bad);
  peer.frame_in(bad);
  bad = good;
  bad[5] = 0x77;  // not our MAC
  peer.frame_in(bad);
  peer.frame_in(Frame(10));
  bad = good;
  bad[12] = 0x86;
  peer.frame_in(bad);
  const StackStats stats = peer.host.stack->stats();
  EXPECT_EQ(stats.drop_ip_protocol, 1u);
  EXPECT_EQ(stats.drop_ip_checksum, 1u);
  EXPECT_EQ(stats.drop_ip_malformed, 2u);
  EXPECT_EQ(stats.drop_ip_other_address, 1u);
  EXPECT_EQ(stats.drop_ethernet_other_host, 1u);
  EXPECT_EQ(stats.drop_ethernet_malformed, 1u);
  EXPECT_EQ(stats.drop_ethernet_unknown_type, 1u);
}

// A UDP header without checksum, then `bytes` of filling.
std::string udp_with(uint16_t port, uint16_t udp_bytes, size_t bytes, char filling) {
  std::string payload(8, '\0');
  store_be16(reinterpret_cast<uint8_t*>(payload.data()), 5555);
  store_be16(reinterpret_cast<uint8_t*>(payload.data()) + 2, port);
  store_be16(reinterpret_cast<uint8_t*>(payload.data()) + 4, udp_bytes);
  return payload + std::string(bytes, filling);
}

TEST(Ipv4Test, PortUnreachableQuotesTheFirstFragment) {
  ScriptedPeer peer;
  const std::string first = udp_with(99, 8 + 100, 96, 'a');
  peer.ip_in(17, "none", 0);
  peer.other.clear();
  peer.ip_in(17, first, 0x2000);
  peer.ip_in(17, "bbbb", static_cast<uint16_t>(first.size() / 8));
  ASSERT_FALSE(peer.other.empty());
  const Frame& reply = peer.other.back();
  const size_t quote = kEthernetHeaderBytes + kIpv4HeaderBytes + 8;
  ASSERT_GE(reply.size(), quote + kIpv4HeaderBytes + 64);
  EXPECT_EQ(reply[quote - 8], 3);
  EXPECT_EQ(load_be16(reply.data() + quote + 6), 0x2000);  // the first fragment's header
  EXPECT_EQ(std::string(reply.begin() + quote + kIpv4HeaderBytes, reply.end()),
            first.substr(0, reply.size() - quote - kIpv4HeaderBytes));
}

TEST(Ipv4Test, FragmentsBeyondTheLastOneDiscardTheDatagram) {
  ScriptedPeer peer;
  const int socket = peer.host.stack->open(SocketType::kDatagram);
  ASSERT_EQ(peer.host.stack->bind(socket, {IpAddress::any_ipv4(), 99}), 0);
  peer.ip_in(17, std::string(16, 'x'), 0x2000 | 3);  // 24 to 40
  peer.ip_in(17, udp_with(99, 8 + 16, 0, ' '), 2);   // 16 to 24, the last: as many bytes as came, and a hole
  EXPECT_EQ(peer.host.stack->readiness(socket) & POLLIN, 0u);
  EXPECT_EQ(peer.host.stack->stats().drop_ip_reassembly, 2u);
  EXPECT_EQ(peer.host.stack->stats().packets_free, peer.host.config.packet_count);
}

// Whatever bytes arrive, nothing breaks and no buffer is lost.
TEST(Ipv4Test, RandomBytesAreHarmless) {
  ScriptedPeer peer;
  peer.establish();
  std::mt19937_64 random(9);
  for (int i = 0; i < 20'000; ++i) {
    std::string payload(random() % 80, '\0');
    for (char& c : payload) c = static_cast<char>(random());
    const uint8_t protocols[] = {1, 6, 17, 2};
    if (payload.size() >= 4 && i % 2 == 0) {
      store_be16(reinterpret_cast<uint8_t*>(payload.data()), peer.peer.port);
      store_be16(reinterpret_cast<uint8_t*>(payload.data()) + 2, 80);
    }
    peer.ip_in(protocols[random() % 4], payload, static_cast<uint16_t>(random() % 8 == 0 ? random() & 0x3fff : 0));
    peer.other.clear();
    peer.sent.clear();
  }
  peer.run_for(60 * kSecond);
  EXPECT_FALSE(peer.host.stack->is_down());
  peer.host.stack->abort_all();
  EXPECT_EQ(peer.host.stack->stats().packets_free, peer.host.config.packet_count);
}

}  // namespace
}  // namespace postern::stack::test
