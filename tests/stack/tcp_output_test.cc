// TCP output and its timers, against a scripted peer: delayed acknowledgement, Nagle, cork, windows, retransmission.
#include "tests/stack/scripted_peer.h"

namespace postern::stack::test {
namespace {

constexpr uint32_t kMss = 536;  // the scripted SYN has no MSS option

// Past the acknowledgements at once that a connection begins with.
void use_up_quick_acks(ScriptedPeer& peer) {
  for (int i = 0; i < 8; ++i) {
    peer.data_in("x");
    peer.peer_seq += 1;
  }
  char buffer[16];
  recv_bytes(peer.host, peer.server, buffer, sizeof buffer);
  peer.sent.clear();
}

TEST(TcpOutputTest, OneSmallSegmentIsAcknowledgedAfterTheDelay) {
  ScriptedPeer peer;
  peer.establish();
  use_up_quick_acks(peer);
  const uint64_t start = peer.clock.now;
  peer.data_in("hello");
  EXPECT_EQ(peer.describe(), "");
  peer.run_for(100 * kMs);
  ASSERT_EQ(peer.describe(), "[16 seq+0 ack+5 0B]");
  EXPECT_NEAR(static_cast<double>(peer.sent[0].time_ns - start), 40e6, 2.5e6);
}

TEST(TcpOutputTest, EverySecondFullSegmentIsAcknowledgedAtOnce) {
  ScriptedPeer peer;
  peer.establish();
  use_up_quick_acks(peer);
  const std::string full(kMss, 'f');
  for (uint32_t i = 0; i < 4; ++i) peer.data_in(full, i * kMss);
  EXPECT_EQ(peer.describe(), "[16 seq+0 ack+1072 0B][16 seq+0 ack+2144 0B]");
}

TEST(TcpOutputTest, AcknowledgementRidesOnData) {
  ScriptedPeer peer;
  peer.establish();
  use_up_quick_acks(peer);
  peer.data_in("ping");
  send_text(peer.host, peer.server, "pong");
  peer.run_for(100 * kMs);
  EXPECT_EQ(peer.describe(), "[24 seq+0 ack+4 4B]");
}

TEST(TcpOutputTest, NagleHoldsTheSecondSmallSegmentUntilTheFirstIsAcknowledged) {
  ScriptedPeer peer;
  peer.establish();
  send_text(peer.host, peer.server, "a");
  send_text(peer.host, peer.server, "b");
  send_text(peer.host, peer.server, "c");
  EXPECT_EQ(peer.describe(), "[24 seq+0 ack+0 1B]");
  peer.sent.clear();
  peer.ack_in(1);
  EXPECT_EQ(peer.describe(), "[24 seq+1 ack+0 2B]");
}

TEST(TcpOutputTest, NoDelaySendsAtOnce) {
  ScriptedPeer peer;
  peer.establish();
  set_int(peer.host, peer.server, IPPROTO_TCP, TCP_NODELAY, 1);
  send_text(peer.host, peer.server, "a");
  send_text(peer.host, peer.server, "b");
  EXPECT_EQ(peer.describe(), "[24 seq+0 ack+0 1B][24 seq+1 ack+0 1B]");
}

TEST(TcpOutputTest, CorkHoldsPartialSegmentsForTwoHundredMilliseconds) {
  ScriptedPeer peer;
  peer.establish();
  set_int(peer.host, peer.server, IPPROTO_TCP, TCP_CORK, 1);
  send_text(peer.host, peer.server, std::string(kMss + 10, 'x'));
  EXPECT_EQ(peer.describe(), "[16 seq+0 ack+0 536B]");
  peer.ack_in(kMss);
  peer.sent.clear();
  const uint64_t start = peer.clock.now;
  peer.run_for(190 * kMs);
  EXPECT_EQ(peer.describe(), "");
  peer.run_for(20 * kMs);
  ASSERT_EQ(peer.describe(), "[24 seq+536 ack+0 10B]");
  EXPECT_NEAR(static_cast<double>(peer.sent[0].time_ns - start), 200e6, 3e6);
  peer.ack_in(kMss + 10);
  peer.sent.clear();
  send_text(peer.host, peer.server, "y");
  EXPECT_EQ(peer.describe(), "");
  set_int(peer.host, peer.server, IPPROTO_TCP, TCP_CORK, 0);
  EXPECT_EQ(peer.describe(), "[24 seq+546 ack+0 1B]");
}

TEST(TcpOutputTest, MoreFlagHoldsLikeACorkForOneCall) {
  ScriptedPeer peer;
  peer.establish();
  send_text(peer.host, peer.server, "head", MSG_MORE);
  EXPECT_EQ(peer.describe(), "");
  send_text(peer.host, peer.server, "body");
  EXPECT_EQ(peer.describe(), "[24 seq+0 ack+0 8B]");
}

TEST(TcpOutputTest, InitialWindowIsTenSegmentsAndGrowsBySlowStart) {
  ScriptedPeer peer;
  peer.establish();
  send_text(peer.host, peer.server, std::string(100 * kMss, 'x'));
  EXPECT_EQ(peer.sent.size(), 10u);
  peer.sent.clear();
  peer.ack_in(2 * kMss);
  EXPECT_EQ(peer.sent.size(), 4u);
}

TEST(TcpOutputTest, RetransmissionTimerDoublesAndStopsAtTheLimit) {
  ScriptedPeer peer;
  peer.establish();
  const uint64_t start = peer.clock.now;
  send_text(peer.host, peer.server, "lost");
  peer.run_for(1200 * kSecond);
  ASSERT_EQ(peer.sent.size(), 16u);  // and 15 retries (tcp_retries2)
  double expected_s = 0;
  double rto_s = 0.2;  // the handshake took no time: the minimum
  for (size_t i = 1; i < 8; ++i) {
    expected_s += rto_s;
    rto_s *= 2;
    EXPECT_NEAR(static_cast<double>(peer.sent[i].time_ns - start) / 1e9, expected_s, 0.02) << i;
    EXPECT_EQ(peer.sent[i].payload, "lost");
  }
  EXPECT_EQ(get_int(peer.host, peer.server, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

TEST(TcpOutputTest, ThreeDuplicateAcknowledgementsBringAFastRetransmit) {
  ScriptedPeer peer;
  peer.establish();
  send_text(peer.host, peer.server, std::string(10 * kMss, 'x'));
  ASSERT_EQ(peer.sent.size(), 10u);
  peer.sent.clear();
  peer.ack_in(kMss);  // the second one is lost
  peer.ack_in(kMss);
  peer.ack_in(kMss);
  EXPECT_EQ(peer.describe(), "");
  peer.ack_in(kMss);
  EXPECT_EQ(peer.describe(), "[16 seq+536 ack+0 536B]");
  EXPECT_EQ(peer.host.stack->stats().tcp_fast_retransmits_count, 1u);
  peer.sent.clear();
  peer.ack_in(4 * kMss);  // partial: the fifth is lost too (RFC 6582)
  EXPECT_EQ(peer.describe(), "[16 seq+2144 ack+0 536B]");
  peer.sent.clear();
  peer.ack_in(10 * kMss);
  EXPECT_EQ(peer.describe(), "");
}

TEST(TcpOutputTest, SackTellsWhatToRetransmit) {
  ScriptedPeer peer;
  TcpOptions syn;
  syn.sack_permitted = true;
  peer.establish(syn);
  send_text(peer.host, peer.server, std::string(10 * kMss, 'x'));
  peer.sent.clear();
  TcpOptions options;  // segments 0 and 5 are lost
  options.sack_count = 2;
  options.sack[0] = {peer.local_seq + 6 * kMss, peer.local_seq + 10 * kMss};
  options.sack[1] = {peer.local_seq + kMss, peer.local_seq + 5 * kMss};
  peer.segment_in(kTcpAck, peer.peer_seq, peer.local_seq, "", 65535, options);
  EXPECT_EQ(peer.describe(), "[16 seq+0 ack+0 536B][16 seq+2680 ack+0 536B]");
}

TEST(TcpOutputTest, LyingSackRangesAreIgnored) {
  ScriptedPeer peer;
  TcpOptions syn;
  syn.sack_permitted = true;
  peer.establish(syn);
  send_text(peer.host, peer.server, std::string(4 * kMss, 'x'));
  peer.sent.clear();
  TcpOptions options;
  options.sack_count = 4;
  options.sack[0] = {peer.local_seq + 50 * kMss, peer.local_seq + 60 * kMss};
  options.sack[1] = {peer.local_seq - 5 * kMss, peer.local_seq + 4 * kMss};
  options.sack[2] = {peer.local_seq + 3 * kMss, peer.local_seq + kMss};
  options.sack[3] = {peer.local_seq + 1, peer.local_seq + 2};
  for (int i = 0; i < 5; ++i) peer.segment_in(kTcpAck, peer.peer_seq, peer.local_seq, "", 65535, options);
  EXPECT_EQ(peer.describe(), "");
  peer.ack_in(4 * kMss);
  EXPECT_EQ(peer.host.stack->unsent_bytes(peer.server), 0);
}

TEST(TcpOutputTest, ZeroWindowIsProbedAndOpens) {
  ScriptedPeer peer;
  peer.establish();
  send_text(peer.host, peer.server, std::string(kMss, 'x'));
  peer.ack_in(kMss, 0);
  peer.sent.clear();
  send_text(peer.host, peer.server, std::string(2 * kMss, 'y'));
  EXPECT_EQ(peer.describe(), "");
  for (int probe = 1; probe <= 5; ++probe) {
    peer.run_for(130 * kSecond);  // the interval grows to 120 s
    ASSERT_FALSE(peer.sent.empty());
    EXPECT_EQ(peer.sent[0].header.seq, peer.local_seq + kMss - 1);  // old: asks for an acknowledgement
    peer.sent.clear();
    peer.ack_in(kMss, 0);
  }
  EXPECT_EQ(tcp_state(peer.host, peer.server), 1);
  peer.ack_in(kMss, 65535);
  EXPECT_EQ(peer.describe(), "[16 seq+536 ack+0 536B][24 seq+1072 ack+0 536B]");
}

TEST(TcpOutputTest, SillyWindowIsNotUsedAtOnce) {
  ScriptedPeer peer;
  peer.establish();
  send_text(peer.host, peer.server, std::string(kMss, 'x'));
  peer.ack_in(kMss, 100);
  peer.sent.clear();
  send_text(peer.host, peer.server, std::string(2 * kMss, 'y'));
  EXPECT_EQ(peer.describe(), "");
  peer.run_for(kSecond);  // after the persist timer even a small window is used
  ASSERT_FALSE(peer.sent.empty());
  EXPECT_EQ(peer.sent[0].payload.size(), 100u);
}

TEST(TcpOutputTest, ReaderOpensTheWindowOnceItIsWorthIt) {
  ScriptedPeer peer([](StackConfig& config) { config.tcp_receive_buffer_bytes = 4000; });
  peer.establish();
  for (uint32_t i = 0; i < 8; ++i) peer.data_in(std::string(500, 'x'), i * 500);
  peer.run_for(100 * kMs);
  EXPECT_EQ(peer.sent.back().header.window, 0);
  peer.sent.clear();
  recv_text(peer.host, peer.server, 100);
  EXPECT_EQ(peer.describe(), "");
  recv_text(peer.host, peer.server, 3000);
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_EQ(peer.sent[0].header.window, 3100);
}

TEST(TcpOutputTest, FinRidesOnTheLastSegmentAndIsRetransmittedWithIt) {
  ScriptedPeer peer;
  peer.establish();
  send_text(peer.host, peer.server, "a");
  send_text(peer.host, peer.server, "bye");
  EXPECT_EQ(peer.host.stack->shutdown(peer.server, SHUT_WR), 0);
  EXPECT_EQ(peer.describe(), "[24 seq+0 ack+0 1B][25 seq+1 ack+0 3B]");
  peer.sent.clear();
  peer.ack_in(1);
  peer.run_for(250 * kMs);
  EXPECT_EQ(peer.describe(), "[25 seq+1 ack+0 3B]");
  peer.ack_in(4);
  peer.sent.clear();
  peer.run_for(500 * kMs);
  EXPECT_EQ(peer.describe(), "[17 seq+4 ack+0 0B]");  // now the FIN alone
  peer.ack_in(5);
  EXPECT_EQ(tcp_state(peer.host, peer.server), 5);
}

TEST(TcpOutputTest, PayloadThatTheDeviceStillReadsIsRetransmittedWithNewHeaders) {
  ScriptedPeer peer;
  peer.establish();
  peer.host.netif.hold_sent = true;  // no completion arrives
  send_text(peer.host, peer.server, "payload");
  peer.run_for(250 * kMs);
  ASSERT_EQ(peer.sent.size(), 2u);
  EXPECT_EQ(peer.sent[1].payload, "payload");
  EXPECT_EQ(peer.sent[1].header.seq, peer.sent[0].header.seq);
  peer.ack_in(7);
  EXPECT_EQ(peer.host.stack->unsent_bytes(peer.server), 0);
}

TEST(TcpOutputTest, TimestampsTickInMillisecondsAndAreEchoed) {
  ScriptedPeer peer([](StackConfig& config) { config.tcp_timestamps = 1; });
  TcpOptions options;
  options.has_timestamp = true;
  options.timestamp = 500;
  peer.establish(options);
  send_text(peer.host, peer.server, "x");
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_EQ(peer.sent[0].header.options.timestamp_echo, 500u);
  const uint32_t first = peer.sent[0].header.options.timestamp;
  peer.run_for(250 * kMs);
  ASSERT_EQ(peer.sent.size(), 2u);
  EXPECT_NEAR(peer.sent[1].header.options.timestamp - first, 200, 3);
}

}  // namespace
}  // namespace postern::stack::test
