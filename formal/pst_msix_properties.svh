// Properties of pst_msix; included at the end of the module when PST_FORMAL_STEPS is defined. A shadow of any one vector keeps its mask and
// whether a raise waits, from the operations alone; assertions named inv_ make induction hold, the others are the claims.
(* anyconst *) logic [VECTOR_WIDTH-1:0] f_vector;
logic f_started = 1'b0;
always_ff @(posedge clk_i) f_started <= 1'b1;
always_comb assume (rst_ni == f_started);

logic f_masked = 1'b1;
logic f_waits = 1'b0;  // raised while masked, and not sent since
logic f_is_raise, f_is_mask, f_clears;
assign f_is_raise = rst_ni && busy_q && op_q == OP_RAISE && !beyond_q && vector_q == f_vector;
assign f_is_mask = rst_ni && busy_q && op_q == OP_WRITE && !bad_width_q &&
                   {16'd0, offset_q} == {{(28 - VECTOR_WIDTH){1'b0}}, f_vector, 4'd12};
assign f_clears = f_is_mask && !low_q[0];
always_ff @(posedge clk_i) begin
  if (f_is_mask) f_masked <= low_q[0];
  if (f_is_raise && f_masked) f_waits <= 1'b1;
  else if (f_clears) f_waits <= 1'b0;
end

logic f_sends;
assign f_sends = sends && vector_q == f_vector;
logic [31:0] f_pending_word;
assign f_pending_word = pending_mem[f_vector >> 5];
always_comb begin
  if (rst_ni) begin
    masked_vector_sends_nothing: assert (!(f_sends && f_masked && !f_clears));
    raise_of_an_unmasked_vector_is_sent: assert (!(f_is_raise && !f_masked) || f_sends);
    unmask_sends_what_waits: assert (!(f_clears && f_waits) || f_sends);
    one_message_per_raise: assert (!f_sends || (f_is_raise && !f_masked) || (f_clears && f_waits));
    message_is_never_overwritten: assert (!(sends && msg_valid_o));
    inv_clearing: assert (!clearing_q || (!busy_q && !second_q && f_masked && !f_waits && !msg_valid_o));
    inv_op: assert (op_q != 2'd3 || !(busy_q || second_q));
    inv_aligned: assert (op_q == OP_RAISE || bad_width_q || (!busy_q && !second_q) || offset_q[1:0] == 2'd0);
    inv_second: assert (!second_q || (!bad_width_q && op_q != OP_RAISE));
    inv_offset: assert (!busy_q || op_q == OP_RAISE || vector_q == offset_q[VECTOR_WIDTH+3:4]);
    inv_beyond: assert (!busy_q || op_q == OP_RAISE || beyond_q == ({16'd0, offset_q} >= TABLE_BYTES));
    inv_busy_read: assert (!busy_q || (control_q == control_mem[vector_q] && pending_q == pending_mem[pending_word_q]));
    inv_pending_word: assert (!busy_q || (op_q == OP_READ || beyond_q) || pending_word_q == WORD_WIDTH'(vector_q >> 5));
    inv_wait_is_masked: assert (!f_waits || f_masked);
  end
  inv_before_reset: assert (f_started || (f_masked && !f_waits));
  if (rst_ni && !clearing_q) begin
    inv_mask: assert (control_mem[f_vector][0] == f_masked);
    inv_pending: assert (f_pending_word[f_vector[4:0]] == f_waits);
  end
  if (rst_ni && clearing_q && clear_vector_q > f_vector) inv_cleared: assert (control_mem[f_vector] == 32'd1 && f_pending_word[f_vector[4:0]] == 1'b0);
end
