// The bytes of the packets that were taken: asks for them, and puts them into the packet buffer as they arrive, in whatever
// order. A completion goes before a line of the PIO page, which is held meanwhile. Connects pst_tx_issue, which asks,
// pst_tx_landing, which keeps account of the reads in flight, and the buffer.
module pst_tx_fetch #(
  parameter int unsigned VI_COUNT = 64,
  parameter int unsigned TAG_COUNT = 64,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned ENTRY_WIDTH = pst_tx_pkg::ENTRY_WIDTH,
  localparam int unsigned LINE_WIDTH = pst_tx_pkg::LINE_WIDTH
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  output logic                   quiet_o,
  output logic                   clearing_o,  // after reset, and at least a cycle per VI

  input  logic                   take_valid_i,
  input  logic [ENTRY_WIDTH-1:0] take_entry_i,
  input  logic [VI_WIDTH-1:0]    take_vi_i,
  input  logic [pst_tx_pkg::PACKET_WIDTH-1:0] take_packet_i,
  input  logic [LINE_WIDTH-1:0]  take_line_i,
  input  logic [6:0]             take_lines_i,
  input  logic [6:0]             take_segs_i,
  output logic [ENTRY_WIDTH-1:0] issued_o,  // all packets before it have been asked for
  input  logic                   seg_valid_i,
  output logic                   seg_taken_o,
  input  logic [63:0]            seg_host_i,
  input  logic [16:0]            seg_bytes_i,

  output logic                   pr_valid_o,
  input  logic                   pr_ready_i,
  output logic [6:0]             pr_tag_o,
  output logic [VI_WIDTH-1:0]    pr_vi_o,
  output logic [63:0]            pr_address_o,
  output logic [16:0]            pr_bytes_o,
  output logic [5:0]             pr_lane_o,
  input  logic                   pc_valid_i,
  input  logic [6:0]             pc_tag_i,
  input  logic [511:0]           pc_data_i,
  input  logic [5:0]             pc_lane_i,
  input  logic [6:0]             pc_count_i,
  input  logic                   pc_last_i,
  input  logic [15:0]            pc_code_i,
  output logic                   pio_rd_valid_o,
  output logic [VI_WIDTH-1:0]    pio_rd_vi_o,
  output logic [5:0]             pio_rd_line_o,
  input  logic [511:0]           pio_rd_data_i,
  input  logic                   tb_rd0_valid_i,
  input  logic [LINE_WIDTH-1:0]  tb_rd0_line_i,
  output logic [511:0]           tb_rd0_data_o,
  input  logic                   tb_rd1_valid_i,
  input  logic [LINE_WIDTH-1:0]  tb_rd1_line_i,
  output logic [511:0]           tb_rd1_data_o,

  // What is known of two packets that have been asked for.
  input  logic [ENTRY_WIDTH-1:0] hand_entry_i,
  output logic                   hand_landed_o,
  output logic                   hand_failed_o,
  output logic [15:0]            hand_code_o,
  input  logic [ENTRY_WIDTH-1:0] scan_entry_i,
  output logic                   scan_landed_o
);

  logic                  issue_quiet, tag_valid, copy_valid, copy_held, land_valid;
  logic [LINE_WIDTH-1:0] pr_line, copy_line, land_line;
  logic [$clog2(TAG_COUNT)-1:0] tag;
  assign pr_tag_o = 7'(tag);
  pst_tx_issue #(.VI_COUNT(VI_COUNT)) u_issue (
    .clk_i, .rst_ni,
    .quiet_o(issue_quiet),
    .take_valid_i, .take_entry_i, .take_vi_i, .take_packet_i, .take_line_i, .take_lines_i, .take_segs_i,
    .entry_o(issued_o),
    .seg_valid_i, .seg_taken_o, .seg_host_i, .seg_bytes_i,
    .tag_valid_i(tag_valid),
    .pr_valid_o, .pr_ready_i, .pr_vi_o, .pr_address_o, .pr_bytes_o, .pr_lane_o,
    .pr_line_o(pr_line),
    .pio_rd_valid_o, .pio_rd_vi_o, .pio_rd_line_o,
    .copy_valid_o(copy_valid),
    .copy_ready_i(!land_valid),
    .copy_held_o(copy_held),
    .copy_line_o(copy_line)
  );
  pst_tx_landing #(.TAG_COUNT(TAG_COUNT), .CLEAR_COUNT(VI_COUNT > 128 ? VI_COUNT : 128)) u_landing (
    .clk_i, .rst_ni,
    .clearing_o,
    .tag_valid_o(tag_valid),
    .tag_o(tag),
    .issue_valid_i(pr_valid_o && pr_ready_i),
    .issue_entry_i(issued_o),
    .issue_line_i(pr_line),
    .pc_valid_i, .pc_tag_i, .pc_last_i, .pc_code_i,
    .wr_valid_o(land_valid),
    .wr_line_o(land_line),
    .take_valid_i, .take_entry_i,
    .hand_entry_i, .hand_landed_o, .hand_failed_o, .hand_code_o, .scan_entry_i, .scan_landed_o
  );
  pst_tx_buffer #(.LINE_COUNT(1 << LINE_WIDTH)) u_buffer (
    .clk_i,
    .land_valid_i(land_valid),
    .land_line_i(land_line),
    .land_data_i(pc_data_i),
    .land_lane_i(pc_lane_i),
    .land_count_i(pc_count_i),
    .copy_valid_i(copy_valid),
    .copy_held_i(copy_held),
    .copy_line_i(copy_line),
    .pio_data_i(pio_rd_data_i),
    .rd0_valid_i(tb_rd0_valid_i),
    .rd0_line_i(tb_rd0_line_i),
    .rd0_data_o(tb_rd0_data_o),
    .rd1_valid_i(tb_rd1_valid_i),
    .rd1_line_i(tb_rd1_line_i),
    .rd1_data_o(tb_rd1_data_o)
  );
  assign quiet_o = issue_quiet && !pc_valid_i && !tb_rd0_valid_i && !tb_rd1_valid_i;

endmodule
