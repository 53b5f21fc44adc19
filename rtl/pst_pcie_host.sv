// Accesses of the host: BAR2 to pst_doorbell, BAR4 to pst_msix, in the host's order; nothing passes a read that waits for its
// answer. Any other place has nothing behind it: a write there has no effect, a read gives 0, both count. BAR0 is the
// firmware's. Packet walk: where doorbell writes come in.
module pst_pcie_host (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

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
  input  logic [63:0]  bar_rd_data_i
);

  logic to_doorbell, to_msix, nowhere, taken, reads_q, reads_nothing_q;
  assign to_doorbell = mm_bar_i == 3'(pst_contract_pkg::PST_BAR_VI);
  assign to_msix = mm_bar_i == 3'(pst_contract_pkg::PST_BAR_MSIX) && {8'd0, mm_offset_i} < pst_contract_pkg::PST_BAR_MSIX_SIZE;
  assign nowhere = !to_doorbell && !to_msix;
  assign dbm_valid_o = mm_valid_i && to_doorbell && !reads_q;
  assign bar_valid_o = mm_valid_i && to_msix && !reads_q;
  assign mm_ready_o = !reads_q && (nowhere || (to_doorbell && dbm_ready_i) || (to_msix && bar_ready_i));
  assign taken = mm_valid_i && mm_ready_o;
  assign count_bad_access_o = taken && nowhere;

  assign dbm_write_o = mm_write_i;
  assign dbm_offset_o = mm_offset_i;
  assign dbm_bytes_o = mm_bytes_i;
  assign dbm_data_o = mm_data_i;
  assign bar_write_o = mm_write_i;
  assign bar_offset_o = mm_offset_i[15:0];
  assign bar_bytes_o = mm_bytes_i > 7'd8 ? 4'd0 : mm_bytes_i[3:0];  // 0: a width that pst_msix does not take either
  assign bar_data_o = mm_data_i[63:0];

  assign mm_rd_valid_o = reads_q && (reads_nothing_q || dbm_rd_valid_i || bar_rd_valid_i);
  always_comb begin
    mm_rd_data_o = 64'd0;
    if (dbm_rd_valid_i) mm_rd_data_o = dbm_rd_data_i;
    else if (bar_rd_valid_i) mm_rd_data_o = bar_rd_data_i;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      reads_q <= 1'b0;
      reads_nothing_q <= 1'b0;
    end else begin
      reads_q <= (taken && !mm_write_i) || (reads_q && !mm_rd_valid_o);
      reads_nothing_q <= taken && !mm_write_i && nowhere;
    end
  end
  assign quiet_o = !mm_valid_i && !reads_q;

endmodule
