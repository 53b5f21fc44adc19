// Corner cases of pst_desc_fetch (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they
// watch.
`include "corner.svh"

module pst_desc_fetch_corners (
  input logic                         clk_i,
  input logic                         rst_ni,
  input logic                         s1_valid_q,
  input logic [3:0]                   s1_op_q,
  input logic                         forward_valid_q,
  input pst_desc_fetch_pkg::context_t present,
  input pst_desc_fetch_pkg::context_t after,
  input logic                         step_read,
  input logic [7:0]                   step_count,
  input logic                         step_store,
  input logic                         step_found,
  input logic                         step_posted,
  input logic                         step_halt,
  input logic                         step_stopped,
  input logic                         step_ignored,
  input logic                         rd_valid_o,
  input logic                         rd_ready_i
);

  logic [3:0]  before_q;  // operation before this one; on the same ring with forward_valid_q
  logic [31:0] entries, behind_read;
  logic        rings, pushes, pios, comes, pops, fetches, starts, stops, in_flight;
  always_ff @(posedge clk_i) begin
    if (s1_valid_q) before_q <= s1_op_q;
  end
  assign entries = 32'd1 << present.entries_log2;
  assign behind_read = present.fetch_idx + {24'd0, step_count};
  assign rings = s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_DOORBELL;
  assign pushes = s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_PUSH;
  assign pios = s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_PIO;
  assign comes = s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_RESPONSE;
  assign pops = s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_POP;
  assign fetches = s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_FETCH;
  assign starts = s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_START;
  assign stops = s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_STOP;
  assign in_flight = present.pending_count != 8'd0;

  // Prefetch.
  `PST_CORNER(read_ends_where_the_ring_does, fetches && step_read && (behind_read & (entries - 32'd1)) == 32'd0)
  `PST_CORNER(posted_descriptors_go_on_behind_the_wrap, fetches && step_read && (behind_read & (entries - 32'd1)) == 32'd0 &&
                                                            behind_read != present.producer_idx)
  `PST_CORNER(whole_ring_is_posted, rings && !step_halt && after.producer_idx - present.consumer_idx == entries)
  `PST_CORNER(read_of_one_descriptor, fetches && step_read && step_count == 8'd1)
  `PST_CORNER(full_cache_holds_a_read_up, fetches && !step_read && present.running && !in_flight &&
                                              present.fetch_idx != present.producer_idx)
  `PST_CORNER(reads_wait_for_the_link, rd_valid_o && !rd_ready_i)
  `PST_CORNER(pop_in_the_cycle_behind_the_descriptor, pops && step_found && forward_valid_q &&
                                                          before_q == pst_desc_fetch_pkg::OP_RESPONSE)
  `PST_CORNER(pop_before_the_descriptor_has_come, pops && step_posted)
  `PST_CORNER(read_fails, comes && step_halt)
  // Ends of lives.
  `PST_CORNER(stop_with_a_read_in_flight, stops && in_flight)
  `PST_CORNER(stop_is_over_when_the_read_has_come, comes && step_stopped)
  `PST_CORNER(new_life_while_an_old_read_is_in_flight, starts && in_flight)
  `PST_CORNER(descriptor_of_an_old_life_is_dropped, comes && in_flight && present.running && present.stale)
  `PST_CORNER(doorbell_of_a_ring_that_does_not_run, s1_valid_q && step_ignored)
  `PST_CORNER(impossible_doorbell, rings && step_halt)
  // Push and PIO.
  `PST_CORNER(push_into_an_empty_ring, pushes && step_store)
  `PST_CORNER(push_is_repeated, pushes && present.running && !step_store && !step_halt)
  `PST_CORNER(push_into_a_ring_that_is_not_empty, pushes && step_halt)
  `PST_CORNER(pio_frame, pios && step_store)
  `PST_CORNER(pio_beyond_its_page, pios && step_halt)

endmodule

bind pst_desc_fetch pst_desc_fetch_corners u_corners (.after(context_next), .*);
