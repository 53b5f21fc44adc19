// What rtl_counted_test counts: a branch whose condition its own assignment changes, a register, and a corner case. Stands around
// no block.
module pst_counted (
  input  logic       clk_i,
  input  logic [7:0] a_i,
  input  logic [7:0] b_i,
  output logic [7:0] least_o,
  output logic [7:0] sum_o
);

  always_comb begin
    least_o = a_i;
    if (b_i < least_o) least_o = b_i;
  end
  always_ff @(posedge clk_i) begin
    if (least_o == 8'd7) sum_o <= 8'd0;
    else sum_o <= sum_o + least_o;
  end
  both_are_zero: cover property (@(posedge clk_i) a_i == 8'd0 && b_i == 8'd0);

endmodule
