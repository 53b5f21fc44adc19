// Nanoseconds that a byte takes at a VI's rate limit, rounded down to 2^-24 ns: a division, a bit a cycle. Part of
// pst_tx_turn, which needs it once in a VI's life.
module pst_tx_rate (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  logic                              start_i,
  input  logic [31:0]                       rate_mbps_i,  // not 0; must stay until done
  output logic                              done_o,       // one cycle
  output logic [pst_tx_pkg::RATE_WIDTH-1:0] ns_per_byte_o
);

  localparam int unsigned WIDTH = pst_tx_pkg::RATE_WIDTH;
  localparam logic [WIDTH-1:0] DIVIDEND = WIDTH'(8000) << 24;  // 8 bits a byte, 1,000 ns a microsecond

  logic [5:0]       left_q;
  logic [WIDTH-1:0] quotient_q;  // the rest of the dividend above, the quotient's bits so far below
  logic [31:0]      rest_q;
  logic [32:0]      trial;
  logic             fits;
  assign trial = {rest_q, quotient_q[WIDTH-1]};
  assign fits = trial >= {1'b0, rate_mbps_i};
  assign ns_per_byte_o = quotient_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      left_q <= 6'd0;
      done_o <= 1'b0;
    end else begin
      done_o <= left_q == 6'd1;
      if (start_i) left_q <= 6'(WIDTH);
      else if (left_q != 6'd0) left_q <= left_q - 6'd1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      quotient_q <= DIVIDEND;
      rest_q <= 32'd0;
    end else if (left_q != 6'd0) begin
      quotient_q <= {quotient_q[WIDTH-2:0], fits};
      rest_q <= fits ? 32'(trial - {1'b0, rate_mbps_i}) : trial[31:0];
    end
  end

endmodule
