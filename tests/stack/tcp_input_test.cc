// TCP input by state, against a scripted peer: sequence checks, RST and SYN attacks, timestamps, reassembly, FIN.
#include "tests/stack/scripted_peer.h"

namespace postern::stack::test {
namespace {

TcpOptions timestamps(uint32_t value) {
  TcpOptions options;
  options.has_timestamp = true;
  options.timestamp = value;
  return options;
}

TEST(TcpInputClosedTest, SegmentForNobodyIsAnsweredWithReset) {
  ScriptedPeer peer;
  peer.segment_in(kTcpAck, 100, 4242);
  peer.run_for(kMs);
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_EQ(peer.sent[0].header.flags, kTcpRst);
  EXPECT_EQ(peer.sent[0].header.seq, 4242u);
  peer.segment_in(kTcpSyn, 100, 0);
  ASSERT_EQ(peer.sent.size(), 2u);
  EXPECT_EQ(peer.sent[1].header.flags, kTcpRst | kTcpAck);
  EXPECT_EQ(peer.sent[1].header.ack, 101u);
  peer.segment_in(kTcpRst, 100, 0);
  EXPECT_EQ(peer.sent.size(), 2u);  // never a reset for a reset
}

TEST(TcpInputListenTest, SynAckOffersWhatThePeerOffered) {
  ScriptedPeer peer([](StackConfig& config) { config.tcp_timestamps = 1; });
  TcpOptions options = timestamps(77);
  options.mss_bytes = 1000;
  options.has_window_scale = true;
  options.window_scale = 3;
  options.sack_permitted = true;
  peer.establish(options);
  EXPECT_EQ(peer.syn_ack.options.mss_bytes, 1460);
  EXPECT_TRUE(peer.syn_ack.options.has_window_scale);
  EXPECT_EQ(peer.syn_ack.options.window_scale, 7);
  EXPECT_TRUE(peer.syn_ack.options.sack_permitted);
  EXPECT_EQ(peer.syn_ack.options.timestamp_echo, 77u);
  EXPECT_EQ(get_int(peer.host, peer.server, IPPROTO_TCP, TCP_MAXSEG), 1000 - 12);
}

TEST(TcpInputListenTest, PlainSynGetsAPlainAnswer) {
  ScriptedPeer peer([](StackConfig& config) { config.tcp_timestamps = 1; });
  peer.establish();
  EXPECT_FALSE(peer.syn_ack.options.has_window_scale);
  EXPECT_FALSE(peer.syn_ack.options.sack_permitted);
  EXPECT_FALSE(peer.syn_ack.options.has_timestamp);
  EXPECT_EQ(get_int(peer.host, peer.server, IPPROTO_TCP, TCP_MAXSEG), 536);
}

TEST(TcpInputListenTest, AckWithoutConnectionIsReset) {
  ScriptedPeer peer;
  listen_on(peer.host, 80);
  peer.segment_in(kTcpAck, 1, 99);
  peer.run_for(kMs);
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_EQ(peer.sent[0].header.flags, kTcpRst);
}

TEST(TcpInputSynReceivedTest, WrongAcknowledgementIsReset) {
  ScriptedPeer peer;
  peer.listener = listen_on(peer.host, 80);
  peer.segment_in(kTcpSyn, 1000, 0);
  peer.run_for(kMs);
  ASSERT_EQ(peer.sent.size(), 1u);
  peer.segment_in(kTcpAck, 1001, peer.sent[0].header.seq + 99);
  ASSERT_EQ(peer.sent.size(), 2u);
  EXPECT_EQ(peer.sent[1].header.flags, kTcpRst);
  EXPECT_EQ(peer.host.stack->accept(peer.listener, nullptr), -EAGAIN);
}

TEST(TcpInputSynReceivedTest, RepeatedSynGetsTheSameAnswer) {
  ScriptedPeer peer;
  peer.listener = listen_on(peer.host, 80);
  peer.segment_in(kTcpSyn, 1000, 0);
  peer.run_for(kMs);
  peer.segment_in(kTcpSyn, 1000, 0);
  ASSERT_EQ(peer.sent.size(), 2u);
  EXPECT_EQ(peer.sent[0].header.seq, peer.sent[1].header.seq);
  EXPECT_EQ(peer.sent[1].header.flags, kTcpSyn | kTcpAck);
}

TEST(TcpInputSynSentTest, WrongAcknowledgementOfTheSynIsResetAndIgnored) {
  ScriptedPeer peer;
  const int client = peer.host.stack->open(SocketType::kStream);
  ASSERT_EQ(peer.host.stack->connect(client, peer.peer), -EINPROGRESS);
  peer.run_for(kMs);
  ASSERT_EQ(peer.sent.size(), 1u);
  peer.local_port = peer.sent[0].header.source_port;
  const uint32_t iss = peer.sent[0].header.seq;
  peer.segment_in(kTcpSyn | kTcpAck, 50, iss + 5);
  ASSERT_EQ(peer.sent.size(), 2u);
  EXPECT_EQ(peer.sent[1].header.flags, kTcpRst);
  peer.segment_in(kTcpRst | kTcpAck, 0, iss + 5);  // a blind reset does nothing
  EXPECT_EQ(tcp_state(peer.host, client), 2);
  peer.segment_in(kTcpSyn | kTcpAck, 50, iss + 1);
  EXPECT_EQ(tcp_state(peer.host, client), 1);
}

TEST(TcpInputEstablishedTest, ResetMustHitTheExactSequenceNumber) {
  ScriptedPeer peer;
  peer.establish();
  peer.segment_in(kTcpRst, peer.peer_seq + 10, 0);  // in the window: a challenge (RFC 5961)
  EXPECT_EQ(peer.describe(), "[16 seq+0 ack+0 0B]");
  EXPECT_EQ(tcp_state(peer.host, peer.server), 1);
  peer.segment_in(kTcpRst, peer.peer_seq - 10, 0);  // outside: nothing
  EXPECT_EQ(peer.sent.size(), 1u);
  peer.segment_in(kTcpRst, peer.peer_seq, 0);
  EXPECT_EQ(get_int(peer.host, peer.server, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

TEST(TcpInputEstablishedTest, SynIsChallengedNotObeyed) {
  ScriptedPeer peer;
  peer.establish();
  peer.segment_in(kTcpSyn, peer.peer_seq, 0);
  EXPECT_EQ(peer.describe(), "[16 seq+0 ack+0 0B]");
  EXPECT_EQ(tcp_state(peer.host, peer.server), 1);
}

TEST(TcpInputEstablishedTest, AcknowledgementOfTheFutureIsRefused) {
  ScriptedPeer peer;
  peer.establish();
  peer.segment_in(kTcpAck, peer.peer_seq, peer.local_seq + 1000, "evil");
  EXPECT_EQ(recv_text(peer.host, peer.server), "-11");
  EXPECT_EQ(peer.describe(), "[16 seq+0 ack+0 0B]");
}

TEST(TcpInputEstablishedTest, OutOfOrderDataIsHeldReportedAndDeliveredInOrder) {
  ScriptedPeer peer;
  TcpOptions options;
  options.sack_permitted = true;
  peer.establish(options);
  peer.data_in("cc", 4);
  peer.data_in("ee", 8);
  EXPECT_EQ(recv_text(peer.host, peer.server), "-11");
  ASSERT_EQ(peer.sent.size(), 2u);  // a duplicate acknowledgement for each
  EXPECT_EQ(peer.sent[1].header.ack, peer.peer_seq);
  ASSERT_EQ(peer.sent[1].header.options.sack_count, 2);
  EXPECT_EQ(peer.sent[1].header.options.sack[0].begin, peer.peer_seq + 8);  // the newest first
  EXPECT_EQ(peer.sent[1].header.options.sack[1].begin, peer.peer_seq + 4);
  EXPECT_EQ(peer.sent[1].header.options.sack[1].end, peer.peer_seq + 6);
  peer.data_in("aabb", 0);
  EXPECT_EQ(peer.sent.back().header.ack, peer.peer_seq + 6);
  EXPECT_EQ(recv_text(peer.host, peer.server), "aabbcc");
  peer.data_in("ddee", 6);  // overlaps what is there
  EXPECT_EQ(recv_text(peer.host, peer.server), "ddee");
}

TEST(TcpInputEstablishedTest, OverlapsOfEveryKindDeliverEachByteOnce) {
  ScriptedPeer peer;
  peer.establish();
  const std::string text = "abcdefghijklmnopqrstuvwxyz";
  const auto part = [&](uint32_t from, uint32_t to) { peer.data_in(text.substr(from, to - from), from); };
  part(10, 14);
  part(12, 18);  // front overlaps
  part(8, 12);   // back overlaps
  part(9, 13);   // inside
  part(6, 22);   // covers all
  part(24, 26);
  part(20, 25);
  part(2, 5);
  EXPECT_EQ(recv_text(peer.host, peer.server), "-11");
  part(0, 7);
  EXPECT_EQ(recv_text(peer.host, peer.server), text);
}

TEST(TcpInputEstablishedTest, DataBeyondTheWindowIsCutOff) {
  ScriptedPeer peer([](StackConfig& config) { config.tcp_receive_buffer_bytes = 1000; });
  peer.establish();
  peer.data_in(std::string(800, 'a'));
  peer.data_in(std::string(800, 'b'), 800);
  EXPECT_EQ(recv_text(peer.host, peer.server), std::string(800, 'a') + std::string(200, 'b'));
  peer.data_in(std::string(600, 'b'), 1000);
  EXPECT_EQ(recv_text(peer.host, peer.server), std::string(600, 'b'));
}

TEST(TcpInputEstablishedTest, OldTimestampIsDroppedAndAcknowledged) {
  ScriptedPeer peer([](StackConfig& config) { config.tcp_timestamps = 1; });
  peer.establish(timestamps(1000));
  peer.segment_in(kTcpAck, peer.peer_seq, peer.local_seq, "new", 65535, timestamps(1005));
  peer.sent.clear();
  // A segment from an earlier wrap of the sequence space looks valid but for its timestamp.
  peer.segment_in(kTcpAck, peer.peer_seq + 3, peer.local_seq, "OLD", 65535, timestamps(999));
  EXPECT_EQ(recv_text(peer.host, peer.server), "new");
  EXPECT_EQ(peer.host.stack->stats().drop_tcp_paws, 1u);
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_EQ(peer.sent[0].header.options.timestamp_echo, 1005u);
  peer.segment_in(kTcpAck, peer.peer_seq + 3, peer.local_seq, "no timestamp");
  EXPECT_EQ(recv_text(peer.host, peer.server), "-11");
  peer.segment_in(kTcpAck, peer.peer_seq + 3, peer.local_seq, "ok", 65535, timestamps(1005));
  EXPECT_EQ(recv_text(peer.host, peer.server), "ok");
}

TEST(TcpInputEstablishedTest, FinThatOvertookDataWaitsForIt) {
  ScriptedPeer peer;
  peer.establish();
  peer.data_in("end", 5, kTcpAck | kTcpFin);
  EXPECT_EQ(tcp_state(peer.host, peer.server), 1);
  peer.data_in("start", 0);
  EXPECT_EQ(tcp_state(peer.host, peer.server), 8);  // CLOSE_WAIT
  EXPECT_EQ(recv_text(peer.host, peer.server), "startend");
  EXPECT_EQ(recv_text(peer.host, peer.server), "");
  EXPECT_EQ(peer.sent.back().header.ack, peer.peer_seq + 9);
}

TEST(TcpInputEstablishedTest, WrongChecksumIsDropped) {
  ScriptedPeer peer;
  peer.establish();
  std::string segment(20, '\0');
  segment[12] = 0x50;
  segment[13] = kTcpRst;
  peer.ip_in(6, segment);
  EXPECT_EQ(peer.host.stack->stats().drop_tcp_checksum, 1u);
}

TEST(TcpInputEstablishedTest, MalformedHeadersAreCountedNotRead) {
  ScriptedPeer peer;
  peer.establish();
  std::string segment(20, '\0');
  segment[12] = 0x40;  // header shorter than 20
  peer.ip_in(6, segment);
  segment[12] = static_cast<char>(0xf0);  // longer than the segment
  peer.ip_in(6, segment);
  peer.ip_in(6, "short");
  segment.resize(24);
  segment[12] = 0x60;
  segment[20] = 8;  // option longer than the header
  segment[21] = 10;
  peer.ip_in(6, segment);
  EXPECT_EQ(peer.host.stack->stats().drop_tcp_malformed, 4u);
}

TEST(TcpInputTimeWaitTest, RepeatedFinIsAcknowledgedAgainAndNewSynReusesTheConnection) {
  ScriptedPeer peer;
  peer.establish();
  EXPECT_EQ(peer.host.stack->close(peer.server), 0);
  peer.segment_in(kTcpAck | kTcpFin, peer.peer_seq, peer.local_seq + 1);
  peer.sent.clear();
  peer.segment_in(kTcpAck | kTcpFin, peer.peer_seq, peer.local_seq + 1);
  EXPECT_EQ(peer.describe(), "[16 seq+1 ack+1 0B]");
  peer.sent.clear();
  peer.segment_in(kTcpSyn, peer.peer_seq + 100, 0);
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_EQ(peer.sent[0].header.flags, kTcpSyn | kTcpAck);
}

TEST(TcpListenerTest, ShutdownResetsHalfOpenAndUnacceptedConnections) {
  ScriptedPeer peer;
  const int listener = listen_on(peer.host, 80);
  peer.local_port = 80;
  peer.segment_in(kTcpSyn, 5000, 0);  // stays half-open
  ASSERT_EQ(peer.sent.size(), 1u);
  const uint32_t half_open_seq = peer.sent[0].header.seq;
  peer.peer.port += 1;
  peer.segment_in(kTcpSyn, 7000, 0);
  ASSERT_EQ(peer.sent.size(), 2u);
  peer.segment_in(kTcpAck, 7001, peer.sent[1].header.seq + 1);
  peer.sent.clear();
  EXPECT_EQ(peer.host.stack->shutdown(listener, SHUT_RDWR), 0);
  ASSERT_EQ(peer.sent.size(), 2u);
  for (const SentSegment& segment : peer.sent) EXPECT_NE(segment.header.flags & kTcpRst, 0);
  peer.sent.clear();
  // The handshake's last segment comes too late.
  peer.peer.port -= 1;
  peer.segment_in(kTcpAck, 5001, half_open_seq + 1);
  ASSERT_EQ(peer.sent.size(), 1u);
  EXPECT_NE(peer.sent[0].header.flags & kTcpRst, 0);
  EXPECT_EQ(peer.host.stack->listen(listener, 16), 0);  // starts again with nothing in its books
  EXPECT_EQ(peer.host.stack->accept(listener, nullptr), -EAGAIN);
  EXPECT_EQ(peer.host.stack->shutdown(listener, SHUT_RD), 0);
  EXPECT_EQ(peer.host.stack->close(listener), 0);
  EXPECT_TRUE(peer.host.stack->all_closed());
  EXPECT_TRUE(peer.host.ports.taken.empty());
}

TEST(TcpListenerTest, OldestHalfOpenConnectionGivesWayToANewOne) {
  ScriptedPeer peer([](StackConfig& config) { config.syn_backlog_max = 4; });
  const int listener = listen_on(peer.host, 80);
  peer.local_port = 80;
  for (uint16_t i = 0; i < 20; ++i) {
    peer.peer.port = static_cast<uint16_t>(5000 + i);
    peer.segment_in(kTcpSyn, 7000, 0);
    peer.run_for(kMs);
  }
  ASSERT_EQ(peer.sent.size(), 20u);
  peer.segment_in(kTcpAck, 7001, peer.sent.back().header.seq + 1);
  EXPECT_GE(peer.host.stack->accept(listener, nullptr), 0);
  EXPECT_EQ(peer.host.stack->stats().drop_tcp_backlog_full, 16u);
}

}  // namespace
}  // namespace postern::stack::test
