// Corner cases of pst_mac_port (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they watch.
`include "corner.svh"

module pst_mac_port_corners (
  input logic        clk_i,
  input logic        rst_ni,
  input logic        hold,
  input logic        ask_taken,
  input logic [15:0] ask_quanta,
  input logic        asks,
  input logic        between_frames,
  input logic        inside_q,
  input logic        fr_valid_i,
  input logic        fr_taken,
  input logic        fr_loop,
  input logic        flight_full,
  input logic        own_q,
  input logic        wt_ready_i,
  input logic        wl_valid_i,
  input logic        left_lost,
  input logic        obey_q,
  input logic [15:0] obey_quanta_q,
  input logic        rx_arrives,
  input logic        rx_candidate,
  input logic        rx_is_pause,
  input logic        pause_q,
  input logic        wr_bad_i,
  input logic        cfg_waits_q
);

  `PST_CORNER(frame_waits_as_the_peer_has_paused, fr_valid_i && between_frames && hold)
  `PST_CORNER(frame_under_way_is_finished_in_a_pause, fr_taken && inside_q && hold)
  `PST_CORNER(peer_ends_its_pause, obey_q && hold && obey_quanta_q == 16'd0)
  `PST_CORNER(pause_frame_goes_before_a_frame_that_waits, ask_taken && fr_valid_i)
  `PST_CORNER(port_ends_its_pause, ask_taken && ask_quanta == 16'd0)
  `PST_CORNER(pause_frame_is_due_within_a_frame, asks && inside_q)
  `PST_CORNER(pause_frame_waits_for_the_wire, own_q && !wt_ready_i)
  `PST_CORNER(pause_frame_without_the_feature, rx_is_pause && !pause_q)
  `PST_CORNER(damaged_pause_frame, rx_arrives && rx_candidate && wr_bad_i)
  `PST_CORNER(frame_loops_back, fr_taken && fr_loop)
  `PST_CORNER(frame_is_lost_without_a_link, wl_valid_i && left_lost)
  `PST_CORNER(too_many_frames_are_under_way, fr_valid_i && flight_full)
  `PST_CORNER(settings_wait_for_a_frame, cfg_waits_q && !between_frames)

endmodule

bind pst_mac_port pst_mac_port_corners u_corners (.asks(ask_valid), .*);
