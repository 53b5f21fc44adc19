// Corner cases of pst_event_queue that tests must meet: one name each in the report of "make coverage" (docs/coverage.md).
// Bound to the block in coverage builds only; ports are named as what they watch.
`include "corner.svh"

module pst_event_queue_corners (
  input logic                          clk_i,
  input logic                          rst_ni,
  input logic                          s1_valid_q,
  input logic [3:0]                    s1_op_q,
  input logic                          forward_valid_q,
  input pst_event_queue_pkg::context_t present,
  input pst_event_queue_pkg::context_t after,
  input logic                          is_event,
  input logic                          is_delivery,
  input logic                          step_write,
  input logic                          step_wake,
  input logic                          step_bad,
  input logic [2:0]                    step_answer,
  input logic [31:0]                   door_idx,
  input logic                          out_room
);

  logic [3:0]  before_q;  // operation before this one; on the same VI with forward_valid_q
  logic [31:0] entries, depth, used;
  logic        posts, consumes, primes, scans, full_answer;
  always_ff @(posedge clk_i) begin
    if (s1_valid_q) before_q <= s1_op_q;
  end
  assign entries = 32'd1 << present.cfg.entries_log2;
  assign depth = present.producer_idx - present.consumer_idx;
  assign used = depth + {16'd0, present.reserved_count};
  assign posts = s1_valid_q && s1_op_q == pst_event_queue_pkg::OP_POST;
  assign consumes = s1_valid_q && s1_op_q == pst_event_queue_pkg::OP_CONSUME;
  assign primes = s1_valid_q && s1_op_q == pst_event_queue_pkg::OP_PRIME;
  assign scans = s1_valid_q && s1_op_q == pst_event_queue_pkg::OP_SCAN;
  assign full_answer = is_event && step_answer != pst_event_queue_pkg::ANSWER_OK &&
                       step_answer != pst_event_queue_pkg::ANSWER_GONE;

  // The ring and its space.
  `PST_CORNER(ring_wraps_and_phase_flips, step_write && (present.producer_idx & (entries - 32'd1)) == entries - 32'd1)
  `PST_CORNER(event_of_an_odd_pass, step_write && (present.producer_idx & entries) != 32'd0)
  `PST_CORNER(last_slot_is_taken, step_write && used == entries - 32'd1)
  `PST_CORNER(full_queue_is_emptied_at_once, consumes && depth == entries && after.consumer_idx == present.producer_idx)
  `PST_CORNER(space_kept_for_others_makes_it_full, full_answer && depth < entries && present.reserved_count != 16'd0)
  `PST_CORNER(full_under_stall, full_answer && present.cfg.policy == pst_contract_pkg::PST_EVQ_POLICY_STALL)
  `PST_CORNER(full_under_drop, full_answer && step_answer == pst_event_queue_pkg::ANSWER_DROP)
  `PST_CORNER(full_under_halt, full_answer && step_answer == pst_event_queue_pkg::ANSWER_HALT)
  `PST_CORNER(event_carries_overflow_mark, step_write && present.overflow_mark)
  `PST_CORNER(error_event_waits_for_space, posts && present.life == pst_event_queue_pkg::LIFE_HALTED &&
                                               step_answer == pst_event_queue_pkg::ANSWER_STALL)
  `PST_CORNER(stale_consumer_index_changes_nothing, consumes && !step_bad && door_idx != present.consumer_idx &&
                                                        after.consumer_idx == present.consumer_idx &&
                                                        present.life == pst_event_queue_pkg::LIFE_RUNNING)
  `PST_CORNER(impossible_doorbell, s1_valid_q && step_bad)
  // Primes race events.
  `PST_CORNER(late_prime_fires_at_once, primes && step_wake)
  `PST_CORNER(event_in_the_cycle_behind_its_prime, posts && forward_valid_q && before_q == pst_event_queue_pkg::OP_PRIME && step_wake)
  `PST_CORNER(prime_in_the_cycle_behind_its_event, primes && forward_valid_q && before_q == pst_event_queue_pkg::OP_POST && step_wake)
  // Moderation.
  `PST_CORNER(wakeup_is_planned, s1_valid_q && !present.armed && after.armed)
  `PST_CORNER(planned_wakeup_fires, scans && step_wake)
  `PST_CORNER(count_of_events_ends_holdoff, posts && step_wake && present.armed && present.cfg.holdoff_events > 16'd1)
  `PST_CORNER(prime_for_what_was_consumed_cancels_plan, primes && present.armed && !after.armed && !step_wake)
  `PST_CORNER(adaptive_holdoff_at_its_longest, s1_valid_q && step_wake && present.cfg.adaptive &&
                                                   after.holdoff_level == pst_event_queue_pkg::HOLDOFF_LEVEL_MAX)
  `PST_CORNER(adaptive_holdoff_shortens, s1_valid_q && step_wake && after.holdoff_level < present.holdoff_level)
  `PST_CORNER(error_of_a_halted_vi_ends_holdoff, posts && step_wake && after.urgent && present.cfg.holdoff_ns != 32'd0)
  // Wakeups into another VI's queue, and what leaves.
  `PST_CORNER(wakeup_event_waits_for_space, is_delivery && step_answer == pst_event_queue_pkg::ANSWER_STALL)
  `PST_CORNER(wakeup_event_of_a_vi_that_is_gone, is_delivery && step_answer == pst_event_queue_pkg::ANSWER_GONE)
  `PST_CORNER(outputs_hold_operations_up, !out_room)

endmodule

bind pst_event_queue pst_event_queue_corners u_corners (.door_idx(s1_payload_q[31:0]), .*);
