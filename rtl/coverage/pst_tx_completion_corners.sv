// Corner cases of pst_tx_completion (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they
// watch.
`include "corner.svh"

module pst_tx_completion_corners (
  input logic       clk_i,
  input logic       rst_ni,
  input logic       stalls,
  input logic       retry_taken,
  input logic       flush_reports,
  input logic       loses,
  input logic       answer_valid_i,
  input logic [2:0] answer_i,
  input logic       ev_valid_o,
  input logic       timed,
  input logic [6:0] unreported_q,
  input logic       done_valid_o
);

  `PST_CORNER(event_waits_for_space, stalls)
  `PST_CORNER(event_is_tried_again, retry_taken)
  `PST_CORNER(event_is_dropped, answer_valid_i && answer_i == pst_event_queue_pkg::ANSWER_DROP)
  `PST_CORNER(event_with_a_time, ev_valid_o && timed)
  `PST_CORNER(one_event_for_many_packets, ev_valid_o && unreported_q > 7'd1)
  `PST_CORNER(packet_without_an_event_of_its_own, done_valid_o && unreported_q > 7'd1)
  `PST_CORNER(frame_is_lost_without_a_link, loses)
  `PST_CORNER(ended_vi_reports_what_is_left, flush_reports)

endmodule

bind pst_tx_completion pst_tx_completion_corners u_corners (
  .flush_reports(state_q == EVENT && flush_q), .loses(state_q == LOSS), .*);
