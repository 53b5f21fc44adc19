// Corner cases of pst_msix (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they watch.
`include "corner.svh"

module pst_msix_corners (
  input logic        clk_i,
  input logic        rst_ni,
  input logic        busy_q,
  input logic        second_q,
  input logic        in_pending_q,
  input logic        beyond_q,
  input logic        bad_width_q,
  input logic        is_raise,
  input logic        is_write,
  input logic        is_read,
  input logic        waits,
  input logic        unmasks,
  input logic        sends,
  input logic [31:0] pending_q,
  input logic [31:0] vector_bit,
  input logic        raise_valid_i,
  input logic        bar_valid_i,
  input logic        msg_valid_o,
  input logic        msg_ready_i
);

  `PST_CORNER(masked_vector_waits, waits)
  `PST_CORNER(raises_of_a_masked_vector_coalesce, waits && (pending_q & vector_bit) != 32'd0)
  `PST_CORNER(unmasking_sends_what_waits, unmasks)
  `PST_CORNER(another_vector_of_the_word_keeps_waiting, unmasks && (pending_q & ~vector_bit) != 32'd0)
  `PST_CORNER(raise_sends_at_once, is_raise && sends)
  `PST_CORNER(raise_beyond_the_table, busy_q && is_raise && beyond_q)
  `PST_CORNER(raise_waits_for_a_message, raise_valid_i && msg_valid_o && !msg_ready_i)
  `PST_CORNER(access_and_raise_at_once, raise_valid_i && bar_valid_i)
  `PST_CORNER(pending_bits_are_read, busy_q && is_read && in_pending_q && pending_q != 32'd0)
  `PST_CORNER(access_of_two_words, busy_q && is_write && second_q)
  `PST_CORNER(write_of_a_bad_width, busy_q && is_write && bad_width_q)
  `PST_CORNER(write_behind_the_table, busy_q && is_write && beyond_q)

endmodule

bind pst_msix pst_msix_corners u_corners (.is_raise(op_q == OP_RAISE), .is_write(op_q == OP_WRITE), .is_read(op_q == OP_READ), .*);
