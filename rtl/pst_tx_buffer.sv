// The packet buffer: lines of 64 bytes with a write enable per byte. A write that fills its line is one word, others go
// byte by byte.
module pst_tx_buffer #(
  parameter int unsigned LINE_COUNT = 1024,
  localparam int unsigned LINE_WIDTH = $clog2(LINE_COUNT)
) (
  input  logic                  clk_i,
  input  logic                  wr_valid_i,
  input  logic [LINE_WIDTH-1:0] wr_line_i,
  input  logic [511:0]          wr_data_i,
  input  logic [5:0]            wr_lane_i,   // first byte that is written
  input  logic [6:0]            wr_count_i,  // bytes; they end within the line
  // Two readers; data come a cycle later and stay.
  input  logic                  rd0_valid_i,
  input  logic [LINE_WIDTH-1:0] rd0_line_i,
  output logic [511:0]          rd0_data_o,
  input  logic                  rd1_valid_i,
  input  logic [LINE_WIDTH-1:0] rd1_line_i,
  output logic [511:0]          rd1_data_o
);

  logic [511:0] line_mem [LINE_COUNT];
  logic         whole;
  logic [63:0]  enable;
  logic [511:0] merged;
  assign whole = wr_count_i == 7'd64;
  assign enable = wr_valid_i && !whole ? (64'd1 << wr_count_i[5:0]) - 64'd1 << wr_lane_i : 64'd0;
  always_comb begin
    merged = wr_data_i;
    if (wr_valid_i && !whole) begin
      for (int i = 0; i < 64; i++) merged[8*i +: 8] = enable[i] ? wr_data_i[8*i +: 8] : line_mem[wr_line_i][8*i +: 8];
    end
  end
  always_ff @(posedge clk_i) begin
    if (wr_valid_i) line_mem[wr_line_i] <= merged;
    if (rd0_valid_i) rd0_data_o <= line_mem[rd0_line_i];
    if (rd1_valid_i) rd1_data_o <= line_mem[rd1_line_i];
  end

endmodule
