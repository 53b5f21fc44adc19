// Corner cases of pst_pause (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they watch.
`include "corner.svh"

module pst_pause_corners (
  input logic clk_i,
  input logic rst_ni,
  input logic starts,
  input logic ends,
  input logic refreshes,
  input logic stops,
  input logic ask_valid_o,
  input logic ask_taken_i,
  input logic obeys,
  input logic holds
);

  `PST_CORNER(buffer_reaches_its_upper_mark, starts)
  `PST_CORNER(buffer_falls_to_its_lower_mark, ends && !stops)
  `PST_CORNER(request_is_repeated_at_half_time, refreshes)
  `PST_CORNER(request_is_replaced_before_it_left, ask_valid_o && !ask_taken_i && ends)
  `PST_CORNER(pause_is_switched_off, stops)
  `PST_CORNER(later_pause_frame_replaces_the_time, obeys && holds)

endmodule

bind pst_pause pst_pause_corners u_corners (.obeys(rx_valid_i && pause_q), .holds(time_ns_i < until_ns_q), .*);
