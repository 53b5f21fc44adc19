// Corner cases of pst_rx_engine (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they
// watch.
`include "corner.svh"

module pst_rx_engine_corners (
  input logic                     clk_i,
  input logic                     rst_ni,
  input logic [4:0]               state_q,
  input pst_rx_dma_pkg::context_t now,
  input pst_rx_dma_pkg::options_t options,
  input logic                     has_tag,
  input logic [5:0]               count_q,
  input logic                     translates_q,
  input logic                     truncated,
  input logic                     joins,
  input logic                     peeks,
  input logic                     last_frame,
  input logic                     mergeable,
  input logic                     closes,
  input logic                     opens,
  input logic                     appends,
  input logic                     fits,
  input logic                     running_i,
  input logic                     ends_q,
  input logic                     over_q,
  input logic                     listed_q,
  input logic                     unlists,
  input logic                     mark_desc_o,
  input logic                     mark_space_o,
  input logic                     job_put,
  input logic                     commits,
  input logic                     flushed,
  input logic                     answer_valid_i,
  input logic                     answer_found_i,
  input logic                     answer_posted_i,
  input logic                     xl_answer_valid_i,
  input logic                     xl_ok_i,
  input logic                     left_done,
  input logic                     here_done,
  input logic                     bad
);

  logic copy, answered, looks_at_new;
  assign copy = commits && job_put;
  assign answered = state_q == pst_rx_dma_pkg::AT_TRANSLATED && xl_answer_valid_i;
  assign looks_at_new = state_q == pst_rx_dma_pkg::AT_LOOK && !ends_q && !over_q && !listed_q && running_i;

  // Scatter.
  `PST_CORNER(frame_in_several_buffers, copy && count_q > 6'd1)
  `PST_CORNER(frame_in_as_many_buffers_as_there_may_be, copy && count_q == 6'(pst_contract_pkg::PST_LIMIT_TX_FRAGMENTS_MAX))
  `PST_CORNER(frame_is_cut_off, copy && truncated)
  `PST_CORNER(buffer_across_two_ranges, answered && xl_ok_i && !left_done && !here_done)
  `PST_CORNER(buffer_is_not_mapped, answered && !xl_ok_i)
  `PST_CORNER(bad_descriptor, state_q == pst_rx_dma_pkg::AT_EXAMINE && bad)
  `PST_CORNER(tag_is_left_out, copy && options.strip && has_tag)
  `PST_CORNER(prefix_is_written, copy && options.prefix)
  `PST_CORNER(no_descriptor, state_q == pst_rx_dma_pkg::AT_POPPED && answer_valid_i && !answer_found_i && !answer_posted_i &&
                                 count_q == 6'd0)
  // Copies that wait.
  `PST_CORNER(copy_waits_for_a_descriptor_on_its_way, mark_desc_o)
  `PST_CORNER(copy_waits_for_space_in_the_event_queue, mark_space_o)
  `PST_CORNER(copy_joins_those_that_wait, appends)
  `PST_CORNER(share_of_the_buffer_is_used_up, looks_at_new && now.waits && !fits)
  `PST_CORNER(copy_that_waited_is_delivered, unlists && commits)
  `PST_CORNER(held_descriptors_are_used_first, copy && translates_q && now.held_count != 6'd0)
  // Merging.
  `PST_CORNER(frame_opens_an_event, copy && opens)
  `PST_CORNER(frame_joins_an_event, copy && joins)
  `PST_CORNER(frame_is_the_last_of_its_event, copy && joins && last_frame)
  `PST_CORNER(event_ends_as_no_descriptor_is_left, copy && mergeable && peeks)
  `PST_CORNER(frame_that_differs_closes_the_event, closes && job_put)
  `PST_CORNER(event_has_waited_long_enough, state_q == pst_rx_dma_pkg::AT_OVER && job_put)
  // Ends of lives.
  `PST_CORNER(vi_ends_with_an_open_event, state_q == pst_rx_dma_pkg::AT_END_MERGE && job_put)
  `PST_CORNER(vi_ends_with_copies_that_wait, flushed && job_put)

endmodule

bind pst_rx_engine pst_rx_engine_corners u_corners (.has_tag(copy_q.has_tag), .bad(desc_q.bad), .*);
