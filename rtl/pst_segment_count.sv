// How many segments a payload falls into: a division, rounded up, of which each cycle does one bit.
module pst_segment_count (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        start_i,
  input  logic [15:0] payload_bytes_i,
  input  logic [15:0] mss_bytes_i,  // not 0; stays until busy_o falls
  output logic        busy_o,
  output logic [15:0] count_o  // at least 1; valid while not busy
);

  // The quotient of payload - 1 rounded down, plus one. remainder_q stays below mss.
  logic [15:0] remainder_q, quotient_q;
  logic [3:0]  left_q;
  logic [16:0] shifted;
  logic        fits;
  assign shifted = {remainder_q, quotient_q[15]};
  assign fits = shifted >= {1'b0, mss_bytes_i};
  assign count_o = quotient_q + 16'd1;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) busy_o <= 1'b0;
    else if (start_i) busy_o <= 1'b1;
    else if (left_q == 4'd0) busy_o <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      remainder_q <= 16'd0;
      quotient_q <= payload_bytes_i == 16'd0 ? 16'd0 : payload_bytes_i - 16'd1;
      left_q <= 4'd15;
    end else if (busy_o) begin
      remainder_q <= fits ? 16'(shifted - {1'b0, mss_bytes_i}) : shifted[15:0];
      quotient_q <= {quotient_q[14:0], fits};
      left_q <= left_q - 4'd1;
    end
  end

endmodule
