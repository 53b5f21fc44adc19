// The NIC: wires the blocks, nothing else. Outside are the PCIe hard block (mm_, dw_, dr_, dc_), the PHY (wt_, wl_, wr_),
// the firmware (fw_) and whoever counts (drop_, count_).
module pst_nic_top #(
  parameter int unsigned VI_COUNT = 64,      // a power of two, at least 2
  parameter int unsigned DOMAIN_COUNT = 128  // a power of two
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic [63:0]  time_ns_i,  // device clock
  output logic         quiet_o,    // while inputs other than the time stay, nothing changes before due_ns_o
  output logic [63:0]  due_ns_o,

  // Firmware: see pst_admin_pkg.
  input  logic         fw_valid_i,
  output logic         fw_ready_o,
  input  logic [7:0]   fw_op_i,
  input  logic [31:0]  fw_index_i,
  input  logic [511:0] fw_data_i,
  output logic         fw_done_o,

  // Accesses of the host to BAR2 and BAR4.
  input  logic         mm_valid_i,
  output logic         mm_ready_o,
  input  logic         mm_write_i,
  input  logic [2:0]   mm_bar_i,
  input  logic [23:0]  mm_offset_i,
  input  logic [6:0]   mm_bytes_i,
  input  logic [511:0] mm_data_i,
  output logic         mm_rd_valid_o,
  output logic [63:0]  mm_rd_data_o,

  // DMA: writes, read requests, completions.
  output logic         dw_valid_o,
  input  logic         dw_ready_i,
  output logic         dw_first_o,
  output logic         dw_last_o,
  output logic [1:0]   dw_kind_o,
  output logic [15:0]  dw_vi_o,
  output logic [63:0]  dw_address_o,
  output logic [16:0]  dw_bytes_o,
  output logic [511:0] dw_data_o,
  output logic [5:0]   dw_lane_o,
  output logic [6:0]   dw_count_o,
  output logic [31:0]  dw_id_o,
  output logic         dr_valid_o,
  input  logic         dr_ready_i,
  output logic [7:0]   dr_tag_o,
  output logic [15:0]  dr_vi_o,
  output logic [63:0]  dr_address_o,
  output logic [16:0]  dr_bytes_o,
  output logic [5:0]   dr_lane_o,
  input  logic         dc_valid_i,
  output logic         dc_ready_o,
  input  logic [7:0]   dc_tag_i,
  input  logic [511:0] dc_data_i,
  input  logic [5:0]   dc_lane_i,
  input  logic [6:0]   dc_count_i,
  input  logic         dc_last_i,
  input  logic [15:0]  dc_code_i,

  // Wire: frames out, which of them have left, frames in.
  output logic         wt_valid_o,
  input  logic         wt_ready_i,
  output logic [511:0] wt_data_o,
  output logic [6:0]   wt_bytes_o,
  output logic         wt_last_o,
  output logic         wt_loop_o,
  output logic [15:0]  wt_vi_o,
  output logic [31:0]  wt_end_idx_o,
  output logic         wt_pause_o,
  input  logic         wl_valid_i,
  input  logic         wl_lost_i,
  input  logic [63:0]  wl_time_ns_i,
  input  logic         wr_valid_i,
  input  logic [511:0] wr_data_i,
  input  logic [6:0]   wr_bytes_i,
  input  logic         wr_last_i,
  input  logic         wr_bad_i,
  input  logic         wr_looped_i,
  input  logic [63:0]  wr_time_ns_i,
  input  logic [15:0]  wr_id_i,

  // Dropped packets: [0] port, [1] parser, [2] filter, [3] receive DMA, [4] transmit DMA.
  output logic [4:0]   drop_valid_o,
  output logic [19:0]  drop_reason_o,
  output logic [4:0]   drop_vi_valid_o,
  output logic [79:0]  drop_vi_o,
  // [0] event, [1] dropped, [2] stalled, [3] prime, [4] wakeup, [6] lost, [7] doorbell ignored (of count_ev_vi_o);
  // [8] event lost on its way, [9] bad access BAR4, [10] bad access BAR2, [11] [12] doorbell ignored; [13] packet taken,
  // [14] packet to the port (count_sent_vi_o); [15] frame in, [16] pause frame in, [17] frames delivered, [18] in a merged
  // event (count_rx_vi_o, count_rx_frames_o), [19] further copy, [20] frames of a segmented packet beyond its first
  output logic [20:0]  count_o,
  output logic [15:0]  count_ev_vi_o,
  output logic [15:0]  count_sent_vi_o,
  output logic [15:0]  count_rx_vi_o,
  output logic [13:0]  count_rx_bytes_o,
  output logic [7:0]   count_rx_frames_o,
  output logic [15:0]  count_extra_frames_o
);
endmodule
