// Who may ask pst_event_queue next: requests pass in the cycle in which they are offered, in rounds that begin with the
// lowest number, so each requester waits for at most one request of every other. Routes the answers back.
module pst_event_request #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,
  localparam int unsigned REQUESTER_COUNT = 4,  // pst_vi_table, pst_rx_dma, pst_tx_dma, pst_timer
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  // The answer comes a cycle after the acceptance.
  input  logic [REQUESTER_COUNT-1:0]          ev_valid_i,
  output logic [REQUESTER_COUNT-1:0]          ev_ready_o,
  input  logic [REQUESTER_COUNT*2-1:0]        ev_op_i,
  input  logic [REQUESTER_COUNT*VI_WIDTH-1:0] ev_vi_i,
  input  logic [REQUESTER_COUNT*128-1:0]      ev_data_i,
  output logic [REQUESTER_COUNT-1:0]          answer_valid_o,
  output logic [2:0]                          answer_o,

  // pst_event_queue.
  output logic                ev_valid_o,
  input  logic                ev_ready_i,
  output logic [1:0]          ev_op_o,
  output logic [VI_WIDTH-1:0] ev_vi_o,
  output logic [127:0]        ev_data_o,
  input  logic                answer_valid_i,
  input  logic [2:0]          answer_i
);

  // What has been offered is offered until it is taken, whoever comes meanwhile.
  logic [REQUESTER_COUNT-1:0] held_q, behind_q, asked_q, ask_first, grant;
  assign ask_first = (ev_valid_i & behind_q) != '0 ? ev_valid_i & behind_q : ev_valid_i;
  assign grant = held_q != '0 ? held_q : ask_first & (~ask_first + 1'b1);
  assign ev_valid_o = grant != '0;
  assign ev_ready_o = {REQUESTER_COUNT{ev_ready_i}} & grant;
  always_comb begin
    {ev_op_o, ev_vi_o, ev_data_o} = {ev_op_i[1:0], ev_vi_i[VI_WIDTH-1:0], ev_data_i[127:0]};
    for (int k = 1; k < REQUESTER_COUNT; k++) begin
      if (grant[k]) {ev_op_o, ev_vi_o, ev_data_o} = {ev_op_i[k*2+:2], ev_vi_i[k*VI_WIDTH+:VI_WIDTH], ev_data_i[k*128+:128]};
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      held_q <= '0;
      behind_q <= '0;
      asked_q <= '0;
    end else if (ev_valid_o) begin
      held_q <= ev_ready_i ? '0 : grant;
      if (ev_ready_i) begin
        behind_q <= ~(grant | (grant - 1'b1));
        asked_q <= grant;
      end
    end
  end

  assign answer_valid_o = {REQUESTER_COUNT{answer_valid_i}} & asked_q;
  assign answer_o = answer_i;
  assign quiet_o = ev_valid_i == '0;

endmodule
