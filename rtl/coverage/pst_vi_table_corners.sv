// Corner cases of pst_vi_table (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they watch.
`include "corner.svh"

module pst_vi_table_corners (
  input logic clk_i,
  input logic rst_ni,
  input logic s1_valid_q,
  input logic is_halt,
  input logic runs,
  input logic halts,
  input logic halting,
  input logic state_done,
  input logic job_halts,
  input logic job_stops,
  input logic many_wait,
  input logic waits_for_rings,
  input logic waits_for_fence,
  input logic waits_for_halts,
  input logic event_wait
);

  `PST_CORNER(second_error_of_a_vi, s1_valid_q && is_halt && !runs)
  `PST_CORNER(vis_wait_for_their_halt, many_wait)
  `PST_CORNER(vi_is_stopped_before_its_halt, state_done && job_halts && !halting)
  `PST_CORNER(vi_is_stopped_while_it_halts, state_done && job_stops && halting)
  `PST_CORNER(vi_halts_during_the_end_of_a_stop, halts && (waits_for_rings || waits_for_fence || waits_for_halts))
  `PST_CORNER(stop_waits_for_descriptor_reads, waits_for_rings)
  `PST_CORNER(stop_waits_for_what_is_under_way, waits_for_fence)
  `PST_CORNER(stop_waits_for_a_late_error, waits_for_halts && s1_valid_q && is_halt)
  `PST_CORNER(stop_waits_for_its_error_event, event_wait)

endmodule

bind pst_vi_table pst_vi_table_corners u_corners (
  .is_halt(s1_op_q == OP_HALT), .runs(now.state == VI_RUNNING), .halting(now.state == VI_HALTING), .job_halts(job_q == JOB_HALT),
  .job_stops(job_q == JOB_STOP), .many_wait(queue_count_q > (VI_WIDTH + 1)'(1)), .waits_for_rings(tail_q == TAIL_RINGS),
  .waits_for_fence(tail_q == TAIL_FENCE), .waits_for_halts(tail_q == TAIL_HALTS),
  .event_wait(state_q == ST_EVENT_WAIT && event_busy && busy_vi == vi_q), .*);
