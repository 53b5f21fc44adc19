// A VI that wants the scan's attention gets it within a bound while outputs are accepted and no command comes: what makes a
// planned wakeup fire. What operations do is left free (pst_event_queue_step_free.sv), so only turns, scan and outputs count.
(* anyconst *) logic [VI_WIDTH-1:0] f_vi;
localparam int unsigned VISIT_BOUND_CYCLES = 32;
logic f_started = 1'b0;
always_ff @(posedge clk_i) f_started <= 1'b1;
always_comb assume (rst_ni == f_started);

logic f_visited, f_waits;
assign f_visited = s1_valid_q && s1_op_q == pst_event_queue_pkg::OP_SCAN && s1_vi_q == f_vi;
assign f_waits = rst_ni && !clearing_q && attention_q[f_vi] && !f_visited && wr_ready_i && wake_ready_i && halt_ready_i &&
                 !cmd_valid_i;
logic [5:0] f_wait = 6'd0;
always_ff @(posedge clk_i) f_wait <= f_waits ? f_wait + 6'd1 : 6'd0;
always_comb begin
  attention_is_given_within_the_bound: assert (f_wait < 6'(VISIT_BOUND_CYCLES));
  if (rst_ni) begin
    inv_count: assert (out_count_q + (PTR_WIDTH + 1)'(s1_valid_q) <= (PTR_WIDTH + 1)'(OUT_DEPTH));
    inv_scan_is_alone: assert (!(deliver_q && s1_valid_q));
    inv_turn: assert (turn_q != 2'd3);
  end
end
