// The slot of a key: see pst_rx_filter_pkg. Combinational.
module pst_rx_hash (
  input  logic                                      enable_i,  // 0: the slot means nothing, and costs a simulation nothing
  input  logic [pst_rx_filter_pkg::KEY_WIDTH-1:0]   key_i,
  output logic [pst_rx_filter_pkg::SLOT_WIDTH-1:0]  slot_o
);

  always_comb begin
    slot_o = '0;
    if (enable_i) begin
      for (int i = 0; i < pst_rx_filter_pkg::SLOT_WIDTH; i++) begin
        slot_o[i] = ^(key_i & pst_rx_filter_pkg::HASH_MASKS[pst_rx_filter_pkg::KEY_WIDTH*i +: pst_rx_filter_pkg::KEY_WIDTH]);
      end
    end
  end

endmodule
