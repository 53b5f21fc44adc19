// Corner cases of pst_tx_turn (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they watch.
`include "corner.svh"

module pst_tx_turn_corners (
  input logic                clk_i,
  input logic                rst_ni,
  input pst_tx_pkg::gather_t gather_q,
  input logic signed [31:0]  deficit_q,
  input logic                packet_valid_o,
  input logic                packet_ready_i,
  input logic                wait_valid_o,
  input logic                extra_taken_o,
  input logic                answers,
  input logic                answer_pio_i,
  input logic                answer_posted_i,
  input logic                takes,
  input logic                step_bad,
  input logic                step_last,
  input logic                skip_q,
  input logic                stores,
  input logic                hands,
  input logic                runs
);

  logic handed;
  assign handed = packet_valid_o && packet_ready_i;

  `PST_CORNER(packet_overdraws_its_deficit, handed && deficit_q < $signed({10'd0, gather_q.bytes}))
  `PST_CORNER(packet_of_several_descriptors, handed && gather_q.count > 6'd1)
  `PST_CORNER(packet_waits_for_its_other_descriptors, stores && gather_q.started && runs)
  `PST_CORNER(ring_waits_for_descriptors_on_their_way, answers && answer_posted_i)
  `PST_CORNER(rate_limit_holds_a_vi_up, wait_valid_o)
  `PST_CORNER(segments_are_charged_afterwards, extra_taken_o)
  `PST_CORNER(pio_packet, takes && answer_pio_i)
  `PST_CORNER(bad_descriptor_ends_its_packet, takes && step_bad && step_last)
  `PST_CORNER(rest_of_a_bad_packet_is_passed_over, takes && skip_q)
  `PST_CORNER(packet_waits_for_a_place, packet_valid_o && !packet_ready_i)
  `PST_CORNER(vi_ends_while_its_packet_is_handed_on, hands && !runs)

endmodule

bind pst_tx_turn pst_tx_turn_corners u_corners (
  .answers(state_q == ANSWER && answer_valid_i && !answer_found_i), .stores(state_q == STORE), .hands(state_q == HAND),
  .runs(running_i[vi_q]), .*);
