// The PIO pages of all VIs, in lines of 64 bytes. A page that has been cleared reads as 0: a bit per line says whether it has been
// written since. One read port, which the transmit path has at any time and the doorbell block in cycles in which that does not read.
module pst_pio_page #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned LINE_COUNT = pst_contract_pkg::PST_LIMIT_PIO_BYTES / 64,
  localparam int unsigned LINE_WIDTH = $clog2(LINE_COUNT)
) (
  input  logic                  clk_i,

  input  logic                  clear_valid_i,  // the page reads as 0 from now on; not together with a write
  input  logic [VI_WIDTH-1:0]   clear_vi_i,

  input  logic                  read_valid_i,
  input  logic [VI_WIDTH-1:0]   read_vi_i,
  input  logic [LINE_WIDTH-1:0] read_line_i,
  output logic [511:0]          line_o,  // a cycle later, until the next read

  // Into the line that was read in the cycle before.
  input  logic                  write_valid_i,
  input  logic [5:0]            write_lane_i,   // first byte
  input  logic [6:0]            write_bytes_i,  // lane + bytes is at most 64
  input  logic [511:0]          write_data_i    // from bit 0 on
);

  logic [511:0]          page_mem [VI_COUNT * LINE_COUNT];
  logic [LINE_COUNT-1:0] written_mem [VI_COUNT];
  logic [511:0]          page_q;
  logic [LINE_COUNT-1:0] written_q;
  logic [VI_WIDTH-1:0]   vi_q;
  logic [LINE_WIDTH-1:0] line_q;
  assign line_o = written_q[line_q] ? page_q : '0;

  function automatic logic [511:0] merged(input logic [511:0] old, input logic [511:0] data, input logic [5:0] lane,
                                          input logic [6:0] bytes);
    logic [511:0] mask;
    mask = ((512'd1 << {bytes, 3'd0}) - 512'd1) << {lane, 3'd0};
    merged = (old & ~mask) | ((data << {lane, 3'd0}) & mask);
  endfunction

  always_ff @(posedge clk_i) begin
    if (read_valid_i) begin
      page_q <= page_mem[{read_vi_i, read_line_i}];
      written_q <= written_mem[read_vi_i];
      vi_q <= read_vi_i;
      line_q <= read_line_i;
    end
    if (write_valid_i) page_mem[{vi_q, line_q}] <= merged(line_o, write_data_i, write_lane_i, write_bytes_i);
    if (clear_valid_i || write_valid_i) begin
      written_mem[clear_valid_i ? clear_vi_i : vi_q] <=
          clear_valid_i ? {LINE_COUNT{1'b0}} : written_q | ({{(LINE_COUNT - 1){1'b0}}, 1'b1} << line_q);
    end
  end

endmodule
