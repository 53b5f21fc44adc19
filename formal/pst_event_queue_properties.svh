// Properties of pst_event_queue; included at the end of the module when PST_FORMAL_STEPS is defined. A shadow of one VI, any VI, counts
// for itself from the operations that the block performs; assertions named inv_ tie it to the block's own state so that
// induction holds, the others are the claims. OUT_DEPTH and VI_COUNT are small here (formal/run.py), everything else as built.
(* anyconst *) logic [VI_WIDTH-1:0] f_vi;
logic f_started = 1'b0;
logic f_tracked = 1'b0;      // an output is being followed
logic f_written_out = 1'b0;  // its event has been accepted
always_ff @(posedge clk_i) f_started <= 1'b1;
always_comb assume (rst_ni == f_started);
always_comb assume (cmd_op_i >= pst_event_queue_pkg::OP_START && cmd_op_i <= pst_event_queue_pkg::OP_MODERATE);

pst_event_queue_pkg::context_t f_mem;
assign f_mem = context_mem[f_vi];
logic f_run;  // out of reset, contexts cleared
assign f_run = rst_ni && !clearing_q;
logic f_op;  // an operation on the VI takes effect
assign f_op = rst_ni && s1_valid_q && s1_vi_q == f_vi;

pst_event_queue_pkg::config_t f_cfg;
assign f_cfg = s1_payload_q;
logic f_is_doorbell;
assign f_is_doorbell = s1_op_q == pst_event_queue_pkg::OP_PRIME || s1_op_q == pst_event_queue_pkg::OP_CONSUME;
logic f_door_good;
logic [31:0] f_door_idx;
assign f_door_idx = s1_payload_q[31:0];

