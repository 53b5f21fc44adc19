// The packet buffer: lines of 64 bytes with a write enable per byte. A completion's bytes go before a line of the PIO page, which
// is held meanwhile.
module pst_tx_buffer #(
  parameter int unsigned LINE_COUNT = 1024,
  localparam int unsigned LINE_WIDTH = $clog2(LINE_COUNT)
) (
  input  logic                  clk_i,
  input  logic                  land_valid_i,
  input  logic [LINE_WIDTH-1:0] land_line_i,
  input  logic [511:0]          land_data_i,
  input  logic [5:0]            land_lane_i,   // first byte that is written
  input  logic [6:0]            land_count_i,  // bytes; they end within the line
  // A whole line, taken unless a completion comes. copy_held_i: it was not taken and is not on pio_data_i any more.
  input  logic                  copy_valid_i,
  input  logic                  copy_held_i,
  input  logic [LINE_WIDTH-1:0] copy_line_i,
  input  logic [511:0]          pio_data_i,
  // Two readers; data come a cycle later and stay.
  input  logic                  rd0_valid_i,
  input  logic [LINE_WIDTH-1:0] rd0_line_i,
  output logic [511:0]          rd0_data_o,
  input  logic                  rd1_valid_i,
  input  logic [LINE_WIDTH-1:0] rd1_line_i,
  output logic [511:0]          rd1_data_o
);

  // A function and not a signal: a simulator computes it only for a line that is written in part.
  function automatic logic [511:0] merged(input logic [511:0] old, input logic [511:0] data, input logic [63:0] enable);
    for (int i = 0; i < 64; i++) merged[8*i +: 8] = enable[i] ? data[8*i +: 8] : old[8*i +: 8];
  endfunction

  logic [511:0]          line_mem [LINE_COUNT];
  logic [511:0]          held_q;
  logic [LINE_WIDTH-1:0] line;
  logic [63:0]           enable;
  assign line = land_valid_i ? land_line_i : copy_line_i;
  assign enable = (64'd1 << land_count_i[5:0]) - 64'd1 << land_lane_i;
  always_ff @(posedge clk_i) begin
    if (land_valid_i || copy_valid_i) begin
      line_mem[line] <= !land_valid_i ? (copy_held_i ? held_q : pio_data_i) :
                        land_count_i[6] ? land_data_i : merged(line_mem[line], land_data_i, enable);
    end
    if (copy_valid_i && !copy_held_i && land_valid_i) held_q <= pio_data_i;
    if (rd0_valid_i) rd0_data_o <= line_mem[rd0_line_i];
    if (rd1_valid_i) rd1_data_o <= line_mem[rd1_line_i];
  end

endmodule
