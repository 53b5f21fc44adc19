// The state of a TCP connection or listener, in shared memory. Names are RFC 9293's. The functions that change it are
// split by role: tcp_input, tcp_output, tcp_timers, tcp_reassembly, tcp_congestion, tcp_listener; opening and closing
// are here.
//
// Send queue: packets linked from first_packet (oldest unacknowledged) to last_packet; unsent_packet is the first that
// has never been sent. One packet is one segment of at most mss_bytes. Sequence numbers SYN and FIN have no packet: the
// FIN rides on the last packet or goes alone, at sequence number snd_end.
//
// Congestion accounting is in bytes of payload, after Linux: in flight = sent - sacked - lost + retransmitted. Without
// SACK each duplicate acknowledgement counts as one segment "sacked" (dupack_bytes), which gives NewReno's window
// inflation (RFC 6582) and limited transmit (RFC 3042) without special cases.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "stack/ip_address.h"
#include "stack/packet_pool.h"
#include "stack/relaxed.h"

namespace postern::stack {

struct Core;
struct Endpoint;

enum class TcpState : uint8_t {
  kClosed,
  kListen,
  kSynSent,
  kSynReceived,
  kEstablished,
  kFinWait1,
  kFinWait2,
  kCloseWait,
  kClosing,
  kLastAck,
  kTimeWait
};
[[nodiscard]] const char* tcp_state_name(TcpState state);

enum class CongestionState : uint8_t { kOpen, kRecovery, kLoss };
enum class AckState : uint8_t { kNone, kDelayed, kNow };

// Wrapping comparison of sequence numbers.
[[nodiscard]] inline bool seq_less(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }
[[nodiscard]] inline bool seq_less_equal(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) <= 0; }

constexpr uint64_t kNever = UINT64_MAX;

// Timers of one connection; the wheel holds one node with the earliest.
struct TcpTimers {
  uint64_t retransmit_ns = kNever;  // also SYN and SYN-ACK
  uint64_t persist_ns = kNever;
  uint64_t delayed_ack_ns = kNever;
  uint64_t keepalive_ns = kNever;
  uint64_t close_ns = kNever;  // end of TIME_WAIT or of an orphan's FIN_WAIT_2; retry of a dying endpoint
};

struct TcpRtt {
  uint64_t srtt_ns = 0;  // 0: no sample yet
  uint64_t rttvar_ns = 0;
  uint64_t rto_ns = 0;  // without back-off
  uint64_t min_ns = 0;
};

struct SackRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

struct TcpConnection {
  Relaxed<TcpState> state{TcpState::kClosed};
  uint8_t connect_reported = 0;  // connect() has returned success
  uint8_t bound_explicitly = 0;  // bind(): the port outlives a failed connect
  uint8_t in_accept_queue = 0;

  // --- listener, and its children until they are accepted ---
  Relaxed<uint32_t> accept_count{0};
  uint32_t accept_head = 0xffffffffu;
  uint32_t accept_tail = 0xffffffffu;
  uint32_t accept_next = 0xffffffffu;  // child: next in the parent's accept queue
  uint32_t backlog = 0;
  uint32_t half_open_count = 0;
  uint32_t parent = 0xffffffffu;  // child: the listener, while half-open or in the accept queue

  // --- send ---------------------------------------------------------------------------------------------------------
  uint32_t iss = 0;
  uint32_t snd_una = 0;
  uint32_t snd_nxt = 0;
  uint32_t snd_end = 0;  // behind the last byte in the send queue
  uint32_t snd_wnd_bytes = 0;
  uint32_t snd_wnd_max_bytes = 0;  // largest window ever seen (SWS avoidance, RFC 1122 4.2.3.4)
  uint32_t snd_wl1 = 0;
  uint32_t snd_wl2 = 0;
  uint32_t first_packet = kNoPacket;
  uint32_t unsent_packet = kNoPacket;
  uint32_t last_packet = kNoPacket;
  Relaxed<uint32_t> queued_bytes{0};  // snd_end - snd_una without SYN: what SO_SNDBUF limits
  uint16_t mss_bytes = 536;           // payload of a full segment that we send, options deducted
  uint16_t peer_mss_bytes = 536;      // from the peer's SYN
  uint8_t snd_wscale = 0;
  Relaxed<uint8_t> rcv_wscale{0};
  uint8_t timestamps_on = 0;
  uint8_t sack_on = 0;
  uint8_t fin_queued = 0;
  uint8_t fin_sent = 0;
  uint8_t on_output_list = 0;
  uint8_t more_coming = 0;  // MSG_MORE: hold a partial segment
  uint32_t output_next = 0xffffffffu;

  // --- congestion control and loss recovery ---
  CongestionState congestion = CongestionState::kOpen;
  uint8_t cwnd_limited = 0;  // the window was used up since the last acknowledgement
  uint16_t retries = 0;      // retransmission time-outs in a row
  uint32_t cwnd_bytes = 0;
  uint32_t ssthresh_bytes = 0;
  uint32_t cwnd_acked_bytes = 0;  // towards the next increase in congestion avoidance
  uint32_t recover = 0;           // snd_nxt when recovery began (RFC 6582)
  uint32_t sacked_bytes = 0;
  uint32_t lost_bytes = 0;
  uint32_t retransmitted_bytes = 0;
  uint32_t sacked_packets = 0;
  uint32_t dupack_count = 0;
  uint32_t dupack_bytes = 0;
  uint32_t highest_sacked = 0;
  uint64_t last_send_ns = 0;  // last data sent (idle restart, RFC 5681 4.1)
  uint64_t first_retry_ns = 0;
  TcpRtt rtt;