// ---- The shadow.
logic        f_active = 1'b0;
logic [63:0] f_address;
logic [3:0]  f_log2;
logic [31:0] f_entries;
logic [31:0] f_written, f_released, f_slot;
logic        f_phase;
logic        f_primed = 1'b0;  // a prime that has not been answered
logic [31:0] f_prime_idx;
assign f_entries = 32'd1 << f_log2;
assign f_door_good = f_active && !(s1_op_q == pst_event_queue_pkg::OP_PRIME && s1_payload_q[47:32] == 16'd0) &&
                     (f_released - f_door_idx <= f_entries || f_door_idx - f_released <= f_written - f_released);
always_ff @(posedge clk_i) begin
  if (f_op) begin
    if (s1_op_q == pst_event_queue_pkg::OP_START) begin
      f_active <= 1'b1;
      f_address <= f_cfg.address;
      f_log2 <= f_cfg.entries_log2;
      f_written <= 32'd0;
      f_released <= 32'd0;
      f_slot <= 32'd0;
      f_phase <= 1'b1;
      f_primed <= 1'b0;
    end else begin
      if (s1_op_q == pst_event_queue_pkg::OP_STOP) begin
        f_active <= 1'b0;
        f_primed <= 1'b0;
      end
      if (step_write) begin
        f_written <= f_written + 32'd1;
        f_slot <= f_slot == f_entries - 32'd1 ? 32'd0 : f_slot + 32'd1;
        if (f_slot == f_entries - 32'd1) f_phase <= !f_phase;
      end
      if (f_is_doorbell && f_door_good && f_door_idx - f_released <= f_written - f_released) f_released <= f_door_idx;
      if (s1_op_q == pst_event_queue_pkg::OP_PRIME && f_door_good) begin
        f_primed <= 1'b1;
        f_prime_idx <= f_door_idx;
      end
      if (step_wake) f_primed <= 1'b0;
    end
  end
end

// The scan looks at a planned wakeup now, or not later than it is due; or the operation that planned it has just been.
logic f_seen;
assign f_seen = attention_q[f_vi] || due_ns_o <= f_mem.due_ns || (new_due_q && new_due_ns_q == f_mem.due_ns);

// ---- What is claimed of single operations.
always_comb begin
  if (f_op) begin
    if (step_write) begin
      event_only_while_the_queue_is_active: assert (f_active);
      no_unconsumed_event_is_overwritten: assert (f_written - f_released < f_entries);
      slots_follow_each_other: assert (step_address == f_address + {28'd0, f_slot, 4'd0});
      phase_alternates_exactly_at_the_wrap: assert (step_data[pst_contract_pkg::PST_EVENT_PHASE_LSB] == f_phase);
    end
    if (step_wake) begin
      one_wakeup_per_prime: assert (f_primed || (s1_op_q == pst_event_queue_pkg::OP_PRIME && f_door_good));
    end
    if (step_message || step_owe) begin
      messages_are_wakeups: assert (step_wake || (s1_op_q == pst_event_queue_pkg::OP_BIND && owed_q[f_vi]));
      not_both_ways: assert (!(step_message && step_owe));
    end
    // R6 without moderation: at once, in the step of the prime.
    if (s1_op_q == pst_event_queue_pkg::OP_PRIME && f_door_good && f_door_idx != f_written &&
        f_mem.cfg.holdoff_ns == 32'd0) begin
      prime_with_an_event_beyond_fires_at_once: assert (step_wake);
    end
    // With formal/pst_event_queue_visit_properties.svh: every wakeup that is due fires within a bound.
    if (s1_op_q == pst_event_queue_pkg::OP_SCAN && f_mem.armed && f_written != f_prime_idx && time_ns_i >= f_mem.due_ns) begin
      scan_fires_a_wakeup_that_is_due: assert (step_wake);
    end
    if (f_is_doorbell && f_active && !f_door_good && f_mem.life == pst_event_queue_pkg::LIFE_RUNNING) begin
      bad_doorbell_asks_for_a_halt: assert (step_halt);
    end
  end
  // R6 in general: a primed queue with an event beyond its index has its wakeup planned.
  if (f_run && f_active && f_primed && f_written != f_prime_idx) begin
    primed_queue_with_an_event_has_a_wakeup_planned: assert (f_mem.armed && f_seen);
  end
  // Whoever stops the clock until due_ns_o misses no wakeup: one that is due has the scan's attention, or gets it in the next cycle.
  if (f_run && f_mem.armed && time_ns_i >= f_mem.due_ns && !new_due_q) begin
    wakeup_that_is_due_gets_attention: assert (attention_q[f_vi] || (due_look && planned[f_vi]));
  end
end

// ---- The block's own state.
always_comb begin
  inv_before_reset: assert (f_started || (!f_active && !f_primed && !f_tracked && !f_written_out));
  if (rst_ni) begin
    if (s1_valid_q) operation_sees_the_newest_context: assert (context_now == context_mem[s1_vi_q]);
    inv_quiet_while_clearing: assert (!clearing_q || (!s1_valid_q && !deliver_q && attention_q == '0 && owed_q == '0));
    inv_unplanned_while_clearing: assert (!clearing_q || (planned == '0 && !new_due_q));
    inv_shadow_while_clearing: assert (!clearing_q || (!f_active && !f_primed && !f_tracked));
    inv_clear_order: assert (!clearing_q || clear_vi_q <= f_vi || f_mem == '0);
    inv_cleared_vi: assert (clearing_q || f_active || !f_mem.primed);
  end
  if (f_run) begin
    inv_active: assert (f_active == (f_mem.life != pst_event_queue_pkg::LIFE_FREE));
    inv_armed: assert (!f_mem.armed || (f_mem.primed && f_seen));
    inv_planned: assert (planned[f_vi] == f_mem.armed);
    inv_free: assert (f_active || !f_mem.primed);
    inv_scan_is_alone: assert (!(deliver_q && s1_valid_q));
    if (f_active) begin
      inv_address: assert (f_mem.cfg.address == f_address && f_mem.cfg.entries_log2 == f_log2);
      inv_producer: assert (f_mem.producer_idx == f_written);
      inv_consumer: assert (f_mem.consumer_idx == f_released);
      inv_depth: assert (f_written - f_released <= f_entries);
      inv_space: assert ({16'd0, f_mem.reserved_count} <= f_entries - (f_written - f_released));
      inv_slot: assert (f_slot == (f_written & (f_entries - 32'd1)));
      inv_phase: assert (f_phase == ((f_written & f_entries) == 32'd0));
      inv_primed: assert (f_mem.primed == f_primed && (!f_primed || f_mem.prime_idx == f_prime_idx));
    end
  end
end

// ---- What leaves: any one entry, followed from its push to its end (R3).
(* anyseq *) logic f_pick;
logic [PTR_WIDTH:0]   f_ahead;
logic [OUT_WIDTH-1:0] f_entry, f_pushed;
logic                 f_entry_write, f_entry_message;
logic [PTR_WIDTH-1:0] f_place;
logic                 f_at_head;
assign f_pushed = {step_write, step_message, step_halt, is_command,
                   step_source == pst_contract_pkg::PST_ERROR_SOURCE_DOORBELL, s1_vi_q, present.producer_idx,
                   step_halt ? {16'd0, step_code, step_index} : step_address, step_data, after.cfg.vector_};
assign f_entry_write = f_entry[OUT_WIDTH-1];
assign f_entry_message = f_entry[OUT_WIDTH-2];
assign f_place = out_head_q + f_ahead[PTR_WIDTH-1:0];
assign f_at_head = f_tracked && f_ahead == '0;
always_ff @(posedge clk_i) begin
  if (rst_ni) begin
    if (!f_tracked && f_pick && out_push) begin
      f_tracked <= 1'b1;
      f_written_out <= 1'b0;
      f_entry <= f_pushed;
      f_ahead <= out_count_q - (PTR_WIDTH + 1)'(out_pop);
    end else if (f_tracked && out_pop) begin
      if (f_at_head) f_tracked <= 1'b0;
      else f_ahead <= f_ahead - 1'b1;
    end
    if (f_at_head && wr_valid_o && wr_ready_i) f_written_out <= 1'b1;
  end
end
always_comb begin
  if (rst_ni) begin
    outputs_are_never_overrun: assert (!out_push || out_count_q != (PTR_WIDTH + 1)'(OUT_DEPTH));
    inv_count: assert (out_count_q <= (PTR_WIDTH + 1)'(OUT_DEPTH) && PTR_WIDTH'(out_head_q + out_count_q[PTR_WIDTH-1:0]) == out_tail_q);
    inv_room: assert (!s1_valid_q || out_count_q < (PTR_WIDTH + 1)'(OUT_DEPTH));
    inv_nothing_done_when_empty: assert (out_valid || !wr_done_q);
    for (int i = 0; i < OUT_DEPTH; i++) begin
      // A halt comes alone.
      if ({1'b0, PTR_WIDTH'(i) - out_head_q} < out_count_q) begin
        assert (!(out_mem[i][OUT_WIDTH-3] && (out_mem[i][OUT_WIDTH-1] || out_mem[i][OUT_WIDTH-2])));
      end
    end
    inv_done: assert (!wr_done_q || (head_write && head_message));
    if (f_tracked) begin
      inv_ahead: assert (f_ahead < out_count_q);
      inv_entry: assert (out_mem[f_place] == f_entry);
      inv_written: assert (f_written_out == (f_at_head && wr_done_q));
    end
    if (f_at_head) begin
      write_shows_what_was_computed: assert (!wr_valid_o || (f_entry_write && {wr_idx_o, wr_address_o, wr_data_o} == f_entry[16 +: 224]));
      wakeup_only_behind_its_event: assert (!wake_valid_o || (f_entry_message && (!f_entry_write || f_written_out)));
      entry_leaves_only_when_all_is_accepted: assert (!out_pop || ((!f_entry_write || f_written_out || (wr_valid_o && wr_ready_i)) &&
                                                                  (!f_entry_message || (wake_valid_o && wake_ready_i))));
    end
  end
end
