// The NIC's side of the PCIe hard block: requests and completions, one beat of 64 bytes a cycle. The hard block splits them
// into packets of the link's sizes and keeps the link's order. Inside: writes and their order (R3), reads and their tags,
// accesses of the host; here: whose turn it is to look up an address, and the fence. Packet walk: every step to or from the host.
module pst_pcie_link #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,
  parameter int unsigned VECTOR_COUNT = pst_contract_pkg::PST_LIMIT_MSIX_VECTOR_COUNT,
  localparam int unsigned VECTOR_WIDTH = $clog2(VECTOR_COUNT),
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,  // reads may be in flight outside

  // CFG_FENCE: done when every write accepted before is out and every read accepted before has been answered.
  input  logic       cfg_valid_i,
  input  logic [7:0] cfg_op_i,
  output logic       cfg_done_o,

  // Hard block: writes.
  output logic         dw_valid_o,
  input  logic         dw_ready_i,
  output logic         dw_first_o,
  output logic         dw_last_o,
  output logic [1:0]   dw_kind_o,  // 0 payload, 1 event, 2 MSI-X
  output logic [15:0]  dw_vi_o,    // ffff: of none
  output logic [63:0]  dw_address_o,
  output logic [16:0]  dw_bytes_o,
  output logic [511:0] dw_data_o,
  output logic [5:0]   dw_lane_o,
  output logic [6:0]   dw_count_o,
  output logic [31:0]  dw_id_o,    // frame, event index, vector
  // Reads and their completions, which are always taken.
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
  input  logic [15:0]  dc_code_i,  // not OK: the read is over
  // Accesses of the host.
  input  logic         mm_valid_i,
  output logic         mm_ready_o,
  input  logic         mm_write_i,
  input  logic [2:0]   mm_bar_i,
  input  logic [23:0]  mm_offset_i,
  input  logic [6:0]   mm_bytes_i,
  input  logic [511:0] mm_data_i,
  output logic         mm_rd_valid_o,
  output logic [63:0]  mm_rd_data_o,
  output logic         count_bad_access_o,

  // pst_doorbell and pst_msix.
  output logic         dbm_valid_o,
  input  logic         dbm_ready_i,
  output logic         dbm_write_o,
  output logic [23:0]  dbm_offset_o,
  output logic [6:0]   dbm_bytes_o,
  output logic [511:0] dbm_data_o,
  input  logic         dbm_rd_valid_i,
  input  logic [63:0]  dbm_rd_data_i,
  output logic         bar_valid_o,
  input  logic         bar_ready_i,
  output logic         bar_write_o,
  output logic [15:0]  bar_offset_o,
  output logic [3:0]   bar_bytes_o,
  output logic [63:0]  bar_data_o,
  input  logic         bar_rd_valid_i,
  input  logic [63:0]  bar_rd_data_i,
  input  logic                    msg_valid_i,
  output logic                    msg_ready_o,
  input  logic [VECTOR_WIDTH-1:0] msg_vector_i,
  input  logic [63:0]             msg_address_i,
  input  logic [31:0]             msg_data_i,

  // pst_event_queue. An event whose address is not mapped is lost.
  input  logic                wr_valid_i,
  output logic                wr_ready_o,
  input  logic [VI_WIDTH-1:0] wr_vi_i,
  input  logic [63:0]         wr_address_i,
  input  logic [31:0]         wr_idx_i,
  input  logic [127:0]        wr_data_i,
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [3:0]          halt_source_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o,
  output logic                count_event_lost_o,
  output logic [VI_WIDTH-1:0] count_vi_o,

  // pst_rx_dma.
  input  logic                pw_valid_i,
  output logic                pw_ready_o,
  input  logic                pw_first_i,
  input  logic                pw_last_i,
  input  logic [VI_WIDTH-1:0] pw_vi_i,
  input  logic [63:0]         pw_address_i,
  input  logic [16:0]         pw_bytes_i,
  input  logic [511:0]        pw_data_i,
  input  logic [5:0]          pw_lane_i,
  input  logic [6:0]          pw_count_i,
  input  logic [15:0]         pw_id_i,

  // pst_tx_dma.
  input  logic                pr_valid_i,
  output logic                pr_ready_o,
  input  logic [6:0]          pr_tag_i,
  input  logic [VI_WIDTH-1:0] pr_vi_i,
  input  logic [63:0]         pr_address_i,
  input  logic [16:0]         pr_bytes_i,
  input  logic [5:0]          pr_lane_i,
  output logic                pc_valid_o,
  output logic [6:0]          pc_tag_o,
  output logic [511:0]        pc_data_o,
  output logic [5:0]          pc_lane_o,
  output logic [6:0]          pc_count_o,
  output logic                pc_last_o,
  output logic [15:0]         pc_code_o,

  // pst_desc_fetch.
  input  logic                rd_valid_i,
  output logic                rd_ready_o,
  input  logic                rd_rx_i,
  input  logic [VI_WIDTH-1:0] rd_vi_i,
  input  logic [63:0]         rd_address_i,
  input  logic [7:0]          rd_count_i,
  output logic                rsp_valid_o,
  input  logic                rsp_ready_i,
  output logic                rsp_rx_o,
  output logic [VI_WIDTH-1:0] rsp_vi_o,
  output logic [127:0]        rsp_desc_o,
  output logic [15:0]         rsp_code_o,

  // pst_translation.
  output logic                xl_valid_o,
  input  logic                xl_ready_i,
  output logic [VI_WIDTH-1:0] xl_vi_o,
  output logic [63:0]         xl_address_o,
  output logic [16:0]         xl_bytes_o,
  output logic                xl_write_o,
  input  logic                xl_answer_valid_i,
  input  logic                xl_ok_i,
  input  logic [63:0]         xl_host_i,
  input  logic [16:0]         xl_run_i
);

  // ---- Lookups: one outstanding; events first, whose rate the rest of the NIC bounds.
  logic                event_xl_valid, event_xl_answer, fetch_xl_valid, fetch_xl_answer;
  logic [VI_WIDTH-1:0] event_xl_vi, fetch_xl_vi;
  logic [63:0]         event_xl_address, fetch_xl_address;
  logic [16:0]         fetch_xl_bytes;
  logic                xl_busy_q, xl_held_q, xl_of_event_q, xl_of_event, xl_taken;
  assign xl_of_event = xl_held_q ? xl_of_event_q : event_xl_valid;
  assign xl_valid_o = (event_xl_valid || fetch_xl_valid) && !xl_busy_q;
  assign xl_write_o = xl_of_event;
  assign xl_vi_o = xl_of_event ? event_xl_vi : fetch_xl_vi;
  assign xl_address_o = xl_of_event ? event_xl_address : fetch_xl_address;
  assign xl_bytes_o = xl_of_event ? 17'd16 : fetch_xl_bytes;
  assign xl_taken = xl_valid_o && xl_ready_i;
  assign event_xl_answer = xl_answer_valid_i && xl_of_event_q;
  assign fetch_xl_answer = xl_answer_valid_i && !xl_of_event_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      xl_busy_q <= 1'b0;
      xl_held_q <= 1'b0;
      xl_of_event_q <= 1'b0;
    end else begin
      xl_busy_q <= xl_taken || (xl_busy_q && !xl_answer_valid_i);
      xl_held_q <= xl_valid_o && !xl_ready_i;
      if (xl_valid_o) xl_of_event_q <= xl_of_event;
    end
  end

  // ---- Fence.
  logic fence, fence_q, writes_over, reads_over;
  assign fence = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_FENCE;
  assign cfg_done_o = fence_q && writes_over && reads_over;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) fence_q <= 1'b0;
    else fence_q <= fence || (fence_q && !cfg_done_o);
  end

  logic writes_quiet, reads_quiet, host_quiet;
  pst_pcie_writes #(.VI_COUNT(VI_COUNT), .VECTOR_COUNT(VECTOR_COUNT)) u_writes (
    .clk_i, .rst_ni,
    .quiet_o(writes_quiet), .fence_i(fence), .fence_over_o(writes_over),
    .pw_valid_i, .pw_ready_o, .pw_first_i, .pw_last_i, .pw_vi_i, .pw_address_i, .pw_bytes_i, .pw_data_i, .pw_lane_i, .pw_count_i,
    .pw_id_i,
    .wr_valid_i, .wr_ready_o, .wr_vi_i, .wr_address_i, .wr_idx_i, .wr_data_i,
    .msg_valid_i, .msg_ready_o, .msg_vector_i, .msg_address_i, .msg_data_i,
    .xl_valid_o(event_xl_valid), .xl_ready_i(xl_taken && xl_of_event), .xl_vi_o(event_xl_vi), .xl_address_o(event_xl_address),
    .xl_answer_valid_i(event_xl_answer), .xl_ok_i, .xl_host_i,
    .halt_valid_o, .halt_ready_i, .halt_vi_o, .halt_index_o, .count_event_lost_o, .count_vi_o,
    .dw_valid_o, .dw_ready_i, .dw_first_o, .dw_last_o, .dw_kind_o, .dw_vi_o, .dw_address_o, .dw_bytes_o, .dw_data_o, .dw_lane_o,
    .dw_count_o, .dw_id_o
  );
  assign halt_source_o = pst_contract_pkg::PST_ERROR_SOURCE_EVQ;
  assign halt_code_o = pst_contract_pkg::PST_ERROR_CODE_DMA_FAULT;

  pst_pcie_reads #(.VI_COUNT(VI_COUNT)) u_reads (
    .clk_i, .rst_ni,
    .quiet_o(reads_quiet), .fence_i(fence), .fence_over_o(reads_over),
    .rd_valid_i, .rd_ready_o, .rd_rx_i, .rd_vi_i, .rd_address_i, .rd_count_i,
    .rsp_valid_o, .rsp_ready_i, .rsp_rx_o, .rsp_vi_o, .rsp_desc_o, .rsp_code_o,
    .pr_valid_i, .pr_ready_o, .pr_tag_i, .pr_vi_i, .pr_address_i, .pr_bytes_i, .pr_lane_i, .pc_valid_o,
    .xl_valid_o(fetch_xl_valid), .xl_ready_i(xl_taken && !xl_of_event), .xl_vi_o(fetch_xl_vi), .xl_address_o(fetch_xl_address),
    .xl_bytes_o(fetch_xl_bytes), .xl_answer_valid_i(fetch_xl_answer), .xl_ok_i, .xl_host_i, .xl_run_i,
    .dr_valid_o, .dr_ready_i, .dr_tag_o, .dr_vi_o, .dr_address_o, .dr_bytes_o, .dr_lane_o,
    .dc_valid_i, .dc_tag_i, .dc_data_i, .dc_lane_i, .dc_count_i, .dc_last_i, .dc_code_i
  );
  assign dc_ready_o = 1'b1;
  assign pc_tag_o = dc_tag_i[6:0];
  assign pc_data_o = dc_data_i;
  assign pc_lane_o = dc_lane_i;
  assign pc_count_o = dc_count_i;
  assign pc_last_o = dc_last_i;
  assign pc_code_o = dc_code_i;

  pst_pcie_host u_host (
    .clk_i, .rst_ni, .quiet_o(host_quiet),
    .mm_valid_i, .mm_ready_o, .mm_write_i, .mm_bar_i, .mm_offset_i, .mm_bytes_i, .mm_data_i, .mm_rd_valid_o, .mm_rd_data_o,
    .count_bad_access_o,
    .dbm_valid_o, .dbm_ready_i, .dbm_write_o, .dbm_offset_o, .dbm_bytes_o, .dbm_data_o, .dbm_rd_valid_i, .dbm_rd_data_i,
    .bar_valid_o, .bar_ready_i, .bar_write_o, .bar_offset_o, .bar_bytes_o, .bar_data_o, .bar_rd_valid_i, .bar_rd_data_i
  );

  // A fence that waits for answers from outside changes nothing until they come.
  assign quiet_o = writes_quiet && reads_quiet && host_quiet && !cfg_valid_i && !cfg_done_o;

endmodule
