// Round robin over the VIs that want attention: each cycle offers the next one in the present word of SCAN_WIDTH VIs, or
// moves to the next word. A VI waits at most for every other one and for WORD_COUNT cycles.
module pst_event_queue_scan #(
  parameter int unsigned VI_COUNT = 1024,
  parameter int unsigned SCAN_WIDTH = 32,
  parameter int unsigned WORD_COUNT = 32,
  parameter int unsigned BIT_WIDTH = 5,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [VI_COUNT-1:0] attention_i,
  output logic                valid_o,
  output logic [VI_WIDTH-1:0] vi_o,
  input  logic                taken_i
);

  logic [VI_WIDTH-1:0]   first_vi_q;  // of the present word
  logic [SCAN_WIDTH-1:0] left_q;      // VIs of it that have not had their turn
  logic [SCAN_WIDTH-1:0] wanted;
  logic [BIT_WIDTH-1:0]  lowest;
  assign wanted = attention_i[first_vi_q +: SCAN_WIDTH] & left_q;
  assign valid_o = wanted != '0;
  always_comb begin
    lowest = '0;
    for (int i = SCAN_WIDTH - 1; i >= 0; i--) begin
      if (wanted[i]) lowest = BIT_WIDTH'(i);
    end
  end
  if (WORD_COUNT == 1) begin : g_one_word
    assign vi_o = lowest;
  end else begin : g_words
    assign vi_o = {first_vi_q[VI_WIDTH-1:BIT_WIDTH], lowest};
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      first_vi_q <= '0;
      left_q <= '1;
    end else if (taken_i) begin
      left_q <= left_q & ({SCAN_WIDTH{1'b1}} << lowest) & ~({{(SCAN_WIDTH - 1){1'b0}}, 1'b1} << lowest);
    end else if (!valid_o && attention_i != '0) begin
      left_q <= '1;
      if (WORD_COUNT != 1) first_vi_q <= first_vi_q + VI_WIDTH'(SCAN_WIDTH);
    end
  end

endmodule
