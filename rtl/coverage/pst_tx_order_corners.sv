// Corner cases of pst_tx_order (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they watch.
`include "corner.svh"

module pst_tx_order_corners (
  input logic clk_i,
  input logic rst_ni,
  input logic arrived,
  input logic failed_i,
  input logic gone,
  input logic pk_valid_o,
  input logic pk_ready_i,
  input logic entry_free_o,
  input logic scan_mark_i,
  input logic scan_match_o
);

  `PST_CORNER(payload_read_fails, arrived && failed_i && !gone)
  `PST_CORNER(vi_ends_while_its_payload_is_read, arrived && gone)
  `PST_CORNER(packet_of_an_ended_vi_is_marked, scan_mark_i && scan_match_o)
  `PST_CORNER(packet_waits_for_the_one_before, pk_valid_o && !pk_ready_i)
  `PST_CORNER(all_entries_are_used, !entry_free_o)

endmodule

bind pst_tx_order pst_tx_order_corners u_corners (.*);
