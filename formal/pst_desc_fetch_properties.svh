// Properties of pst_desc_fetch; included at the end of the module when PST_FORMAL_STEPS is defined. A shadow of any one ring counts
// for itself from the operations that the block performs; assertions named inv_ tie it to the block's own state so that
// induction holds, the others are the claims. VI_COUNT, CACHE_DEPTH and batches are small here (formal/run.py).
(* anyconst *) logic [RING_WIDTH-1:0] f_ring;
logic f_started = 1'b0;
always_ff @(posedge clk_i) f_started <= 1'b1;
always_comb assume (rst_ni == f_started);
always_comb assume (db_op_i <= 2'd2);
always_comb assume (cmd_entries_log2_i <= 4'd12);  // RING_ENTRIES_MAX

pst_desc_fetch_pkg::context_t f_mem;
assign f_mem = context_mem[f_ring];
logic f_run, f_op;
assign f_run = rst_ni && !clearing_q;
assign f_op = rst_ni && s1_valid_q && s1_ring_q == f_ring;

// ---- The shadow.
logic        f_active = 1'b0;
logic [63:0] f_address;
logic [3:0]  f_log2;
logic [31:0] f_producer, f_completed, f_popped, f_next, f_arrived;  // f_next: first never asked for nor pushed
logic [7:0]  f_left = 8'd0;   // descriptors that the read in flight owes
logic        f_old = 1'b0;    // ... to an earlier life
logic        f_stops = 1'b0;  // a STOP has not been reported
logic [31:0] f_entries, f_index, f_span, f_batch;
logic        f_door_good, f_push_good, f_is_push;
assign f_entries = 32'd1 << f_log2;
assign f_index = s1_payload_q[159:128];
assign f_span = f_log2 >= 4'd8 ? 32'd256 : f_entries;
assign f_batch = f_ring[0] ? RX_BATCH : TX_BATCH;
assign f_is_push = s1_op_q == pst_desc_fetch_pkg::OP_PUSH || s1_op_q == pst_desc_fetch_pkg::OP_PIO;
assign f_door_good = f_index - f_completed <= f_entries && f_index - f_completed >= f_producer - f_completed;
assign f_push_good = f_completed == f_producer && f_index == f_producer + 32'd1 && s1_payload_q[82] &&
                     (s1_op_q == pst_desc_fetch_pkg::OP_PUSH || {20'd0, s1_payload_q[11:0]} + {16'd0, s1_payload_q[79:64]} <= 32'd4096);
always_ff @(posedge clk_i) begin
  if (f_op) begin
    case (s1_op_q)
      pst_desc_fetch_pkg::OP_START: begin
        f_active <= 1'b1;
        f_address <= s1_payload_q[63:0];
        f_log2 <= s1_payload_q[67:64];
        f_producer <= 32'd0;
        f_completed <= 32'd0;
        f_popped <= 32'd0;
        f_next <= 32'd0;
        f_arrived <= 32'd0;
        f_old <= f_left != 8'd0;
      end
      pst_desc_fetch_pkg::OP_STOP: begin
        f_active <= 1'b0;
        f_stops <= f_left != 8'd0;
      end
      pst_desc_fetch_pkg::OP_DOORBELL: if (f_active && f_door_good) f_producer <= f_index;
      pst_desc_fetch_pkg::OP_DONE: if (f_active && f_index - f_completed <= f_popped - f_completed) f_completed <= f_index;
      pst_desc_fetch_pkg::OP_RESPONSE: if (f_left != 8'd0) begin
        f_left <= s1_payload_q[143:128] != 16'd0 ? 8'd0 : f_left - 8'd1;
        if (s1_payload_q[143:128] != 16'd0 || f_left == 8'd1) begin
          f_old <= 1'b0;
          f_stops <= 1'b0;
        end
      end
      default: ;
    endcase
    if (f_is_push && step_store) begin
      f_producer <= f_index;
      f_next <= f_next + 32'd1;
    end
    if (step_store) f_arrived <= f_arrived + 32'd1;
    if (step_found) f_popped <= f_popped + 32'd1;
    if (step_read) begin
      f_next <= f_next + {24'd0, step_count};
      f_left <= step_count;
    end
    if (step_halt) f_active <= 1'b0;
  end
end

// ---- What is claimed of single operations.
logic f_last_of_read, f_possible;
assign f_last_of_read = s1_op_q == pst_desc_fetch_pkg::OP_RESPONSE && f_left != 8'd0 &&
                        (f_left == 8'd1 || s1_payload_q[143:128] != 16'd0);
assign f_possible = f_active && f_left == 8'd0 && f_next != f_producer && f_next == f_popped;
always_comb begin
  if (f_op) begin
    if (step_read) begin
      read_only_while_the_ring_runs: assert (f_active);
      no_descriptor_fetched_twice_or_skipped: assert (present.fetch_idx == f_next && step_count != 8'd0);
      none_fetched_beyond_the_producer: assert ({24'd0, step_count} <= f_producer - f_next);
      cache_never_overfilled: assert (f_next + {24'd0, step_count} - f_popped <= CACHE_DEPTH);
      at_most_a_batch: assert ({24'd0, step_count} <= f_batch);
      read_ends_at_the_wrap: assert ((f_next & (f_span - 32'd1)) + {24'd0, step_count} <= f_span);
      one_read_in_flight: assert (f_left == 8'd0);
      address_follows_the_index: assert (step_address == f_address + {28'd0, f_next & (f_entries - 32'd1), 4'd0});
    end
    if (step_store) begin
      stored_where_the_next_is_missing: assert (step_store_idx == f_arrived);
      nothing_of_an_old_life_is_stored: assert (f_active && (f_is_push || (f_left != 8'd0 && !f_old)));
      push_only_into_an_empty_ring: assert (!f_is_push || f_push_good);
    end
    if (step_found) begin
      popped_in_order: assert (present.head_idx == f_popped && f_active);
      popped_only_what_has_arrived: assert (f_popped != f_arrived);
    end
    if (s1_op_q == pst_desc_fetch_pkg::OP_DOORBELL) bad_doorbell_asks_for_a_halt: assert (step_halt == (f_active && !f_door_good));
    if (f_is_push) bad_push_asks_for_a_halt: assert (step_halt == (f_active && f_index != f_producer && !f_push_good));
    stop_is_reported_when_nothing_is_in_flight: assert (
        step_stopped == ((s1_op_q == pst_desc_fetch_pkg::OP_STOP && f_left == 8'd0) || (f_last_of_read && f_stops)));
    if (s1_op_q == pst_desc_fetch_pkg::OP_FETCH) possible_read_is_made: assert (!f_possible || step_read);
    operation_sees_the_newest_context: assert (context_now == f_mem);
  end
  if (f_run) ring_with_something_to_fetch_is_visited: assert (!f_possible || attention_q[f_ring]);
  if (rst_ni) begin
    outputs_are_never_overrun: assert (!(rd_push && rd_count_q == 2'd2) && !(halt_push && halt_count_q == 2'd2));
  end
end

// ---- What ties the shadow to the block's state.
always_comb begin
  if (rst_ni) begin
    inv_clearing: assert (!clearing_q || (!s1_valid_q && !f_active && f_left == 8'd0 && !f_old && !f_stops && attention_q == '0 &&
                                          rd_count_q == 2'd0 && halt_count_q == 2'd0));
    inv_read_room: assert (rd_count_q <= 2'd2 &&
        (rd_count_q != 2'd2 || !(s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_FETCH)));
    inv_halt_room: assert (halt_count_q <= 2'd2 &&
        (halt_count_q != 2'd2 || !(s1_valid_q && s1_op_q <= pst_desc_fetch_pkg::OP_RESPONSE)));
    inv_op: assert (!s1_valid_q || s1_op_q <= pst_desc_fetch_pkg::OP_STOP);
    inv_start: assert (!s1_valid_q || s1_op_q != pst_desc_fetch_pkg::OP_START || s1_payload_q[67:64] <= 4'd12);
    inv_forward: assert (!s1_valid_q || context_now == context_mem[s1_ring_q]);
  end
  if (rst_ni && clearing_q && clear_ring_q > f_ring) inv_cleared: assert (f_mem == {CONTEXT_WIDTH{1'b0}});
  if (f_run) begin
    inv_life: assert (f_mem.running == f_active && f_mem.pending_count == f_left && f_mem.stop_owed == f_stops);
    inv_left: assert ({24'd0, f_left} <= CACHE_DEPTH);
    inv_stops: assert (!f_stops || f_left != 8'd0);
    inv_old: assert (!f_old || f_left != 8'd0);
    if (f_active) begin
      inv_ring: assert (f_mem.address == f_address && f_mem.entries_log2 == f_log2 && f_log2 <= 4'd12);
      inv_indices: assert (f_mem.producer_idx == f_producer && f_mem.consumer_idx == f_completed &&
                           f_mem.head_idx == f_popped && f_mem.fetch_idx == f_next && f_mem.stale == f_old);
      inv_arrived: assert (f_arrived == (f_old ? f_next : f_next - {24'd0, f_left}));
      inv_order_producer: assert (f_producer - f_completed <= f_entries);
      inv_order_next: assert (f_next - f_completed <= f_producer - f_completed);
      inv_order_arrived: assert (f_arrived - f_completed <= f_next - f_completed);
      inv_order_popped: assert (f_popped - f_completed <= f_arrived - f_completed);
      inv_room: assert (f_next - f_popped <= CACHE_DEPTH);
      inv_attention: assert (attention_q[f_ring] || f_left != 8'd0 || f_next == f_producer || f_next != f_popped);
    end
  end
  inv_before_reset: assert (f_started || (!f_active && f_left == 8'd0 && !f_old && !f_stops));
end
