// pst_nic_top for the simulation: inputs count when they are driven. Verilator evaluates what depends on an input at every
// evaluation, changed or not, and that is most of a NIC; here it does so only for the groups of inputs whose drive_ rises.
// The time also counts with each edge of the clock: it is then the time of the next edge.
module pst_nic_driven #(
  parameter int unsigned VI_COUNT = 64,
  parameter int unsigned DOMAIN_COUNT = 128
) (
  input  logic         drive_time_i,
  input  logic         drive_control_i,
  input  logic         drive_memory_i,
  input  logic         drive_receive_i,
  input  logic         drive_sent_i,
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         clk_control_i,
  input  logic         clk_event_i,
  input  logic         clk_receive_i,
  output logic         quiet_control_o,
  output logic         quiet_event_o,
  output logic         quiet_receive_o,
  input  logic [63:0]  time_ns_i,
  output logic         quiet_o,
  output logic [63:0]  due_ns_o,
  input  logic         fw_valid_i,
  output logic         fw_ready_o,
  input  logic [7:0]   fw_op_i,
  input  logic [31:0]  fw_index_i,
  input  logic [511:0] fw_data_i,
  output logic         fw_done_o,
  input  logic         mm_valid_i,
  output logic         mm_ready_o,
  input  logic         mm_write_i,
  input  logic [2:0]   mm_bar_i,
  input  logic [23:0]  mm_offset_i,
  input  logic [6:0]   mm_bytes_i,
  input  logic [511:0] mm_data_i,
  output logic         mm_rd_valid_o,
  output logic [63:0]  mm_rd_data_o,
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
  output logic [4:0]   drop_valid_o,
  output logic [19:0]  drop_reason_o,
  output logic [4:0]   drop_vi_valid_o,
  output logic [79:0]  drop_vi_o,
  output logic [20:0]  count_o,
  output logic [15:0]  count_ev_vi_o,
  output logic [15:0]  count_sent_vi_o,
  output logic [15:0]  count_rx_vi_o,
  output logic [13:0]  count_rx_bytes_o,
  output logic [7:0]   count_rx_frames_o,
  output logic [15:0]  count_extra_frames_o
);

  logic [63:0]  time_ns_q;
  logic         mm_valid_q;
  logic         mm_write_q;
  logic [2:0]   mm_bar_q;
  logic [23:0]  mm_offset_q;
  logic [6:0]   mm_bytes_q;
  logic [511:0] mm_data_q;
  logic         dc_valid_q;
  logic [7:0]   dc_tag_q;
  logic [511:0] dc_data_q;
  logic [5:0]   dc_lane_q;
  logic [6:0]   dc_count_q;
  logic         dc_last_q;
  logic [15:0]  dc_code_q;
  logic         dw_ready_q;
  logic         dr_ready_q;
  logic         wr_valid_q;
  logic [511:0] wr_data_q;
  logic [6:0]   wr_bytes_q;
  logic         wr_last_q;
  logic         wr_bad_q;
  logic         wr_looped_q;
  logic [63:0]  wr_time_ns_q;
  logic [15:0]  wr_id_q;
  logic         wl_valid_q;
  logic         wl_lost_q;
  logic [63:0]  wl_time_ns_q;
  logic         wt_ready_q;
  logic         fw_valid_q;
  logic [7:0]   fw_op_q;
  logic [31:0]  fw_index_q;
  logic [511:0] fw_data_q;

  always_ff @(posedge clk_i or posedge drive_time_i) time_ns_q <= time_ns_i;
  always_ff @(posedge drive_control_i) begin
    mm_valid_q <= mm_valid_i;
    mm_write_q <= mm_write_i;
    mm_bar_q <= mm_bar_i;
    mm_offset_q <= mm_offset_i;
    mm_bytes_q <= mm_bytes_i;
    mm_data_q <= mm_data_i;
    fw_valid_q <= fw_valid_i;
    fw_op_q <= fw_op_i;
    fw_index_q <= fw_index_i;
    fw_data_q <= fw_data_i;
  end
  always_ff @(posedge drive_memory_i) begin
    dc_valid_q <= dc_valid_i;
    dc_tag_q <= dc_tag_i;
    dc_data_q <= dc_data_i;
    dc_lane_q <= dc_lane_i;
    dc_count_q <= dc_count_i;
    dc_last_q <= dc_last_i;
    dc_code_q <= dc_code_i;
    dw_ready_q <= dw_ready_i;
    dr_ready_q <= dr_ready_i;
  end
  always_ff @(posedge drive_receive_i) begin
    wr_valid_q <= wr_valid_i;
    wr_data_q <= wr_data_i;
    wr_bytes_q <= wr_bytes_i;
    wr_last_q <= wr_last_i;
    wr_bad_q <= wr_bad_i;
    wr_looped_q <= wr_looped_i;
    wr_time_ns_q <= wr_time_ns_i;
    wr_id_q <= wr_id_i;
  end
  always_ff @(posedge drive_sent_i) begin
    wl_valid_q <= wl_valid_i;
    wl_lost_q <= wl_lost_i;
    wl_time_ns_q <= wl_time_ns_i;
    wt_ready_q <= wt_ready_i;
  end

  pst_nic_top #(.VI_COUNT(VI_COUNT), .DOMAIN_COUNT(DOMAIN_COUNT)) u_nic (
    .*, .time_ns_i(time_ns_q), .mm_valid_i(mm_valid_q), .mm_write_i(mm_write_q), .mm_bar_i(mm_bar_q),
    .mm_offset_i(mm_offset_q), .mm_bytes_i(mm_bytes_q), .mm_data_i(mm_data_q), .dc_valid_i(dc_valid_q), .dc_tag_i(dc_tag_q),
    .dc_data_i(dc_data_q), .dc_lane_i(dc_lane_q), .dc_count_i(dc_count_q), .dc_last_i(dc_last_q), .dc_code_i(dc_code_q),
    .dw_ready_i(dw_ready_q), .dr_ready_i(dr_ready_q), .wr_valid_i(wr_valid_q), .wr_data_i(wr_data_q),
    .wr_bytes_i(wr_bytes_q), .wr_last_i(wr_last_q), .wr_bad_i(wr_bad_q), .wr_looped_i(wr_looped_q),
    .wr_time_ns_i(wr_time_ns_q), .wr_id_i(wr_id_q), .wl_valid_i(wl_valid_q), .wl_lost_i(wl_lost_q),
    .wl_time_ns_i(wl_time_ns_q), .wt_ready_i(wt_ready_q), .fw_valid_i(fw_valid_q), .fw_op_i(fw_op_q),
    .fw_index_i(fw_index_q), .fw_data_i(fw_data_q)
  );

endmodule
