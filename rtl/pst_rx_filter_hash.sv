// Where the probes of a filter's key begin. Combinational.
module pst_rx_filter_hash (
  input  logic                                           enable_i,  // else the slot is 0
  input  logic [pst_rx_filter_pkg::KEY_WIDTH-1:0]        key_i,
  output logic [pst_rx_filter_pkg::SLOT_INDEX_WIDTH-1:0] slot_o
);

  always_comb begin
    slot_o = '0;
    if (enable_i) begin
      for (int b = 0; b < pst_rx_filter_pkg::SLOT_INDEX_WIDTH; b++) begin
        slot_o[b] = ^(key_i & pst_rx_filter_pkg::HASH_ROWS[pst_rx_filter_pkg::KEY_WIDTH*b +: pst_rx_filter_pkg::KEY_WIDTH]);
      end
    end
  end

endmodule
