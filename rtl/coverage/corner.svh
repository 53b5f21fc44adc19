// A corner case: it is met in each cycle in which the condition holds out of reset.
`ifndef PST_CORNER
`define PST_CORNER(name, condition) name: cover property (@(posedge clk_i) rst_ni && (condition));
`endif