  // --- receive ---
  uint32_t irs = 0;
  Relaxed<uint32_t> rcv_nxt{0};
  Relaxed<uint32_t> rcv_adv{0};  // right edge of the window that we advertised
  // Data within the window had to be dropped for want of packets: the window is advertised as zero, so that the peer
  // probes instead of giving up, until there is room again.
  Relaxed<uint8_t> window_shut{0};
  uint32_t last_ack_sent = 0;
  uint32_t ts_recent = 0;  // RFC 7323
  uint64_t ts_recent_ns = 0;
  uint32_t ts_offset = 0;                // added to our timestamps
  Relaxed<uint32_t> rcv_mss_bytes{536};  // largest segment seen
  uint32_t out_of_order_first = kNoPacket;
  uint32_t out_of_order_count = 0;
  uint32_t out_of_order_bytes = 0;
  uint32_t out_of_order_latest = 0;  // sequence number of the newest arrival: its block is reported first (RFC 2018)
  uint32_t fin_seq = 0;              // of a FIN that came out of order
  uint8_t fin_seen = 0;
  AckState ack = AckState::kNone;
  uint8_t quick_acks = 0;        // so many more segments are acknowledged at once
  uint8_t probes = 0;            // persist probes in a row
  uint8_t keepalive_probes = 0;  // unanswered ones in a row
  uint64_t last_heard_ns = 0;
  uint64_t last_challenge_ns = 0;
  uint64_t time_wait_since_ns = 0;
  uint32_t time_wait_prev = 0xffffffffu;
  uint32_t time_wait_next = 0xffffffffu;
  int32_t soft_error = 0;  // ICMP error, reported if the connection times out

  // --- counters (TCP_INFO) ---
  uint64_t bytes_acked = 0;
  uint64_t bytes_received = 0;
  uint32_t segments_in = 0;
  uint32_t segments_out = 0;
  uint32_t retransmits_total = 0;

  TcpTimers timers;

  [[nodiscard]] uint32_t packets_sent_bytes() const {  // payload sent and not cumulatively acknowledged
    const uint32_t sent = snd_nxt - snd_una;
    return fin_sent != 0 && sent > 0 ? sent - 1 : sent;
  }
  [[nodiscard]] uint32_t in_flight_bytes() const {
    const uint32_t sent = packets_sent_bytes();
    const uint32_t gone = sacked_bytes + dupack_bytes + lost_bytes;
    return (sent > gone ? sent - gone : 0) + retransmitted_bytes;
  }
};

// --- opening and closing (tcp_connection.cc) ---

// Sets what both ends of a new connection have in common; addresses are in the endpoint.
void tcp_initialize(Core& core, Endpoint& endpoint);
// Active open: the endpoint has its port; sends the SYN.
void tcp_connect(Core& core, Endpoint& endpoint);
// Copies into the send queue and sends what may go. Bytes taken or -errno. push_more: MSG_MORE.
[[nodiscard]] int64_t tcp_send(Core& core, Endpoint& endpoint, const iovec* iov, size_t iov_count, bool more);
// Queues a FIN.
void tcp_shutdown_write(Core& core, Endpoint& endpoint);
// The descriptor is gone. The endpoint may be free on return.
void tcp_close(Core& core, Endpoint& endpoint);
// Ends the connection here without telling the peer; error (positive errno) goes to the socket. Frees the endpoint if
// nobody has a descriptor.
void tcp_drop(Core& core, Endpoint& endpoint, int error);
// RST to the peer, then tcp_drop().
void tcp_abort(Core& core, Endpoint& endpoint, int error);
void tcp_enter_time_wait(Core& core, Endpoint& endpoint);
void tcp_time_wait_unlink(Core& core, Endpoint& endpoint);
// Gives back all packets of send and reassembly queues.
void tcp_release_queues(Core& core, Endpoint& endpoint);
[[nodiscard]] bool tcp_is_writable(const Endpoint& endpoint);
[[nodiscard]] uint32_t tcp_timestamp(const Core& core, const TcpConnection& tcp);
// An ICMP error about a segment that we sent.
void tcp_icmp_error(Core& core, const SocketAddress& local, const SocketAddress& remote, uint32_t seq, int error);

// --- listener (tcp_listener.cc) ---
struct TcpSegment;
void tcp_listener_input(Core& core, Endpoint& listener, const TcpSegment& segment);
// A half-open child got its acknowledgement: moves it to the accept queue. False if that is full, or if nobody listens
// any more (then the child is gone).
[[nodiscard]] bool tcp_listener_child_ready(Core& core, Endpoint& child);
// The child is going away: takes it off its listener's books.
void tcp_listener_forget_child(Core& core, Endpoint& child);
[[nodiscard]] Endpoint* tcp_listener_accept(Core& core, Endpoint& listener);
// Resets what is half-open or not yet accepted.
void tcp_listener_stop(Core& core, Endpoint& listener);
void tcp_listener_close(Core& core, Endpoint& listener);

}  // namespace postern::stack
