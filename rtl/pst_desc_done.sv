// Completion reports of pst_rx_dma and pst_tx_dma on their way to pst_desc_fetch, which takes one a cycle. In turn when both
// have one.
module pst_desc_done #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  output logic                quiet_o,
  input  logic                rx_valid_i,
  output logic                rx_ready_o,
  input  logic [VI_WIDTH-1:0] rx_vi_i,
  input  logic [31:0]         rx_idx_i,
  input  logic                tx_valid_i,
  output logic                tx_ready_o,
  input  logic [VI_WIDTH-1:0] tx_vi_i,
  input  logic [31:0]         tx_idx_i,
  output logic                done_valid_o,
  input  logic                done_ready_i,
  output logic                done_rx_o,
  output logic [VI_WIDTH-1:0] done_vi_o,
  output logic [31:0]         done_idx_o
);

  logic rx_turn_q;  // who goes first
  assign quiet_o = !done_valid_o;
  assign done_valid_o = rx_valid_i || tx_valid_i;
  assign done_rx_o = rx_valid_i && (rx_turn_q || !tx_valid_i);
  assign done_vi_o = done_rx_o ? rx_vi_i : tx_vi_i;
  assign done_idx_o = done_rx_o ? rx_idx_i : tx_idx_i;
  assign rx_ready_o = done_ready_i && done_rx_o;
  assign tx_ready_o = done_ready_i && tx_valid_i && !done_rx_o;
  // Whoever is offered keeps the turn until it has been taken.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) rx_turn_q <= 1'b0;
    else if (done_valid_o) rx_turn_q <= done_ready_i ? !done_rx_o : done_rx_o;
  end

endmodule
