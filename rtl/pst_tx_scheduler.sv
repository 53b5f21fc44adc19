// Whose turn it is to send: the VIs that may have descriptors, in turn, and those that wait for their rate limit. Hides the
// search for the next one and for the end of waits. The turns themselves (quantum, charges) are pst_tx_turn's.
module pst_tx_scheduler #(
  parameter int unsigned VI_COUNT = 64,  // a power of two, at least 2
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [63:0]         time_ns_i,
  output logic                quiet_o,
  output logic [63:0]         due_ns_o,

  // The VI has something to look at: descriptors have come, or its turn ended with more to send.
  input  logic                avail_valid_i,
  input  logic [VI_WIDTH-1:0] avail_vi_i,
  input  logic                again_valid_i,
  input  logic [VI_WIDTH-1:0] again_vi_i,
  // All of the VI that had come has been looked at.
  input  logic                seen_valid_i,
  input  logic [VI_WIDTH-1:0] seen_vi_i,
  // The VI's rate limit lets it go on at a time.
  input  logic                wait_valid_i,
  input  logic [VI_WIDTH-1:0] wait_vi_i,
  input  logic [63:0]         wait_ns_i,
  // A life of the VI ends or begins: nothing of it waits.
  input  logic                clear_valid_i,
  input  logic [VI_WIDTH-1:0] clear_vi_i,

  output logic                next_valid_o,
  output logic [VI_WIDTH-1:0] next_vi_o,
  input  logic                next_taken_i
);

  localparam int unsigned SCAN_WIDTH = VI_COUNT < 32 ? VI_COUNT : 32;
  localparam int unsigned BIT_WIDTH = $clog2(SCAN_WIDTH);

  logic [VI_COUNT-1:0] ready_q, waiting_q;
  logic                over_valid;  // a wait is over
  logic [VI_WIDTH-1:0] over_vi;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ready_q <= '0;
      waiting_q <= '0;
    end else begin
      if (next_taken_i) ready_q[next_vi_o] <= 1'b0;
      if (avail_valid_i && !waiting_q[avail_vi_i]) ready_q[avail_vi_i] <= 1'b1;
      if (again_valid_i) ready_q[again_vi_i] <= 1'b1;
      if (over_valid) begin
        ready_q[over_vi] <= 1'b1;
        waiting_q[over_vi] <= 1'b0;
      end
      if (seen_valid_i) ready_q[seen_vi_i] <= 1'b0;
      if (wait_valid_i) waiting_q[wait_vi_i] <= 1'b1;
      if (clear_valid_i) begin
        ready_q[clear_vi_i] <= 1'b0;
        waiting_q[clear_vi_i] <= 1'b0;
      end
    end
  end
  pst_event_queue_scan #(.VI_COUNT(VI_COUNT), .SCAN_WIDTH(SCAN_WIDTH), .WORD_COUNT(VI_COUNT / SCAN_WIDTH),
                         .BIT_WIDTH(BIT_WIDTH)) u_scan (
    .clk_i, .rst_ni,
    .attention_i(ready_q),
    .valid_o(next_valid_o),
    .vi_o(next_vi_o),
    .taken_i(next_taken_i)
  );

  // ---- Waits. At due_q a pass over those that wait finds whose wait is over and when the next one is; a wait that comes
  // meanwhile counts too.
  localparam logic [63:0] NEVER = '1;
  logic [63:0]           wait_mem [VI_COUNT];
  logic                  passing_q;
  logic [VI_WIDTH-1:0]   pass_vi_q;  // the pass has come up to here
  logic [63:0]           due_q;      // first of the waits that the pass has left behind, if there is one
  logic [63:0]           due_now;
  logic [SCAN_WIDTH-1:0] word, wanted;
  logic [BIT_WIDTH-1:0]  lowest;
  logic [VI_WIDTH-1:0]   found_vi;
  logic [63:0]           found_ns;
  logic                  found, last_word, starts;
  if (VI_COUNT == SCAN_WIDTH) begin : g_one_word
    assign word = waiting_q;
    assign found_vi = lowest;
    assign last_word = 1'b1;
  end else begin : g_words
    assign word = waiting_q[{pass_vi_q[VI_WIDTH-1:BIT_WIDTH], {BIT_WIDTH{1'b0}}} +: SCAN_WIDTH];
    assign found_vi = {pass_vi_q[VI_WIDTH-1:BIT_WIDTH], lowest};
    assign last_word = &pass_vi_q[VI_WIDTH-1:BIT_WIDTH];
  end
  assign wanted = word & ({SCAN_WIDTH{1'b1}} << pass_vi_q[BIT_WIDTH-1:0]);
  assign found = wanted != '0;
  always_comb begin
    lowest = '0;
    if (passing_q) begin
      for (int i = SCAN_WIDTH - 1; i >= 0; i--) begin
        if (wanted[i]) lowest = BIT_WIDTH'(i);
      end
    end
  end
  assign found_ns = wait_mem[found_vi];
  assign over_valid = passing_q && found && found_ns <= time_ns_i;
  assign over_vi = found_vi;
  assign starts = !passing_q && time_ns_i >= due_q;
  always_comb begin
    due_now = starts ? NEVER : due_q;
    if (passing_q && found && !over_valid && found_ns < due_now) due_now = found_ns;
    if (wait_valid_i && wait_ns_i < due_now) due_now = wait_ns_i;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      passing_q <= 1'b0;
      pass_vi_q <= '0;
      due_q <= NEVER;
    end else begin
      due_q <= due_now;
      if (starts) begin
        passing_q <= 1'b1;
        pass_vi_q <= '0;
      end else if (passing_q && found && !(&lowest)) begin
        pass_vi_q <= found_vi + 1'b1;
      end else if (passing_q && last_word) begin
        passing_q <= 1'b0;
      end else if (passing_q) begin
        pass_vi_q <= (pass_vi_q | VI_WIDTH'(SCAN_WIDTH - 1)) + 1'b1;
      end
    end
  end
  always_ff @(posedge clk_i) if (wait_valid_i) wait_mem[wait_vi_i] <= wait_ns_i;

  assign quiet_o = (ready_q == '0 || (next_valid_o && !next_taken_i)) && !passing_q && !avail_valid_i && !again_valid_i &&
                   !wait_valid_i && !seen_valid_i && !clear_valid_i;
  assign due_ns_o = due_q;

endmodule
