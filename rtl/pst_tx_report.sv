// What pst_tx_dma's parts tell outside: dropped packets and errors that halt a VI, one at a time; and for the scheduler the
// bytes that a packet turned out to have besides. Verdicts do not wait; what else waits for its turn is [0] a packet whose
// frame was lost, and packets that are dropped before they were taken: [1] by the reader, [2] in a turn, [3] with their VI.
module pst_tx_report #(
  parameter int unsigned VI_COUNT = 64,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned ENTRY_WIDTH = pst_tx_pkg::ENTRY_WIDTH
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  output logic                quiet_o,

  input  logic                verdict_valid_i,
  input  logic                verdict_drop_i,
  input  logic [3:0]          verdict_reason_i,
  input  logic [VI_WIDTH-1:0] verdict_vi_i,
  input  logic                verdict_dead_i,
  input  logic [23:0]         verdict_extra_bytes_i,
  input  logic                take_valid_i,
  input  logic [VI_WIDTH-1:0] take_vi_i,
  input  logic [3:0]          loss_valid_i,
  output logic [3:0]          loss_ready_o,
  input  logic [VI_WIDTH-1:0] lost_vi_i,
  input  logic [VI_WIDTH-1:0] reader_vi_i,
  input  logic [3:0]          reader_reason_i,
  input  logic [VI_WIDTH-1:0] turn_vi_i,
  input  logic [VI_WIDTH-1:0] life_vi_i,

  output logic                extra_valid_o,
  input  logic                extra_taken_i,
  output logic [VI_WIDTH-1:0] extra_vi_o,
  output logic [23:0]         extra_bytes_o,

  output logic                drop_valid_o,
  output logic [3:0]          drop_reason_o,
  output logic [VI_WIDTH-1:0] drop_vi_o,
  output logic                count_packet_o,
  output logic [VI_WIDTH-1:0] count_packet_vi_o,
  output logic                count_sent_o,
  output logic [VI_WIDTH-1:0] count_sent_vi_o,

  // Errors: [0] a read has failed, [1] a miss, [2] a bad descriptor.
  input  logic [2:0]          error_valid_i,
  output logic [2:0]          error_ready_o,
  input  logic [VI_WIDTH-1:0] read_vi_i,
  input  logic [15:0]         read_code_i,
  input  logic [31:0]         read_index_i,
  input  logic [31:0]         reader_index_i,
  input  logic [31:0]         turn_index_i,
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [3:0]          halt_source_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o
);

  // ---- Drops. A packet that is dropped before it was taken is counted as taken with its drop.
  logic       early;
  logic [3:0] ask;
  assign ask = loss_valid_i & {4{!verdict_drop_i}} & {{3{!take_valid_i}}, 1'b1};
  assign loss_ready_o = ask & (~ask + 4'd1);
  assign early = loss_ready_o[3:1] != 3'd0;
  assign drop_valid_o = verdict_drop_i || loss_ready_o != 4'd0;
  always_comb begin
    drop_vi_o = verdict_vi_i;
    drop_reason_o = verdict_reason_i;
    case (loss_ready_o)
      4'b0001: {drop_vi_o, drop_reason_o} = {lost_vi_i, pst_contract_pkg::PST_DROP_REASON_TX_LINK_DOWN};
      4'b0010: {drop_vi_o, drop_reason_o} = {reader_vi_i, reader_reason_i};
      4'b0100: {drop_vi_o, drop_reason_o} = {turn_vi_i, pst_contract_pkg::PST_DROP_REASON_TX_VI_HALTED};
      4'b1000: {drop_vi_o, drop_reason_o} = {life_vi_i, pst_contract_pkg::PST_DROP_REASON_TX_VI_HALTED};
      default: ;
    endcase
  end
  assign count_packet_o = take_valid_i || early;
  assign count_packet_vi_o = take_valid_i ? take_vi_i : drop_vi_o;
  assign count_sent_o = verdict_valid_i && !verdict_drop_i;
  assign count_sent_vi_o = verdict_vi_i;

  // ---- Errors. The choice stays while it is not accepted.
  logic [2:0] first, choice, held_q;
  assign first = error_valid_i & (~error_valid_i + 3'd1);
  assign choice = held_q != 3'd0 ? held_q & error_valid_i : first;
  assign error_ready_o = choice & {3{halt_ready_i}};
  assign halt_valid_o = choice != 3'd0;
  assign halt_source_o = pst_contract_pkg::PST_ERROR_SOURCE_TX;
  always_comb begin
    halt_vi_o = read_vi_i;
    halt_code_o = read_code_i;
    halt_index_o = read_index_i;
    if (choice[1]) begin
      halt_vi_o = reader_vi_i;
      halt_code_o = pst_contract_pkg::PST_ERROR_CODE_DMA_FAULT;
      halt_index_o = reader_index_i;
    end else if (choice[2]) begin
      halt_vi_o = turn_vi_i;
      halt_code_o = pst_contract_pkg::PST_ERROR_CODE_BAD_DESCRIPTOR;
      halt_index_o = turn_index_i;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) held_q <= 3'd0;
    else if (halt_valid_o || held_q != 3'd0) held_q <= halt_ready_i ? 3'd0 : choice;
  end

  // ---- Bytes to be charged: at most one entry per packet on its way.
  logic [VI_WIDTH+23:0] extra_mem [pst_tx_pkg::ENTRY_COUNT];
  logic [ENTRY_WIDTH:0] extra_wr_q, extra_rd_q;
  logic                 extra;
  assign extra = verdict_valid_i && !verdict_dead_i && verdict_extra_bytes_i != 24'd0;
  assign extra_valid_o = extra_wr_q != extra_rd_q;
  assign {extra_vi_o, extra_bytes_o} = extra_mem[extra_rd_q[ENTRY_WIDTH-1:0]];
  always_ff @(posedge clk_i) begin
    if (extra) extra_mem[extra_wr_q[ENTRY_WIDTH-1:0]] <= {verdict_vi_i, verdict_extra_bytes_i};
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      extra_wr_q <= '0;
      extra_rd_q <= '0;
    end else begin
      if (extra) extra_wr_q <= extra_wr_q + 1'b1;
      if (extra_taken_i) extra_rd_q <= extra_rd_q + 1'b1;
    end
  end

  assign quiet_o = !verdict_valid_i && !extra_valid_o && loss_valid_i == 4'd0 &&
                   (halt_valid_o ? !halt_ready_i && held_q == choice : held_q == 3'd0);

endmodule
