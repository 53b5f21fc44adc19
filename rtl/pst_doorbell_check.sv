// What one access to a VI's window means: is it one, what does the register hold afterwards, and whom does it concern. Combinational;
// pst_doorbell keeps the registers. Rules R1 and R2, and the accesses of the contract's VI page.
module pst_doorbell_check (
  input  logic [12:0] offset_i,  // in the window
  input  logic [6:0]  bytes_i,
  input  logic [63:0] data_i,
  input  logic [63:0] before_i,  // what the register holds

  output logic        bad_o,    // a write that reaches nothing
  output logic        pio_o,    // the PIO page
  output logic [63:0] after_o,
  output logic        rings_o,  // the write has its effect now; otherwise it is half of one, or repeats the last
  output logic [3:0]  register_o,
  output logic [63:0] read_o    // what a read of the register gives
);

  localparam logic [3:0] REG_PRIME = pst_contract_pkg::PST_VI_EVQ_PRIME_OFFSET[6:3];
  localparam logic [3:0] REG_TIMER = pst_contract_pkg::PST_VI_TIMER_OFFSET[6:3];
  localparam logic [3:0] REG_PIO = pst_contract_pkg::PST_VI_PIO_DOORBELL_OFFSET[6:3];
  localparam logic [3:0] REG_PUSH_LO = pst_contract_pkg::PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET[6:3];
  localparam logic [3:0] REG_PUSH_HI = pst_contract_pkg::PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET[6:3];

  logic four, eight, known, wide, high, reachable;
  assign register_o = offset_i[6:3];
  assign pio_o = offset_i[12];
  assign four = bytes_i == 7'd4;
  assign eight = bytes_i == 7'd8;
  assign high = offset_i[2];
  always_comb begin
    known = offset_i[12:7] == 6'd0;
    wide = 1'b0;
    case (register_o)
      pst_contract_pkg::PST_VI_RX_DOORBELL_OFFSET[6:3], pst_contract_pkg::PST_VI_TX_DOORBELL_OFFSET[6:3],
      pst_contract_pkg::PST_VI_EVQ_CONSUMER_OFFSET[6:3], pst_contract_pkg::PST_VI_TX_PUSH_DOORBELL_OFFSET[6:3]: ;
      REG_PRIME, REG_TIMER, REG_PIO, REG_PUSH_LO, REG_PUSH_HI: wide = 1'b1;
      default: known = 1'b0;
    endcase
  end
  assign reachable = (four || eight) && offset_i[1:0] == 2'd0 && known && !(eight && high);
  always_comb begin
    if (pio_o) bad_o = bytes_i == 7'd0 || {2'd0, offset_i[5:0]} + {1'b0, bytes_i} > 8'd64;
    else bad_o = !reachable || (high && !wide);
  end

  // A 4-byte access reaches half of a 64-bit register, which acts when its high half is written; an 8-byte access to a
  // 32-bit register takes its low half.
  always_comb begin
    after_o = {before_i[63:32], data_i[31:0]};
    rings_o = 1'b0;
    if (!wide) begin
      after_o = {32'd0, data_i[31:0]};
      rings_o = after_o != before_i;
    end else if (eight) begin
      after_o = data_i;
      rings_o = after_o != before_i;
    end else if (high) begin
      after_o = {data_i[31:0], before_i[31:0]};
      rings_o = 1'b1;
    end
  end
  always_comb begin
    read_o = before_i;
    if (!reachable) read_o = 64'd0;
    else if (high) read_o = {32'd0, before_i[63:32]};
    else if (four) read_o = {32'd0, before_i[31:0]};
  end

endmodule
