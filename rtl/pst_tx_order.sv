// Packets that were taken, in their order: hands each to pst_tx_packet when its reads have landed, hears what becomes of it,
// and gives its place in the buffer back. What does not leave keeps its turn. Marks packets of VIs that have halted.
module pst_tx_order #(
  parameter int unsigned VI_COUNT = 64,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned ENTRY_COUNT = pst_tx_pkg::ENTRY_COUNT,
  localparam int unsigned ENTRY_WIDTH = pst_tx_pkg::ENTRY_WIDTH
) (
  input  logic                                clk_i,
  input  logic                                rst_ni,
  output logic                                quiet_o,

  input  logic                                take_valid_i,
  input  logic [VI_WIDTH-1:0]                 take_vi_i,
  input  logic [pst_tx_pkg::PACKET_WIDTH-1:0] take_packet_i,
  input  logic [pst_tx_pkg::LINE_WIDTH-1:0]   take_line_i,
  input  logic [10:0]                         take_lines_i,
  output logic [ENTRY_WIDTH-1:0]              tail_o,
  output logic                                entry_free_o,
  output logic [10:0]                         lines_free_o,
  input  logic [VI_COUNT-1:0]                 running_i,

  // Reads of hand_o's packet.
  input  logic [ENTRY_WIDTH-1:0]              issued_i,  // all before it have been asked for
  output logic [ENTRY_WIDTH-1:0]              hand_o,
  input  logic                                landed_i,
  input  logic                                failed_i,
  input  logic [15:0]                         code_i,

  // To pst_tx_packet and from it.
  output logic                                pk_valid_o,
  input  logic                                pk_ready_i,
  output logic [VI_WIDTH-1:0]                 pk_vi_o,
  output logic [15:0]                         pk_first_o,
  output logic                                pk_drop_o,
  output logic [3:0]                          pk_drop_reason_o,
  output logic [pst_tx_pkg::PACKET_WIDTH-1:0] pk_packet_o,
  input  logic                                verdict_valid_i,
  input  logic                                verdict_drop_i,
  input  logic [3:0]                          verdict_reason_i,
  input  logic                                pk_done_i,
  output logic                                drop_valid_o,  // with the verdict
  output logic [3:0]                          drop_reason_o,
  output logic [VI_WIDTH-1:0]                 verdict_vi_o,
  output logic                                verdict_dead_o,
  output logic [ENTRY_WIDTH-1:0]              verdict_o,     // which packet's comes next

  // A failed read halts the VI.
  output logic                                halt_valid_o,
  input  logic                                halt_ready_i,
  output logic [VI_WIDTH-1:0]                 halt_vi_o,
  output logic [15:0]                         halt_code_o,
  output logic [31:0]                         halt_index_o,

  // Packets of a VI that has ended: scan_mark_i marks scan_entry_i if it is the VI's.
  input  logic                                scan_mark_i,
  input  logic [ENTRY_WIDTH-1:0]              scan_entry_i,
  input  logic [VI_WIDTH-1:0]                 scan_vi_i,
  output logic                                scan_match_o,
  output logic                                scan_issued_o,
  // Completion: this is the next one; entries before it are free.
  input  logic [ENTRY_WIDTH-1:0]              complete_i,
  output logic                                complete_dead_o
);

  localparam int unsigned LINE_COUNT = 1 << pst_tx_pkg::LINE_WIDTH;
  localparam int unsigned HAND_WIDTH = VI_WIDTH + pst_tx_pkg::LINE_WIDTH + pst_tx_pkg::PACKET_WIDTH;

  // ---- Entries: [complete_i, tail_q) are used. Places: whole lines, given back in order.
  logic [ENTRY_WIDTH-1:0] tail_q, hand_q, verdict_q, done_q, used, undone;
  logic [10:0]            lines_used_q;
  logic [10:0]            lines_mem [ENTRY_COUNT];
  assign used = tail_q - complete_i;
  assign undone = tail_q - done_q;
  assign entry_free_o = used != ENTRY_WIDTH'(ENTRY_COUNT - 1) && undone != ENTRY_WIDTH'(ENTRY_COUNT - 1);
  assign lines_free_o = 11'(LINE_COUNT) - lines_used_q;
  assign tail_o = tail_q;
  assign hand_o = hand_q;
  assign verdict_o = verdict_q;

  logic [HAND_WIDTH-1:0] packet_mem [ENTRY_COUNT];
  logic [HAND_WIDTH-1:0] packet_q;
  logic [VI_WIDTH-1:0]   vi_mem [ENTRY_COUNT];
  logic [ENTRY_COUNT-1:0] dead_q;      // the packet's VI has ended or halted
  logic [ENTRY_COUNT-1:0] dropped_q;   // handed over with pk_drop_o
  logic [3:0]             reason_mem [ENTRY_COUNT];

  // ---- Handing over.
  typedef enum logic [1:0] {EMPTY, WAIT, HALT, OFFER} state_t;
  state_t               state_q;
  logic                 drop_q, lost_q;
  logic [3:0]           reason_q;
  logic [VI_WIDTH-1:0]  vi;
  pst_tx_pkg::packet_t  packet;
  logic [pst_tx_pkg::LINE_WIDTH-1:0] line;
  logic                 arrived, gone, handed;
  logic [ENTRY_WIDTH-1:0] hand_ahead;
  assign {vi, line, packet} = packet_q;
  assign hand_ahead = issued_i - hand_q;
  assign arrived = state_q == WAIT && hand_ahead != '0 && landed_i;
  assign gone = dead_q[hand_q] || !running_i[vi];
  assign handed = pk_valid_o && pk_ready_i;
  assign pk_valid_o = state_q == OFFER;
  assign pk_vi_o = vi;
  assign pk_first_o = {line, packet.parts.pio ? packet.parts.pio_offset[5:0] : 6'd0};
  assign pk_drop_o = drop_q;
  assign pk_drop_reason_o = reason_q;
  assign pk_packet_o = packet;
  assign halt_valid_o = state_q == HALT;
  assign halt_vi_o = vi;
  assign halt_code_o = code_i;
  assign halt_index_o = packet.parts.end_idx - 32'd1;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= EMPTY;
    end else begin
      case (state_q)
        EMPTY: if (hand_q != tail_q) state_q <= WAIT;
        WAIT: if (arrived) state_q <= failed_i && !gone ? HALT : OFFER;
        HALT: if (halt_ready_i) state_q <= OFFER;
        OFFER: if (pk_ready_i) state_q <= EMPTY;
        default: state_q <= EMPTY;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (arrived) begin
      drop_q <= gone || failed_i || packet.drop;
      lost_q <= gone || failed_i;
      reason_q <= gone ? pst_contract_pkg::PST_DROP_REASON_TX_VI_HALTED :
                  failed_i ? pst_contract_pkg::PST_DROP_REASON_TX_DMA_FAULT : packet.reason;
    end
    if (state_q == EMPTY) packet_q <= packet_mem[hand_q];
    if (handed) reason_mem[hand_q] <= reason_q;
    if (take_valid_i) begin
      packet_mem[tail_q] <= {take_vi_i, take_line_i, take_packet_i};
      vi_mem[tail_q] <= take_vi_i;
      lines_mem[tail_q] <= take_lines_i;
    end
  end

  // ---- Verdicts. What was handed over as dropped is counted with its own reason.
  assign verdict_vi_o = vi_mem[verdict_q];
  assign verdict_dead_o = dead_q[verdict_q];
  assign drop_valid_o = verdict_valid_i && (verdict_drop_i || dropped_q[verdict_q]);
  assign drop_reason_o = dropped_q[verdict_q] ? reason_mem[verdict_q] : verdict_reason_i;

  assign scan_match_o = vi_mem[scan_entry_i] == scan_vi_i;
  assign scan_issued_o = scan_entry_i - issued_i >= tail_q - issued_i;  // not among those to be asked for
  assign complete_dead_o = dead_q[complete_i];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      tail_q <= '0;
      hand_q <= '0;
      verdict_q <= '0;
      done_q <= '0;
      lines_used_q <= 11'd0;
      dead_q <= '0;
      dropped_q <= '0;
    end else begin
      if (scan_mark_i && scan_match_o) dead_q[scan_entry_i] <= 1'b1;
      if (take_valid_i) begin
        dead_q[tail_q] <= 1'b0;
        tail_q <= tail_q + 1'b1;
      end
      if (handed) begin
        hand_q <= hand_q + 1'b1;
        dropped_q[hand_q] <= drop_q;
        if (lost_q) dead_q[hand_q] <= 1'b1;
      end
      if (verdict_valid_i) verdict_q <= verdict_q + 1'b1;
      if (pk_done_i) done_q <= done_q + 1'b1;
      lines_used_q <= lines_used_q + (take_valid_i ? take_lines_i : 11'd0) - (pk_done_i ? lines_mem[done_q] : 11'd0);
    end
  end

  assign quiet_o = !take_valid_i && !verdict_valid_i && !pk_done_i && !scan_mark_i &&
                   (state_q == EMPTY ? hand_q == tail_q : state_q == WAIT ? !arrived :
                    state_q == OFFER ? !pk_ready_i : !halt_ready_i);

endmodule
