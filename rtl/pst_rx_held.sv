// Descriptors that pst_rx_engine has popped and no frame has used: of each VI as many as a frame may take, each in the slot of
// its ring index. What makes one malformed is judged when it comes.
module pst_rx_held #(
  parameter int unsigned VI_COUNT = 1024,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                                  clk_i,
  input  logic [VI_WIDTH-1:0]                   vi_i,
  input  logic                                  write_i,
  input  logic [4:0]                            write_slot_i,
  input  logic [127:0]                          write_desc_i,
  output logic [pst_rx_dma_pkg::HELD_WIDTH-1:0] held_o,  // what is written
  input  logic                                  read_i,
  input  logic [4:0]                            read_slot_i,
  output logic [pst_rx_dma_pkg::HELD_WIDTH-1:0] read_o  // in the next cycle, and stays
);

  logic [pst_rx_dma_pkg::HELD_WIDTH-1:0] held_mem [VI_COUNT * 32];
  logic [15:0]                           bytes;
  logic                                  bad;
  assign bytes = write_desc_i[pst_contract_pkg::PST_RX_DESC_LENGTH_BYTES_LSB +: 16];
  assign bad = bytes == 16'd0 || write_desc_i[pst_contract_pkg::PST_RX_DESC_FLAGS_LSB +: 16] != 16'd0 ||
               write_desc_i[pst_contract_pkg::PST_RX_DESC_RESERVED_LSB +: 32] != 32'd0;
  assign held_o = {bad, bytes, write_desc_i[pst_contract_pkg::PST_RX_DESC_ADDRESS_LSB +: 64]};
  always_ff @(posedge clk_i) begin
    if (write_i) held_mem[{vi_i, write_slot_i}] <= held_o;
    if (read_i) read_o <= held_mem[{vi_i, read_slot_i}];
  end

endmodule
