// From a packet in the transmit buffer to frames for the port: source check (R9), lengths, checksums, segmentation, VLAN tag and
// padding. Three steps that work on different packets at once: pst_tx_head gives the verdict, pst_segmentation makes frames of a
// packet and has their checksums summed, pst_tx_send sends them. Packet walk: between the fetched packet and the port.
module pst_tx_packet #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,  // a power of two, at least 2
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,  // while no input changes, nothing here does

  // CFG_GRANT, and CFG_PORT, which pst_mac_port answers. Before the first CFG_PORT the MTU is 0: everything is too long.
  input  logic                                     cfg_valid_i,
  input  logic [7:0]                               cfg_op_i,
  input  logic [31:0]                              cfg_index_i,
  input  logic [pst_admin_pkg::CFG_DATA_WIDTH-1:0] cfg_data_i,
  output logic                                     cfg_done_o,

  // Packets in the order in which they leave. The buffer is a ring of 1,024 lines of 64 bytes. With drop set the packet's bytes
  // are not read, and its verdict is the reason given.
  input  logic        pk_valid_i,
  output logic        pk_ready_o,
  input  logic [15:0] pk_vi_i,
  input  logic [15:0] pk_first_i,  // byte address
  input  logic [16:0] pk_bytes_i,
  input  logic        pk_drop_i,
  input  logic [3:0]  pk_drop_reason_i,
  input  logic        pk_l3_i,  // insert the checksum
  input  logic        pk_l4_i,
  input  logic        pk_segment_i,
  input  logic [15:0] pk_mss_i,
  input  logic        pk_vlan_insert_i,
  input  logic [15:0] pk_vlan_tci_i,
  input  logic        pk_any_source_i,
  input  logic [31:0] pk_end_idx_i,

  // One verdict for each packet, in order and before its first frame leaves; and, in the same order, one pulse when its bytes are
  // no longer read (a dropped packet's too).
  output logic        verdict_valid_o,
  output logic        verdict_drop_o,
  output logic [3:0]  verdict_reason_o,  // DROP_REASON
  output logic [15:0] verdict_frames_o,  // that will leave: 0 if dropped
  // Headers that segmentation adds to the packet's bytes, for who counts what a VI sends; for a source that is not granted too.
  output logic [23:0] verdict_extra_bytes_o,
  output logic        pk_done_o,

  // Two read ports of the buffer; data come in the next cycle.
  output logic         tb_rd0_valid_o,
  output logic [9:0]   tb_rd0_line_o,
  input  logic [511:0] tb_rd0_data_i,
  output logic         tb_rd1_valid_o,
  output logic [9:0]   tb_rd1_line_o,
  input  logic [511:0] tb_rd1_data_i,

  // Frames without FCS.
  output logic         fr_valid_o,
  input  logic         fr_ready_i,
  output logic [511:0] fr_data_o,
  output logic [6:0]   fr_bytes_o,  // from lane 0; 64 but for the last beat
  output logic         fr_last_o,
  output logic [15:0]  fr_vi_o,
  output logic [31:0]  fr_end_idx_o
);

  // ---- Configuration.
  pst_admin_pkg::port_t port;
  logic [15:0]          mtu_bytes_q;
  logic [47:0]          mac_address_q;
  logic                 take_grant, take_port;
  assign port = cfg_data_i[pst_admin_pkg::PORT_WIDTH-1:0];
  assign take_grant = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_GRANT;
  assign take_port = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_PORT;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cfg_done_o <= 1'b0;
      mtu_bytes_q <= 16'd0;
      mac_address_q <= 48'd0;
    end else begin
      cfg_done_o <= take_grant;
      if (take_port) {mtu_bytes_q, mac_address_q} <= {port.mtu_bytes, port.mac_address};
    end
  end

  // ---- The first step reads a packet's headers; its few lines go before those of the sums.
  logic                                     head_rd_valid, head_quiet, plan_valid, plan_ready;
  logic [9:0]                               head_rd_line, sum_rd_line;
  logic [pst_tx_packet_pkg::PLAN_WIDTH-1:0] plan;
  pst_tx_head #(.VI_COUNT(VI_COUNT)) u_head (
    .clk_i, .rst_ni,
    .quiet_o(head_quiet),
    .grant_valid_i(take_grant),
    .grant_index_i(cfg_index_i[VI_WIDTH+2:0]),
    .grant_i(cfg_data_i[pst_admin_pkg::GRANT_WIDTH-1:0]),
    .mtu_bytes_i(mtu_bytes_q),
    .mac_address_i(mac_address_q),
    .pk_valid_i, .pk_ready_o, .pk_vi_i, .pk_first_i, .pk_bytes_i, .pk_drop_i, .pk_drop_reason_i, .pk_l3_i, .pk_l4_i,
    .pk_segment_i, .pk_mss_i, .pk_vlan_insert_i, .pk_vlan_tci_i, .pk_any_source_i, .pk_end_idx_i,
    .verdict_valid_o, .verdict_drop_o, .verdict_reason_o, .verdict_frames_o, .verdict_extra_bytes_o,
    .rd_valid_o(head_rd_valid),
    .rd_line_o(head_rd_line),
    .rd_data_i(tb_rd0_data_i),
    .plan_valid_o(plan_valid),
    .plan_ready_i(plan_ready),
    .plan_o(plan)
  );

  // ---- Frames and their sums.
  logic                                    segmentation_quiet, job_valid, job_ready, sum_rd_valid;
  logic [pst_tx_packet_pkg::JOB_WIDTH-1:0] job;
  logic [6:0]                              line_first, line_end;
  logic                                    line_start, line_last, line_swap, line_header, line_partial;
  pst_segmentation u_segmentation (
    .clk_i, .rst_ni,
    .quiet_o(segmentation_quiet),
    .plan_valid_i(plan_valid),
    .plan_ready_o(plan_ready),
    .plan_i(plan),
    .job_valid_o(job_valid),
    .job_ready_i(job_ready),
    .job_o(job),
    .rd_valid_o(sum_rd_valid),
    .rd_ready_i(!head_rd_valid),
    .rd_line_o(sum_rd_line),
    .rd_first_o(line_first),
    .rd_end_o(line_end),
    .rd_start_o(line_start),
    .rd_last_o(line_last),
    .rd_swap_o(line_swap),
    .rd_header_o(line_header),
    .rd_partial_o(line_partial)
  );
  assign tb_rd0_valid_o = head_rd_valid || sum_rd_valid;
  assign tb_rd0_line_o = head_rd_valid ? head_rd_line : sum_rd_line;

  logic        sum_quiet, sum_valid, sum_take;
  logic [15:0] sum;
  pst_tx_sum u_sum (
    .clk_i, .rst_ni,
    .quiet_o(sum_quiet),
    .line_valid_i(sum_rd_valid && !head_rd_valid),
    .line_first_i(line_first),
    .line_end_i(line_end),
    .line_start_i(line_start),
    .line_last_i(line_last),
    .line_swap_i(line_swap),
    .line_header_i(line_header),
    .line_partial_i(line_partial),
    .data_i(tb_rd0_data_i),
    .sum_valid_o(sum_valid),
    .sum_take_i(sum_take),
    .sum_o(sum)
  );

  // ---- Frames leave.
  logic send_quiet;
  pst_tx_send u_send (
    .clk_i, .rst_ni,
    .quiet_o(send_quiet),
    .job_valid_i(job_valid),
    .job_ready_o(job_ready),
    .job_i(job),
    .sum_valid_i(sum_valid),
    .sum_take_o(sum_take),
    .sum_i(sum),
    .rd_valid_o(tb_rd1_valid_o),
    .rd_line_o(tb_rd1_line_o),
    .rd_data_i(tb_rd1_data_i),
    .done_o(pk_done_o),
    .fr_valid_o, .fr_ready_i, .fr_data_o, .fr_bytes_o, .fr_last_o, .fr_vi_o, .fr_end_idx_o
  );

  assign quiet_o = !cfg_valid_i && !cfg_done_o && head_quiet && segmentation_quiet && sum_quiet && send_quiet;

endmodule
