// What the TCP files call of each other: output, timers, congestion control, reassembly. Not for use outside tcp_*.cc
// and stack.cc. All with the stack's lock held.
#pragma once

#include "stack/core.h"
#include "stack/ipv4.h"
#include "stack/tcp_header.h"

namespace postern::stack {

// --- tcp_input.cc ---

// Takes the packet's reference.
void tcp_input(Core& core, const Ipv4Packet& packet);
// Takes what the peer's SYN says into a connection: sequence number, MSS, options, window (never scaled in a SYN).
void tcp_take_peer_syn(Core& core, TcpConnection& tcp, const TcpSegment& segment);

// --- tcp_output.cc ---

// Sends whatever may be sent now: lost segments, new data, FIN, a due acknowledgement.
void tcp_output(Core& core, Endpoint& endpoint);
// Has tcp_output called at the end of this locked section.
void tcp_output_later(Core& core, Endpoint& endpoint);
// Runs the list of tcp_output_later.
void tcp_run_output_list(Core& core);
void tcp_send_syn(Core& core, Endpoint& endpoint);
void tcp_send_ack(Core& core, Endpoint& endpoint);
// A segment at snd_una - 1 without data: makes the peer answer with its window.
void tcp_send_probe(Core& core, Endpoint& endpoint);
void tcp_send_reset(Core& core, Endpoint& endpoint);
// The answer to a segment that belongs to nobody (RFC 9293 3.10.7.1).
void tcp_reply_reset(Core& core, const TcpSegment& segment);
// Sends the oldest unacknowledged segment (or the FIN) again. False if there was no buffer or TX space.
bool tcp_retransmit_first(Core& core, Endpoint& endpoint);
// Sends one partial segment although the window or SWS avoidance speaks against it. False if there was nothing to send.
bool tcp_force_partial(Core& core, Endpoint& endpoint);
// Window that would be advertised now, in bytes.
[[nodiscard]] uint32_t tcp_receive_window(const Core& core, const Endpoint& endpoint);
// True if the receiver has made enough room to tell the peer. Reads only what may be read without the lock.
[[nodiscard]] bool tcp_window_update_due(const Core& core, const Endpoint& endpoint);
[[nodiscard]] uint16_t tcp_own_mss(const Core& core);

// --- tcp_timers.cc ---

// Call after changing TcpTimers: keeps the wheel's node at or before the earliest.
void tcp_timers_update(Core& core, Endpoint& endpoint);
void tcp_timers_expired(Core& core, Endpoint& endpoint);
void tcp_timers_stop(Core& core, Endpoint& endpoint);
void tcp_start_retransmit_timer(Core& core, Endpoint& endpoint);
[[nodiscard]] uint64_t tcp_backed_off_rto_ns(const Core& core, const TcpConnection& tcp);
void tcp_start_keepalive(Core& core, Endpoint& endpoint);

// --- tcp_rtt.cc ---
void tcp_rtt_sample(const StackConfig& config, TcpRtt& rtt, uint64_t sample_ns);

// --- tcp_congestion.cc ---
void tcp_congestion_start(const Core& core, TcpConnection& tcp);
// What an acknowledgement said. Call after the send queue has been trimmed and SACK flags set.
struct AckInfo {
  uint32_t acked_bytes = 0;  // newly, cumulatively
  bool duplicate = false;    // RFC 5681's definition, or new SACK information
};
void tcp_congestion_ack(Core& core, Endpoint& endpoint, const AckInfo& info);
void tcp_congestion_timeout(Core& core, Endpoint& endpoint);
void tcp_congestion_idle_restart(const Core& core, TcpConnection& tcp);
// Applies SACK ranges to the send queue. True if they told something new.
bool tcp_apply_sack(Core& core, TcpConnection& tcp, const TcpHeader& header);
// Accounts for a packet that leaves the send queue or changes flags.
void tcp_clear_packet_flags(TcpConnection& tcp, Packet& packet);

// --- tcp_reassembly.cc ---

// Takes payload and FIN of an acceptable segment (trimmed to the window) into the receive or reassembly queue.
void tcp_receive_payload(Core& core, Endpoint& endpoint, TcpSegment& segment);
// Up to `room` ranges of the reassembly queue, the newest first.
uint8_t tcp_sack_ranges(const Core& core, const TcpConnection& tcp, SackRange* ranges, uint8_t room);
// Gives the reassembly queue up for want of buffers, counted; the peer sends it again (RFC 2018 section 8 allows it).
void tcp_prune_out_of_order(Core& core, TcpConnection& tcp);
void tcp_release_out_of_order(Core& core, TcpConnection& tcp);

}  // namespace postern::stack
