// The end of a VI in the transmit engine: takes what its descriptor cache still holds, marks its packets on their way, and
// has what it has completed reported. STOP ends when no read of the VI is in flight (R10); HALT does not wait for reads.
module pst_tx_life #(
  parameter int unsigned VI_COUNT = 64,
  parameter int unsigned CACHE_DEPTH = 64,  // of pst_desc_fetch
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned ENTRY_WIDTH = pst_tx_pkg::ENTRY_WIDTH
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  output logic                   quiet_o,

  input  logic                   life_valid_i,
  input  logic                   life_op_i,
  input  logic [VI_WIDTH-1:0]    life_vi_i,
  output logic                   life_done_o,
  output logic [VI_WIDTH-1:0]    vi_o,

  // Whether a packet of the VI is being gathered or taken: it will be let go of soon.
  input  logic                   held_i,
  output logic                   hold_o,  // nobody else may pop
  input  logic                   popping_i,
  output logic                   pop_valid_o,
  input  logic                   pop_ready_i,
  input  logic                   answer_valid_i,
  input  logic                   answer_found_i,
  input  logic                   answer_last_i,  // ends a packet
  output logic                   loss_valid_o,   // TX_VI_HALTED
  input  logic                   loss_ready_i,

  output logic                   scan_mark_o,
  output logic [ENTRY_WIDTH-1:0] scan_entry_o,
  input  logic                   scan_match_i,
  input  logic                   scan_landed_i,
  output logic                   flush_valid_o,
  output logic                   flush_report_o,
  input  logic                   flush_done_i
);

  typedef enum logic [3:0] {IDLE, RELEASE, HOLD, POP, ANSWER, LOSS, SCAN, FLUSH, DONE} state_t;
  state_t                 state_q;
  logic                   stop_q;
  logic [VI_WIDTH-1:0]    vi_q;
  logic [6:0]             pop_count_q;
  logic [ENTRY_WIDTH-1:0] entry_q;
  logic                   scan_next;
  assign vi_o = vi_q;
  assign hold_o = state_q == HOLD || state_q == POP || state_q == ANSWER || state_q == LOSS;
  assign pop_valid_o = state_q == POP;
  assign loss_valid_o = state_q == LOSS;
  assign scan_mark_o = state_q == SCAN;
  assign scan_entry_o = entry_q;
  assign scan_next = state_q == SCAN && (!stop_q || !scan_match_i || scan_landed_i);
  assign flush_valid_o = state_q == FLUSH;
  assign flush_report_o = !stop_q;
  assign life_done_o = state_q == DONE;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= IDLE;
    end else begin
      case (state_q)
        IDLE: if (life_valid_i) state_q <= RELEASE;
        RELEASE: if (!held_i) state_q <= HOLD;
        HOLD: if (!popping_i) state_q <= POP;
        POP: if (pop_ready_i) state_q <= ANSWER;
        ANSWER: begin
          if (answer_valid_i) begin
            if (!answer_found_i) state_q <= SCAN;
            else if (answer_last_i) state_q <= LOSS;
            else state_q <= pop_count_q == 7'(CACHE_DEPTH) ? SCAN : POP;
          end
        end
        LOSS: if (loss_ready_i) state_q <= pop_count_q == 7'(CACHE_DEPTH) ? SCAN : POP;
        SCAN: if (scan_next && &entry_q) state_q <= FLUSH;
        FLUSH: if (flush_done_i) state_q <= DONE;
        DONE: state_q <= IDLE;
        default: state_q <= IDLE;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (state_q == IDLE && life_valid_i) begin
      stop_q <= life_op_i == pst_admin_pkg::LIFE_STOP;
      vi_q <= life_vi_i;
      pop_count_q <= 7'd0;
      entry_q <= '0;
    end
    if (state_q == POP && pop_ready_i) pop_count_q <= pop_count_q + 7'd1;
    if (scan_next) entry_q <= entry_q + 1'b1;
  end

  assign quiet_o = state_q == IDLE ? !life_valid_i : state_q == SCAN && !scan_next;

endmodule
