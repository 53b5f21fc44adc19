// The NIC: wires the blocks, nothing else. Outside are the PCIe hard block (mm_, dw_, dr_, dc_), the PHY (wt_, wl_, wr_),
// the firmware (fw_) and whoever counts (drop_, count_).
module pst_nic_top #(
  parameter int unsigned VI_COUNT = 64,      // a power of two, at least 2
  parameter int unsigned DOMAIN_COUNT = 128  // a power of two
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  // The same clock for groups of blocks. It may leave out an edge at which the group's quiet_ is set and nothing is due.
  input  logic         clk_control_i,
  input  logic         clk_event_i,
  input  logic         clk_receive_i,
  output logic         quiet_control_o,
  output logic         quiet_event_o,
  output logic         quiet_receive_o,
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
  // [0] event, [1] dropped, [2] stalled, [3] prime, [4] wakeup, [5] overflow mark, [6] lost, [7] doorbell ignored (of
  // count_ev_vi_o); [8] event lost on its way, [9] bad access BAR4, [10] bad access BAR2, [11] [12] doorbell ignored;
  // [13] packet taken, [14] packet to the port (count_sent_vi_o); [15] frame in, [16] pause frame in, [17] frames delivered,
  // [18] in a merged event (count_rx_vi_o, count_rx_frames_o), [19] further copy, [20] frames of a segmented packet but one
  output logic [20:0]  count_o,
  output logic [15:0]  count_ev_vi_o,
  output logic [15:0]  count_sent_vi_o,
  output logic [15:0]  count_rx_vi_o,
  output logic [13:0]  count_rx_bytes_o,
  output logic [7:0]   count_rx_frames_o,
  output logic [15:0]  count_extra_frames_o
);

  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT);
  localparam int unsigned VECTOR_WIDTH = $clog2(pst_contract_pkg::PST_LIMIT_MSIX_VECTOR_COUNT);
  localparam int unsigned HALTS = 8;

  logic [1:0] pop_valid, pop_ready;
  logic [VI_WIDTH-1:0] pop_tx_vi, pop_rx_vi, drop_vi_rxd, drop_vi_txd, evq_count_vi, desc_count_vi, lost_vi, delivered_vi,
    sent_vi, count_packet_vi, evq_answer_vi;
  logic [3:0] life_done, req_valid, req_ready, ev_answer_valid;
  logic [2:0] ev_answer, evq_answer, xl_valid, xl_ready, xl_write, xl_answer_valid;
  logic [7:0] req_op, cfg_op, link_cfg_op, merged_frames;
  logic [4*VI_WIDTH-1:0] req_vi;
  logic [511:0] req_data, cfg_data;
  logic evq_answer_valid, cfg_valid, link_cfg_valid, fence_valid, fence_done, fencing_q, link_bad_access, msix_bad_access;
  logic [31:0] cfg_index, level_bytes;
  logic [8:0] cfg_done, block_done;
  logic [HALTS-1:0] halt_valid, halt_ready;
  logic [HALTS*VI_WIDTH-1:0] halt_vi;
  logic [HALTS*4-1:0] halt_source;
  logic [HALTS*16-1:0] halt_code;
  logic [HALTS*32-1:0] halt_index;
  logic [3*VI_WIDTH-1:0] xl_vi;
  logic [3*64-1:0] xl_address;
  logic [3*17-1:0] xl_bytes;
  logic [19:0] quiet;
  logic cell_space, dbm_valid, dbm_ready, dbm_write, dbm_rd_valid, bar_valid, bar_ready, bar_write, bar_rd_valid, msg_valid,
    msg_ready, evw_valid, evw_ready, pw_valid, pw_ready, pw_first, pw_last, pr_valid, pr_ready, pc_valid, pc_last, rd_valid,
    rd_ready, rd_rx, rsp_valid, rsp_ready, rsp_rx, xl_ok, life_valid, life_op, evq_cmd_valid, evq_cmd_ready, evq_cmd_done,
    desc_cmd_valid, desc_cmd_ready, desc_cmd_stop, desc_cmd_rx, stopped_valid, stopped_rx, space_valid, ring_valid, ring_ready,
    ring_rx, prime_valid, prime_ready, prime_prime, arm_valid, arm_ready, pio_rd_valid, idle_evq, evq_ev_valid, evq_ev_ready,
    wake_valid, wake_ready, idle_desc, desc_answer_valid, desc_answer_rx, desc_answer_found, desc_answer_more,
    desc_answer_posted, desc_answer_pio, avail_valid, avail_rx, idle_msix, raise_valid, raise_ready, raise_done, txdone_valid,
    txdone_ready, pk_valid, pk_ready, pk_drop, pk_l3, pk_l4, pk_segment, pk_vlan_insert, pk_any_source, verdict_valid,
    verdict_drop, pk_done, tb_rd0_valid, tb_rd1_valid, left_valid, left_lost, fr_valid, fr_ready, fr_last, done_valid,
    done_ready, done_rx, rx_valid, rx_last, rx_drop, count_tx_frame, count_tx_loop, count_tx_pause, cellw_valid, cellw_first,
    cellw_last, cellw_abort, pf_valid, pf_ready, hold_valid, hold_ready, cell_rd_valid, rel_valid, rel_ready, st_valid,
    st_ready, st_hash_valid, rxdone_valid, rxdone_ready;
  logic [11:0] cell_free, cell_next, hold_frame, cell_rd_cell, rel_frame, st_frame;
  logic [127:0] evw_data, rsp_desc, ring_desc, evq_ev_data, desc_answer_desc;
  logic [12:0] hold_copies;
  logic [13:0] count_tx_bytes, st_bytes;
  logic [15:0] bar_offset, pw_id, pc_code, rsp_code, prime_sequence, arm_sequence, wake_vector, raise_vector, pk_vi, pk_first,
    pk_mss, pk_vlan_tci, verdict_frames, fr_vi, rx_id, st_vi, st_filter_id, st_vlan_tci, st_id;
  logic [16:0] pw_bytes, pr_bytes, xl_run, pk_bytes;
  logic [1:0] ring_op, evq_ev_op, st_vlan_count;
  logic [23:0] dbm_offset, verdict_extra_bytes;
  logic [31:0] msg_data, evw_idx, ring_producer_idx, prime_consumer_idx, arm_delay_ns, rd_idx, desc_answer_idx, txdone_idx,
    pk_end_idx, fr_end_idx, done_idx, st_hash, rxdone_idx;
  logic [3:0] bar_bytes, evq_cmd_op, desc_cmd_entries_log2, pk_drop_reason, verdict_reason, txd_ev_op;
  logic [511:0] cell_data, dbm_data, pw_data, pc_data, pio_rd_data, tb_rd0_data, tb_rd1_data, fr_data, rx_data, cellw_data;
  logic [5:0] pw_lane, pr_lane, pc_lane, pio_rd_line;
  logic [63:0] dbm_rd_data, bar_data, bar_rd_data, msg_address, evw_address, pw_address, pr_address, rd_address, xl_host,
    desc_cmd_address, due_timer, due_evq, due_txd, left_time_ns, due_mac, rx_time_ns, st_time_ns, st_event, due_rxd;
  logic [6:0] dbm_bytes, pw_count, pr_tag, pc_tag, pc_count, fr_bytes, rx_bytes;
  logic [7:0] rd_count, hold_cells;
  logic [9:0] tb_rd0_line, tb_rd1_line;
  logic [VECTOR_WIDTH-1:0] msg_vector;
  logic [VI_WIDTH-1:0] evw_vi, pw_vi, pr_vi, rd_vi, rsp_vi, life_vi, evq_cmd_vi, desc_cmd_vi, stopped_vi, space_vi, ring_vi,
    prime_vi, arm_vi, pio_rd_vi, evq_ev_vi, wake_vi, desc_answer_vi, avail_vi, txdone_vi, done_vi, rxdone_vi;
  logic [pst_event_queue_pkg::CONFIG_WIDTH-1:0] evq_cmd_config;
  logic [pst_rx_parser_pkg::META_WIDTH-1:0] pf_meta;

  // Fences of pst_vi_table go the way of the firmware's, whose command is under way meanwhile.
  assign link_cfg_valid = cfg_valid || (fence_valid && !fencing_q);
  assign link_cfg_op = fence_valid ? pst_admin_pkg::CFG_FENCE : cfg_op;
  assign fence_done = fencing_q && cfg_done[6];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) fencing_q <= 1'b0;
    else fencing_q <= fence_valid && !fence_done;
  end
  always_comb begin
    block_done = cfg_done;
    if (fencing_q) block_done[6] = 1'b0;
  end

  assign quiet_o = &quiet && !fence_valid;
  assign quiet_control_o = &{quiet[9], quiet[5:3]};
  assign quiet_event_o = quiet[7];
  assign quiet_receive_o = &quiet[18:16];
  always_comb begin
    due_ns_o = due_evq;
    if (due_mac < due_ns_o) due_ns_o = due_mac;
    if (due_rxd < due_ns_o) due_ns_o = due_rxd;
    if (due_timer < due_ns_o) due_ns_o = due_timer;
    if (due_txd < due_ns_o) due_ns_o = due_txd;
  end
  assign count_o[9] = link_bad_access || msix_bad_access;
  assign count_o[20] = verdict_valid && verdict_frames > 16'd1;
  assign count_extra_frames_o = verdict_frames - 16'd1;
  assign count_ev_vi_o = 16'(evq_count_vi);
  assign count_sent_vi_o = 16'(sent_vi);
  assign count_rx_vi_o = 16'(delivered_vi);
  assign drop_vi_valid_o[2:0] = 3'b000;
  assign drop_vi_o = {16'(drop_vi_txd), 16'(drop_vi_rxd), 48'd0};
  // The event table and the timer only post.
  assign req_op[1:0] = pst_event_queue_pkg::OP_POST[1:0];
  assign req_op[5:4] = txd_ev_op[1:0];
  assign req_op[7:6] = pst_event_queue_pkg::OP_POST[1:0];

  pst_admin #(.DONE_COUNT(9), .CLEAR_CYCLES(8200)) u_admin (
    .clk_i(clk_i), .rst_ni(rst_ni), .quiet_o(quiet[0]), .fw_valid_i(fw_valid_i), .fw_ready_o(fw_ready_o), .fw_op_i(fw_op_i),
    .fw_index_i(fw_index_i), .fw_data_i(fw_data_i), .fw_done_o(fw_done_o), .cfg_valid_o(cfg_valid), .cfg_op_o(cfg_op),
    .cfg_index_o(cfg_index), .cfg_data_o(cfg_data), .cfg_done_i(block_done)
  );

  pst_pcie_link #(.VI_COUNT(VI_COUNT)) u_pcie_link (
    .clk_i(clk_i), .rst_ni(rst_ni), .quiet_o(quiet[1]), .cfg_valid_i(link_cfg_valid), .cfg_op_i(link_cfg_op),
    .cfg_done_o(cfg_done[6]), .dw_valid_o(dw_valid_o), .dw_ready_i(dw_ready_i), .dw_first_o(dw_first_o),
    .dw_last_o(dw_last_o), .dw_kind_o(dw_kind_o), .dw_vi_o(dw_vi_o), .dw_address_o(dw_address_o), .dw_bytes_o(dw_bytes_o),
    .dw_data_o(dw_data_o), .dw_lane_o(dw_lane_o), .dw_count_o(dw_count_o), .dw_id_o(dw_id_o), .dr_valid_o(dr_valid_o),
    .dr_ready_i(dr_ready_i), .dr_tag_o(dr_tag_o), .dr_vi_o(dr_vi_o), .dr_address_o(dr_address_o), .dr_bytes_o(dr_bytes_o),
    .dr_lane_o(dr_lane_o), .dc_valid_i(dc_valid_i), .dc_ready_o(dc_ready_o), .dc_tag_i(dc_tag_i), .dc_data_i(dc_data_i),
    .dc_lane_i(dc_lane_i), .dc_count_i(dc_count_i), .dc_last_i(dc_last_i), .dc_code_i(dc_code_i), .mm_valid_i(mm_valid_i),
    .mm_ready_o(mm_ready_o), .mm_write_i(mm_write_i), .mm_bar_i(mm_bar_i), .mm_offset_i(mm_offset_i), .mm_bytes_i(mm_bytes_i),
    .mm_data_i(mm_data_i), .mm_rd_valid_o(mm_rd_valid_o), .mm_rd_data_o(mm_rd_data_o), .count_bad_access_o(link_bad_access),
    .dbm_valid_o(dbm_valid), .dbm_ready_i(dbm_ready), .dbm_write_o(dbm_write), .dbm_offset_o(dbm_offset),
    .dbm_bytes_o(dbm_bytes), .dbm_data_o(dbm_data), .dbm_rd_valid_i(dbm_rd_valid), .dbm_rd_data_i(dbm_rd_data),
    .bar_valid_o(bar_valid), .bar_ready_i(bar_ready), .bar_write_o(bar_write), .bar_offset_o(bar_offset),
    .bar_bytes_o(bar_bytes), .bar_data_o(bar_data), .bar_rd_valid_i(bar_rd_valid), .bar_rd_data_i(bar_rd_data),
    .msg_valid_i(msg_valid), .msg_ready_o(msg_ready), .msg_vector_i(msg_vector), .msg_address_i(msg_address),
    .msg_data_i(msg_data), .wr_valid_i(evw_valid), .wr_ready_o(evw_ready), .wr_vi_i(evw_vi), .wr_address_i(evw_address),
    .wr_idx_i(evw_idx), .wr_data_i(evw_data), .halt_valid_o(halt_valid[6]), .halt_ready_i(halt_ready[6]),
    .halt_vi_o(halt_vi[6*VI_WIDTH +: VI_WIDTH]), .halt_source_o(halt_source[6*4 +: 4]), .halt_code_o(halt_code[6*16 +: 16]),
    .halt_index_o(halt_index[6*32 +: 32]), .count_event_lost_o(count_o[8]), .count_vi_o(lost_vi), .pw_valid_i(pw_valid),
    .pw_ready_o(pw_ready), .pw_first_i(pw_first), .pw_last_i(pw_last), .pw_vi_i(pw_vi), .pw_address_i(pw_address),
    .pw_bytes_i(pw_bytes), .pw_data_i(pw_data), .pw_lane_i(pw_lane), .pw_count_i(pw_count), .pw_id_i(pw_id),
    .pr_valid_i(pr_valid), .pr_ready_o(pr_ready), .pr_tag_i(pr_tag), .pr_vi_i(pr_vi), .pr_address_i(pr_address),
    .pr_bytes_i(pr_bytes), .pr_lane_i(pr_lane), .pc_valid_o(pc_valid), .pc_tag_o(pc_tag), .pc_data_o(pc_data),
    .pc_lane_o(pc_lane), .pc_count_o(pc_count), .pc_last_o(pc_last), .pc_code_o(pc_code), .rd_valid_i(rd_valid),
    .rd_ready_o(rd_ready), .rd_rx_i(rd_rx), .rd_vi_i(rd_vi), .rd_address_i(rd_address), .rd_count_i(rd_count),
    .rsp_valid_o(rsp_valid), .rsp_ready_i(rsp_ready), .rsp_rx_o(rsp_rx), .rsp_vi_o(rsp_vi), .rsp_desc_o(rsp_desc),
    .rsp_code_o(rsp_code), .xl_valid_o(xl_valid[0]), .xl_ready_i(xl_ready[0]), .xl_vi_o(xl_vi[0*VI_WIDTH +: VI_WIDTH]),
    .xl_address_o(xl_address[0*64 +: 64]), .xl_bytes_o(xl_bytes[0*17 +: 17]), .xl_write_o(xl_write[0]),
    .xl_answer_valid_i(xl_answer_valid[0]), .xl_ok_i(xl_ok), .xl_host_i(xl_host), .xl_run_i(xl_run)
  );

  pst_translation #(.VI_COUNT(VI_COUNT), .DOMAIN_COUNT(DOMAIN_COUNT)) u_translation (
    .clk_i(clk_i), .rst_ni(rst_ni), .quiet_o(quiet[2]), .cfg_valid_i(cfg_valid), .cfg_op_i(cfg_op), .cfg_index_i(cfg_index),
    .cfg_data_i(cfg_data), .cfg_done_o(cfg_done[0]), .xl_valid_i(xl_valid), .xl_ready_o(xl_ready), .xl_vi_i(xl_vi),
    .xl_address_i(xl_address), .xl_bytes_i(xl_bytes), .xl_write_i(xl_write), .xl_answer_valid_o(xl_answer_valid),
    .xl_ok_o(xl_ok), .xl_host_o(xl_host), .xl_run_o(xl_run)
  );

  pst_vi_table #(.VI_COUNT(VI_COUNT), .HALT_COUNT(8), .LIFE_COUNT(4)) u_vi_table (
    .clk_i(clk_control_i), .rst_ni(rst_ni), .quiet_o(quiet[3]), .cfg_valid_i(cfg_valid), .cfg_op_i(cfg_op),
    .cfg_index_i(cfg_index),
    .cfg_data_i(cfg_data), .cfg_done_o(cfg_done[4]), .halt_valid_i(halt_valid), .halt_ready_o(halt_ready),
    .halt_vi_i(halt_vi), .halt_source_i(halt_source), .halt_code_i(halt_code), .halt_index_i(halt_index),
    .life_valid_o(life_valid), .life_op_o(life_op), .life_vi_o(life_vi), .life_done_i(life_done),
    .evq_cmd_valid_o(evq_cmd_valid), .evq_cmd_ready_i(evq_cmd_ready), .evq_cmd_op_o(evq_cmd_op), .evq_cmd_vi_o(evq_cmd_vi),
    .evq_cmd_config_o(evq_cmd_config), .evq_cmd_done_i(evq_cmd_done), .desc_cmd_valid_o(desc_cmd_valid),
    .desc_cmd_ready_i(desc_cmd_ready), .desc_cmd_stop_o(desc_cmd_stop), .desc_cmd_rx_o(desc_cmd_rx),
    .desc_cmd_vi_o(desc_cmd_vi), .desc_cmd_address_o(desc_cmd_address), .desc_cmd_entries_log2_o(desc_cmd_entries_log2),
    .stopped_valid_i(stopped_valid), .stopped_rx_i(stopped_rx), .stopped_vi_i(stopped_vi), .ev_valid_o(req_valid[0]),
    .ev_ready_i(req_ready[0]), .ev_vi_o(req_vi[0*VI_WIDTH +: VI_WIDTH]), .ev_data_o(req_data[0*128 +: 128]),
    .answer_valid_i(ev_answer_valid[0]), .answer_i(ev_answer), .space_valid_i(space_valid), .space_vi_i(space_vi),
    .fence_valid_o(fence_valid), .fence_done_i(fence_done)
  );

  pst_doorbell #(.VI_COUNT(VI_COUNT)) u_doorbell (
    .clk_i(clk_control_i), .rst_ni(rst_ni), .quiet_o(quiet[4]), .cfg_valid_i(cfg_valid), .cfg_op_i(cfg_op),
    .cfg_index_i(cfg_index),
    .cfg_data_i(cfg_data), .life_valid_i(life_valid), .life_op_i(life_op), .life_vi_i(life_vi), .life_done_o(life_done[3]),
    .dbm_valid_i(dbm_valid), .dbm_ready_o(dbm_ready), .dbm_write_i(dbm_write), .dbm_offset_i(dbm_offset),
    .dbm_bytes_i(dbm_bytes), .dbm_data_i(dbm_data), .dbm_rd_valid_o(dbm_rd_valid), .dbm_rd_data_o(dbm_rd_data),
    .ring_valid_o(ring_valid), .ring_ready_i(ring_ready), .ring_op_o(ring_op), .ring_rx_o(ring_rx), .ring_vi_o(ring_vi),
    .ring_producer_idx_o(ring_producer_idx), .ring_desc_o(ring_desc), .evq_valid_o(prime_valid), .evq_ready_i(prime_ready),
    .evq_prime_o(prime_prime), .evq_vi_o(prime_vi), .evq_consumer_idx_o(prime_consumer_idx), .evq_sequence_o(prime_sequence),
    .arm_valid_o(arm_valid), .arm_ready_i(arm_ready), .arm_vi_o(arm_vi), .arm_delay_ns_o(arm_delay_ns),
    .arm_sequence_o(arm_sequence), .halt_valid_o(halt_valid[0]), .halt_ready_i(halt_ready[0]),
    .halt_vi_o(halt_vi[0*VI_WIDTH +: VI_WIDTH]), .halt_source_o(halt_source[0*4 +: 4]), .halt_code_o(halt_code[0*16 +: 16]),
    .halt_index_o(halt_index[0*32 +: 32]), .pio_rd_valid_i(pio_rd_valid), .pio_rd_vi_i(pio_rd_vi),
    .pio_rd_line_i(pio_rd_line), .pio_rd_data_o(pio_rd_data), .count_bad_access_o(count_o[10]), .count_ignored_o(count_o[11])
  );

  pst_timer #(.VI_COUNT(VI_COUNT)) u_timer (
    .clk_i(clk_control_i), .rst_ni(rst_ni), .time_ns_i(time_ns_i), .quiet_o(quiet[5]), .due_ns_o(due_timer),
    .cfg_valid_i(cfg_valid),
    .cfg_op_i(cfg_op), .cfg_index_i(cfg_index), .life_valid_i(life_valid), .life_vi_i(life_vi), .life_done_o(life_done[2]),
    .arm_valid_i(arm_valid), .arm_ready_o(arm_ready), .arm_vi_i(arm_vi), .arm_delay_ns_i(arm_delay_ns),
    .arm_sequence_i(arm_sequence), .ev_valid_o(req_valid[3]), .ev_ready_i(req_ready[3]),
    .ev_vi_o(req_vi[3*VI_WIDTH +: VI_WIDTH]), .ev_data_o(req_data[3*128 +: 128]), .answer_valid_i(ev_answer_valid[3]),
    .answer_i(ev_answer), .space_valid_i(space_valid), .space_vi_i(space_vi), .halt_valid_o(halt_valid[1]),
    .halt_ready_i(halt_ready[1]), .halt_vi_o(halt_vi[1*VI_WIDTH +: VI_WIDTH]), .halt_source_o(halt_source[1*4 +: 4]),
    .halt_code_o(halt_code[1*16 +: 16]), .halt_index_o(halt_index[1*32 +: 32])
  );

  pst_event_request #(.VI_COUNT(VI_COUNT)) u_event_request (
    .clk_i(clk_i), .rst_ni(rst_ni), .quiet_o(quiet[6]), .ev_valid_i(req_valid), .ev_ready_o(req_ready), .ev_op_i(req_op),
    .ev_vi_i(req_vi), .ev_data_i(req_data), .answer_valid_o(ev_answer_valid), .answer_o(ev_answer), .ev_valid_o(evq_ev_valid),
    .ev_ready_i(evq_ev_ready), .ev_op_o(evq_ev_op), .ev_vi_o(evq_ev_vi), .ev_data_o(evq_ev_data),
    .answer_valid_i(evq_answer_valid), .answer_i(evq_answer)
  );

  pst_event_queue #(.VI_COUNT(VI_COUNT)) u_event_queue (
    .clk_i(clk_event_i), .rst_ni(rst_ni), .time_ns_i(time_ns_i), .idle_o(idle_evq), .quiet_o(quiet[7]), .due_ns_o(due_evq),
    .cmd_valid_i(evq_cmd_valid), .cmd_ready_o(evq_cmd_ready), .cmd_op_i(evq_cmd_op), .cmd_vi_i(evq_cmd_vi),
    .cmd_config_i(evq_cmd_config), .cmd_done_o(evq_cmd_done), .ev_valid_i(evq_ev_valid), .ev_ready_o(evq_ev_ready),
    .ev_op_i(evq_ev_op), .ev_vi_i(evq_ev_vi), .ev_data_i(evq_ev_data), .answer_valid_o(evq_answer_valid),
    .answer_vi_o(evq_answer_vi), .answer_o(evq_answer), .space_valid_o(space_valid), .space_vi_o(space_vi),
    .db_valid_i(prime_valid), .db_ready_o(prime_ready), .db_prime_i(prime_prime), .db_vi_i(prime_vi),
    .db_consumer_idx_i(prime_consumer_idx), .db_sequence_i(prime_sequence), .wr_valid_o(evw_valid), .wr_ready_i(evw_ready),
    .wr_vi_o(evw_vi), .wr_address_o(evw_address), .wr_idx_o(evw_idx), .wr_data_o(evw_data), .wake_valid_o(wake_valid),
    .wake_ready_i(wake_ready), .wake_vi_o(wake_vi), .wake_vector_o(wake_vector), .halt_valid_o(halt_valid[2]),
    .halt_ready_i(halt_ready[2]), .halt_vi_o(halt_vi[2*VI_WIDTH +: VI_WIDTH]), .halt_source_o(halt_source[2*4 +: 4]),
    .halt_code_o(halt_code[2*16 +: 16]), .halt_index_o(halt_index[2*32 +: 32]), .count_vi_o(evq_count_vi),
    .count_event_o(count_o[0]), .count_marked_o(count_o[5]), .count_dropped_o(count_o[1]), .count_stalled_o(count_o[2]),
    .count_prime_o(count_o[3]), .count_wake_o(count_o[4]), .count_lost_o(count_o[6]), .count_ignored_o(count_o[7])
  );

  pst_desc_fetch #(.VI_COUNT(VI_COUNT)) u_desc_fetch (
    .clk_i(clk_i), .rst_ni(rst_ni), .idle_o(idle_desc), .quiet_o(quiet[8]), .cmd_valid_i(desc_cmd_valid),
    .cmd_ready_o(desc_cmd_ready), .cmd_stop_i(desc_cmd_stop), .cmd_rx_i(desc_cmd_rx), .cmd_vi_i(desc_cmd_vi),
    .cmd_address_i(desc_cmd_address), .cmd_entries_log2_i(desc_cmd_entries_log2), .stopped_valid_o(stopped_valid),
    .stopped_rx_o(stopped_rx), .stopped_vi_o(stopped_vi), .db_valid_i(ring_valid), .db_ready_o(ring_ready), .db_op_i(ring_op),
    .db_rx_i(ring_rx), .db_vi_i(ring_vi), .db_producer_idx_i(ring_producer_idx), .db_desc_i(ring_desc), .rd_valid_o(rd_valid),
    .rd_ready_i(rd_ready), .rd_rx_o(rd_rx), .rd_vi_o(rd_vi), .rd_address_o(rd_address), .rd_idx_o(rd_idx),
    .rd_count_o(rd_count), .rsp_valid_i(rsp_valid), .rsp_ready_o(rsp_ready), .rsp_rx_i(rsp_rx), .rsp_vi_i(rsp_vi),
    .rsp_desc_i(rsp_desc), .rsp_code_i(rsp_code), .pop_valid_i(pop_valid), .pop_ready_o(pop_ready), .pop_tx_vi_i(pop_tx_vi),
    .pop_rx_vi_i(pop_rx_vi), .answer_valid_o(desc_answer_valid), .answer_rx_o(desc_answer_rx), .answer_vi_o(desc_answer_vi),
    .answer_found_o(desc_answer_found), .answer_more_o(desc_answer_more), .answer_posted_o(desc_answer_posted),
    .answer_pio_o(desc_answer_pio), .answer_idx_o(desc_answer_idx), .answer_desc_o(desc_answer_desc),
    .avail_valid_o(avail_valid), .avail_rx_o(avail_rx), .avail_vi_o(avail_vi), .done_valid_i(done_valid),
    .done_ready_o(done_ready), .done_rx_i(done_rx), .done_vi_i(done_vi), .done_idx_i(done_idx), .halt_valid_o(halt_valid[3]),
    .halt_ready_i(halt_ready[3]), .halt_vi_o(halt_vi[3*VI_WIDTH +: VI_WIDTH]), .halt_source_o(halt_source[3*4 +: 4]),
    .halt_code_o(halt_code[3*16 +: 16]), .halt_index_o(halt_index[3*32 +: 32]), .count_ignored_o(count_o[12]),
    .count_vi_o(desc_count_vi)
  );

  pst_msix u_msix (
    .clk_i(clk_control_i), .rst_ni(rst_ni), .idle_o(idle_msix), .quiet_o(quiet[9]), .bar_valid_i(bar_valid),
    .bar_ready_o(bar_ready), .bar_write_i(bar_write), .bar_offset_i(bar_offset), .bar_bytes_i(bar_bytes), .bar_data_i(bar_data),
    .rd_valid_o(bar_rd_valid), .rd_data_o(bar_rd_data), .count_bad_access_o(msix_bad_access), .raise_valid_i(raise_valid),
    .raise_ready_o(raise_ready), .raise_vector_i(raise_vector), .raise_done_o(raise_done), .msg_valid_o(msg_valid),
    .msg_ready_i(msg_ready), .msg_vector_o(msg_vector), .msg_address_o(msg_address), .msg_data_o(msg_data)
  );

  pst_msix_request u_msix_request (
    .clk_i(clk_i), .rst_ni(rst_ni), .quiet_o(quiet[10]), .cfg_valid_i(cfg_valid), .cfg_op_i(cfg_op), .cfg_index_i(cfg_index),
    .cfg_done_o(cfg_done[7]), .wake_valid_i(wake_valid), .wake_ready_o(wake_ready), .wake_vector_i(wake_vector),
    .raise_valid_o(raise_valid), .raise_ready_i(raise_ready), .raise_vector_o(raise_vector)
  );

  pst_halt_request #(.VI_COUNT(VI_COUNT)) u_halt_request (
    .clk_i(clk_i), .rst_ni(rst_ni), .quiet_o(quiet[11]), .cfg_valid_i(cfg_valid), .cfg_op_i(cfg_op), .cfg_index_i(cfg_index),
    .cfg_data_i(cfg_data), .cfg_done_o(cfg_done[8]), .halt_valid_o(halt_valid[7]), .halt_ready_i(halt_ready[7]),
    .halt_vi_o(halt_vi[7*VI_WIDTH +: VI_WIDTH]), .halt_source_o(halt_source[7*4 +: 4]), .halt_code_o(halt_code[7*16 +: 16]),
    .halt_index_o(halt_index[7*32 +: 32])
  );

  pst_tx_dma #(.VI_COUNT(VI_COUNT)) u_tx_dma (
    .clk_i(clk_i), .rst_ni(rst_ni), .time_ns_i(time_ns_i), .quiet_o(quiet[12]), .due_ns_o(due_txd), .cfg_valid_i(cfg_valid),
    .cfg_op_i(cfg_op), .cfg_index_i(cfg_index), .cfg_data_i(cfg_data), .life_valid_i(life_valid), .life_op_i(life_op),
    .life_vi_i(life_vi), .life_done_o(life_done[0]), .avail_valid_i(avail_valid), .avail_rx_i(avail_rx),
    .avail_vi_i(avail_vi), .pop_valid_o(pop_valid[0]), .pop_ready_i(pop_ready[0]), .pop_vi_o(pop_tx_vi),
    .answer_valid_i(desc_answer_valid), .answer_rx_i(desc_answer_rx), .answer_found_i(desc_answer_found),
    .answer_posted_i(desc_answer_posted), .answer_pio_i(desc_answer_pio), .answer_idx_i(desc_answer_idx),
    .answer_desc_i(desc_answer_desc), .done_valid_o(txdone_valid), .done_ready_i(txdone_ready), .done_vi_o(txdone_vi),
    .done_idx_o(txdone_idx), .xl_valid_o(xl_valid[2]), .xl_ready_i(xl_ready[2]), .xl_vi_o(xl_vi[2*VI_WIDTH +: VI_WIDTH]),
    .xl_address_o(xl_address[2*64 +: 64]), .xl_bytes_o(xl_bytes[2*17 +: 17]), .xl_write_o(xl_write[2]),
    .xl_answer_valid_i(xl_answer_valid[2]), .xl_ok_i(xl_ok), .xl_host_i(xl_host), .xl_run_i(xl_run), .pr_valid_o(pr_valid),
    .pr_ready_i(pr_ready), .pr_tag_o(pr_tag), .pr_vi_o(pr_vi), .pr_address_o(pr_address), .pr_bytes_o(pr_bytes),
    .pr_lane_o(pr_lane), .pc_valid_i(pc_valid), .pc_tag_i(pc_tag), .pc_data_i(pc_data), .pc_lane_i(pc_lane),
    .pc_count_i(pc_count), .pc_last_i(pc_last), .pc_code_i(pc_code), .pio_rd_valid_o(pio_rd_valid), .pio_rd_vi_o(pio_rd_vi),
    .pio_rd_line_o(pio_rd_line), .pio_rd_data_i(pio_rd_data), .pk_valid_o(pk_valid), .pk_ready_i(pk_ready), .pk_vi_o(pk_vi),
    .pk_first_o(pk_first), .pk_bytes_o(pk_bytes), .pk_drop_o(pk_drop), .pk_drop_reason_o(pk_drop_reason), .pk_l3_o(pk_l3),
    .pk_l4_o(pk_l4), .pk_segment_o(pk_segment), .pk_mss_o(pk_mss), .pk_vlan_insert_o(pk_vlan_insert),
    .pk_vlan_tci_o(pk_vlan_tci), .pk_any_source_o(pk_any_source), .pk_end_idx_o(pk_end_idx), .verdict_valid_i(verdict_valid),
    .verdict_drop_i(verdict_drop), .verdict_reason_i(verdict_reason), .verdict_frames_i(verdict_frames),
    .verdict_extra_bytes_i(verdict_extra_bytes), .pk_done_i(pk_done), .tb_rd0_valid_i(tb_rd0_valid),
    .tb_rd0_line_i(tb_rd0_line), .tb_rd0_data_o(tb_rd0_data), .tb_rd1_valid_i(tb_rd1_valid), .tb_rd1_line_i(tb_rd1_line),
    .tb_rd1_data_o(tb_rd1_data), .left_valid_i(left_valid), .left_lost_i(left_lost), .left_time_ns_i(left_time_ns),
    .ev_valid_o(req_valid[2]), .ev_ready_i(req_ready[2]), .ev_op_o(txd_ev_op), .ev_vi_o(req_vi[2*VI_WIDTH +: VI_WIDTH]),
    .ev_data_o(req_data[2*128 +: 128]), .ev_answer_valid_i(ev_answer_valid[2]), .ev_answer_i(ev_answer),
    .space_valid_i(space_valid), .space_vi_i(space_vi), .halt_valid_o(halt_valid[4]), .halt_ready_i(halt_ready[4]),
    .halt_vi_o(halt_vi[4*VI_WIDTH +: VI_WIDTH]), .halt_source_o(halt_source[4*4 +: 4]), .halt_code_o(halt_code[4*16 +: 16]),
    .halt_index_o(halt_index[4*32 +: 32]), .drop_valid_o(drop_valid_o[4]), .drop_reason_o(drop_reason_o[16 +: 4]),
    .drop_vi_valid_o(drop_vi_valid_o[4]), .drop_vi_o(drop_vi_txd), .count_packet_o(count_o[13]),
    .count_packet_vi_o(count_packet_vi), .count_sent_o(count_o[14]), .count_sent_vi_o(sent_vi)
  );

  pst_tx_packet #(.VI_COUNT(VI_COUNT)) u_tx_packet (
    .clk_i(clk_i), .rst_ni(rst_ni), .quiet_o(quiet[13]), .cfg_valid_i(cfg_valid), .cfg_op_i(cfg_op), .cfg_index_i(cfg_index),
    .cfg_data_i(cfg_data), .cfg_done_o(cfg_done[3]), .pk_valid_i(pk_valid), .pk_ready_o(pk_ready), .pk_vi_i(pk_vi),
    .pk_first_i(pk_first), .pk_bytes_i(pk_bytes), .pk_drop_i(pk_drop), .pk_drop_reason_i(pk_drop_reason), .pk_l3_i(pk_l3),
    .pk_l4_i(pk_l4), .pk_segment_i(pk_segment), .pk_mss_i(pk_mss), .pk_vlan_insert_i(pk_vlan_insert),
    .pk_vlan_tci_i(pk_vlan_tci), .pk_any_source_i(pk_any_source), .pk_end_idx_i(pk_end_idx), .verdict_valid_o(verdict_valid),
    .verdict_drop_o(verdict_drop), .verdict_reason_o(verdict_reason), .verdict_frames_o(verdict_frames),
    .verdict_extra_bytes_o(verdict_extra_bytes), .pk_done_o(pk_done), .tb_rd0_valid_o(tb_rd0_valid),
    .tb_rd0_line_o(tb_rd0_line), .tb_rd0_data_i(tb_rd0_data), .tb_rd1_valid_o(tb_rd1_valid), .tb_rd1_line_o(tb_rd1_line),
    .tb_rd1_data_i(tb_rd1_data), .fr_valid_o(fr_valid), .fr_ready_i(fr_ready), .fr_data_o(fr_data), .fr_bytes_o(fr_bytes),
    .fr_last_o(fr_last), .fr_vi_o(fr_vi), .fr_end_idx_o(fr_end_idx)
  );

  pst_desc_done #(.VI_COUNT(VI_COUNT)) u_desc_done (
    .clk_i(clk_i), .rst_ni(rst_ni), .quiet_o(quiet[14]), .rx_valid_i(rxdone_valid), .rx_ready_o(rxdone_ready),
    .rx_vi_i(rxdone_vi), .rx_idx_i(rxdone_idx), .tx_valid_i(txdone_valid), .tx_ready_o(txdone_ready), .tx_vi_i(txdone_vi),
    .tx_idx_i(txdone_idx), .done_valid_o(done_valid), .done_ready_i(done_ready), .done_rx_o(done_rx), .done_vi_o(done_vi),
    .done_idx_o(done_idx)
  );

  pst_mac_port u_mac_port (
    .clk_i(clk_i), .rst_ni(rst_ni), .time_ns_i(time_ns_i), .quiet_o(quiet[15]), .due_ns_o(due_mac), .cfg_valid_i(cfg_valid),
    .cfg_op_i(cfg_op), .cfg_data_i(cfg_data), .cfg_done_o(cfg_done[2]), .fr_valid_i(fr_valid), .fr_ready_o(fr_ready),
    .fr_data_i(fr_data), .fr_bytes_i(fr_bytes), .fr_last_i(fr_last), .fr_vi_i(fr_vi), .fr_end_idx_i(fr_end_idx),
    .left_valid_o(left_valid), .left_lost_o(left_lost), .left_time_ns_o(left_time_ns), .wt_valid_o(wt_valid_o),
    .wt_ready_i(wt_ready_i), .wt_data_o(wt_data_o), .wt_bytes_o(wt_bytes_o), .wt_last_o(wt_last_o), .wt_loop_o(wt_loop_o),
    .wt_vi_o(wt_vi_o), .wt_end_idx_o(wt_end_idx_o), .wt_pause_o(wt_pause_o), .wl_valid_i(wl_valid_i), .wl_lost_i(wl_lost_i),
    .wl_time_ns_i(wl_time_ns_i), .wr_valid_i(wr_valid_i), .wr_data_i(wr_data_i), .wr_bytes_i(wr_bytes_i),
    .wr_last_i(wr_last_i), .wr_bad_i(wr_bad_i), .wr_looped_i(wr_looped_i), .wr_time_ns_i(wr_time_ns_i), .wr_id_i(wr_id_i),
    .rx_valid_o(rx_valid), .rx_data_o(rx_data), .rx_bytes_o(rx_bytes), .rx_last_o(rx_last), .rx_drop_o(rx_drop),
    .rx_time_ns_o(rx_time_ns), .rx_id_o(rx_id), .level_bytes_i(level_bytes), .drop_valid_o(drop_valid_o[0]),
    .drop_reason_o(drop_reason_o[0 +: 4]), .count_rx_frame_o(count_o[15]), .count_rx_bytes_o(count_rx_bytes_o),
    .count_rx_pause_o(count_o[16]), .count_tx_frame_o(count_tx_frame), .count_tx_bytes_o(count_tx_bytes),
    .count_tx_loop_o(count_tx_loop), .count_tx_pause_o(count_tx_pause)
  );

  pst_rx_parser #(.META_DEPTH(4096)) u_rx_parser (  // a frame for each cell of the buffer: bytes alone bound what may wait
    .clk_i(clk_receive_i), .rst_ni(rst_ni), .quiet_o(quiet[16]), .cfg_valid_i(cfg_valid), .cfg_op_i(cfg_op),
    .cfg_data_i(cfg_data),
    .rx_valid_i(rx_valid), .rx_data_i(rx_data), .rx_bytes_i(rx_bytes), .rx_last_i(rx_last), .rx_drop_i(rx_drop),
    .rx_time_ns_i(rx_time_ns), .rx_id_i(rx_id), .space_i(cell_space), .cell_i(cell_free), .wr_valid_o(cellw_valid),
    .wr_first_o(cellw_first), .wr_last_o(cellw_last), .wr_data_o(cellw_data), .wr_abort_o(cellw_abort), .pf_valid_o(pf_valid),
    .pf_ready_i(pf_ready), .pf_meta_o(pf_meta), .drop_valid_o(drop_valid_o[1]), .drop_reason_o(drop_reason_o[4 +: 4])
  );

  pst_rx_buffer u_rx_buffer (
    .clk_i(clk_receive_i), .rst_ni(rst_ni), .quiet_o(quiet[17]), .space_o(cell_space), .cell_o(cell_free),
    .wr_valid_i(cellw_valid), .wr_first_i(cellw_first), .wr_last_i(cellw_last), .wr_data_i(cellw_data), .wr_abort_i(cellw_abort),
    .hold_valid_i(hold_valid), .hold_ready_o(hold_ready), .hold_frame_i(hold_frame), .hold_cells_i(hold_cells),
    .hold_copies_i(hold_copies), .cell_rd_valid_i(cell_rd_valid), .cell_rd_cell_i(cell_rd_cell), .cell_data_o(cell_data),
    .cell_next_o(cell_next), .release_valid_i(rel_valid), .release_ready_o(rel_ready), .release_frame_i(rel_frame),
    .level_bytes_o(level_bytes)
  );

  pst_rx_filter u_rx_filter (
    .clk_i(clk_receive_i), .rst_ni(rst_ni), .quiet_o(quiet[18]), .cfg_valid_i(cfg_valid), .cfg_op_i(cfg_op),
    .cfg_index_i(cfg_index),
    .cfg_data_i(cfg_data), .cfg_done_o(cfg_done[1]), .pf_valid_i(pf_valid), .pf_ready_o(pf_ready), .pf_meta_i(pf_meta),
    .hold_valid_o(hold_valid), .hold_ready_i(hold_ready), .hold_frame_o(hold_frame), .hold_cells_o(hold_cells),
    .hold_copies_o(hold_copies), .st_valid_o(st_valid), .st_ready_i(st_ready), .st_vi_o(st_vi), .st_filter_id_o(st_filter_id),
    .st_frame_o(st_frame), .st_bytes_o(st_bytes), .st_time_ns_o(st_time_ns), .st_hash_valid_o(st_hash_valid),
    .st_hash_o(st_hash), .st_vlan_count_o(st_vlan_count), .st_vlan_tci_o(st_vlan_tci), .st_event_o(st_event), .st_id_o(st_id),
    .drop_valid_o(drop_valid_o[2]), .drop_reason_o(drop_reason_o[8 +: 4]), .count_copy_o(count_o[19])
  );

  pst_rx_dma #(.VI_COUNT(VI_COUNT)) u_rx_dma (
    .clk_i(clk_i), .rst_ni(rst_ni), .time_ns_i(time_ns_i), .quiet_o(quiet[19]), .due_ns_o(due_rxd), .cfg_valid_i(cfg_valid),
    .cfg_op_i(cfg_op), .cfg_index_i(cfg_index), .cfg_data_i(cfg_data), .cfg_done_o(cfg_done[5]), .life_valid_i(life_valid),
    .life_op_i(life_op), .life_vi_i(life_vi), .life_done_o(life_done[1]), .st_valid_i(st_valid), .st_ready_o(st_ready),
    .st_vi_i(st_vi), .st_filter_id_i(st_filter_id), .st_frame_i(st_frame), .st_bytes_i(st_bytes), .st_time_ns_i(st_time_ns),
    .st_hash_valid_i(st_hash_valid), .st_hash_i(st_hash), .st_vlan_count_i(st_vlan_count), .st_vlan_tci_i(st_vlan_tci),
    .st_event_i(st_event), .st_id_i(st_id), .cell_rd_valid_o(cell_rd_valid), .cell_rd_cell_o(cell_rd_cell),
    .cell_data_i(cell_data), .cell_next_i(cell_next), .release_valid_o(rel_valid), .release_ready_i(rel_ready),
    .release_frame_o(rel_frame), .pop_valid_o(pop_valid[1]), .pop_ready_i(pop_ready[1]), .pop_vi_o(pop_rx_vi),
    .answer_valid_i(desc_answer_valid), .answer_rx_i(desc_answer_rx), .answer_found_i(desc_answer_found),
    .answer_more_i(desc_answer_more), .answer_posted_i(desc_answer_posted), .answer_desc_i(desc_answer_desc),
    .avail_valid_i(avail_valid), .avail_rx_i(avail_rx), .avail_vi_i(avail_vi), .done_valid_o(rxdone_valid),
    .done_ready_i(rxdone_ready), .done_vi_o(rxdone_vi), .done_idx_o(rxdone_idx), .xl_valid_o(xl_valid[1]),
    .xl_ready_i(xl_ready[1]), .xl_vi_o(xl_vi[1*VI_WIDTH +: VI_WIDTH]), .xl_address_o(xl_address[1*64 +: 64]),
    .xl_bytes_o(xl_bytes[1*17 +: 17]), .xl_write_o(xl_write[1]), .xl_answer_valid_i(xl_answer_valid[1]), .xl_ok_i(xl_ok),
    .xl_host_i(xl_host), .xl_run_i(xl_run), .pw_valid_o(pw_valid), .pw_ready_i(pw_ready), .pw_first_o(pw_first),
    .pw_last_o(pw_last), .pw_vi_o(pw_vi), .pw_address_o(pw_address), .pw_bytes_o(pw_bytes), .pw_data_o(pw_data),
    .pw_lane_o(pw_lane), .pw_count_o(pw_count), .pw_id_o(pw_id), .ev_valid_o(req_valid[1]), .ev_ready_i(req_ready[1]),
    .ev_op_o(req_op[1*2 +: 2]), .ev_vi_o(req_vi[1*VI_WIDTH +: VI_WIDTH]), .ev_data_o(req_data[1*128 +: 128]),
    .ev_answer_valid_i(ev_answer_valid[1]), .ev_answer_i(ev_answer), .space_valid_i(space_valid), .space_vi_i(space_vi),
    .halt_valid_o(halt_valid[5]), .halt_ready_i(halt_ready[5]), .halt_vi_o(halt_vi[5*VI_WIDTH +: VI_WIDTH]),
    .halt_source_o(halt_source[5*4 +: 4]), .halt_code_o(halt_code[5*16 +: 16]), .halt_index_o(halt_index[5*32 +: 32]),
    .drop_valid_o(drop_valid_o[3]), .drop_reason_o(drop_reason_o[12 +: 4]), .drop_vi_valid_o(drop_vi_valid_o[3]),
    .drop_vi_o(drop_vi_rxd), .count_delivered_o(count_o[17]), .count_vi_o(delivered_vi),
    .count_delivered_frames_o(count_rx_frames_o), .count_merged_event_o(count_o[18]), .count_merged_frames_o(merged_frames)
  );

  logic unused;  // what only block tests look at, and what the wire side counts
  assign unused = &{1'b0, desc_count_vi, lost_vi, count_packet_vi, evq_answer_vi, merged_frames, raise_done, count_tx_frame,
                    count_tx_loop, count_tx_pause, count_tx_bytes, rd_idx, wake_vi, desc_answer_vi, idle_evq, idle_desc, idle_msix,
                    txd_ev_op[3:2]};

endmodule
