// Descriptor prefetch for the RX and TX rings of all VIs: doorbells and their checks (R2, R12), reads in batches, the cache
// from which the DMA blocks take descriptors, and pushed descriptors that need no read. Hides ring wrap, one read in flight
// per ring, and what is left of a ring's earlier life. Packet walk: between the doorbell and the payload.
module pst_desc_fetch #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,  // a power of two, at least 2
  parameter int unsigned CACHE_DEPTH = 64,                                     // per ring; a power of two
  parameter int unsigned TX_BATCH = 16,                                        // most descriptors per read, at most 128
  parameter int unsigned RX_BATCH = 32,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic idle_o,   // nothing to do: only the inputs can change anything. Reads may be in flight outside.
  output logic quiet_o,  // ... and no register changes while the inputs stay as they are

  // Commands, one per ring; their arguments have been checked. A ring that has stopped is named by stopped_ when its read in
  // flight has come (R10); it may be started before that.
  input  logic                cmd_valid_i,
  output logic                cmd_ready_o,
  input  logic                cmd_stop_i,
  input  logic                cmd_rx_i,
  input  logic [VI_WIDTH-1:0] cmd_vi_i,
  input  logic [63:0]         cmd_address_i,  // of the ring in the VI's domain
  input  logic [3:0]          cmd_entries_log2_i,
  output logic                stopped_valid_o,
  output logic                stopped_rx_o,
  output logic [VI_WIDTH-1:0] stopped_vi_o,

  // Doorbells in the order in which they were written. Push and PIO (TX only) bring their descriptor.
  input  logic                db_valid_i,
  output logic                db_ready_o,
  input  logic [1:0]          db_op_i,  // OP_DOORBELL, OP_PUSH, OP_PIO
  input  logic                db_rx_i,
  input  logic [VI_WIDTH-1:0] db_vi_i,
  input  logic [31:0]         db_producer_idx_i,
  input  logic [127:0]        db_desc_i,

  // Reads of ring memory. A read lies in one page; at most one per ring is in flight.
  output logic                rd_valid_o,
  input  logic                rd_ready_i,
  output logic                rd_rx_o,
  output logic [VI_WIDTH-1:0] rd_vi_o,
  output logic [63:0]         rd_address_o,  // in the VI's domain
  output logic [31:0]         rd_idx_o,      // ring index of the first descriptor
  output logic [7:0]          rd_count_o,    // descriptors of 16 bytes
  // Their responses: a descriptor a beat, a read's in its order, reads of different rings in any. A code other than OK ends
  // the read, whose remaining beats do not come.
  input  logic                rsp_valid_i,
  output logic                rsp_ready_o,
  input  logic                rsp_rx_i,
  input  logic [VI_WIDTH-1:0] rsp_vi_i,
  input  logic [127:0]        rsp_desc_i,
  input  logic [15:0]         rsp_code_i,

  // Who uses descriptors: [1] RX, [0] TX. The answer comes two cycles after the request was accepted. avail_ names a ring
  // into whose cache a descriptor has come.
  input  logic [1:0]          pop_valid_i,
  output logic [1:0]          pop_ready_o,
  input  logic [VI_WIDTH-1:0] pop_tx_vi_i,
  input  logic [VI_WIDTH-1:0] pop_rx_vi_i,
  output logic                answer_valid_o,
  output logic                answer_rx_o,
  output logic [VI_WIDTH-1:0] answer_vi_o,
  output logic                answer_found_o,  // otherwise the cache is empty, or the ring does not run
  output logic                answer_more_o,   // another one is behind it
  output logic                answer_posted_o, // not found, but some are posted; avail_ names the ring when one comes (at the earliest now)
  output logic                answer_pio_o,    // stands for a frame in the PIO page
  output logic [31:0]         answer_idx_o,
  output logic [127:0]        answer_desc_o,
  output logic                avail_valid_o,
  output logic                avail_rx_o,
  output logic [VI_WIDTH-1:0] avail_vi_o,
  // All descriptors before the index have been completed: their slots are software's. An index that was not popped is not heard.
  input  logic                done_valid_i,
  output logic                done_ready_o,
  input  logic                done_rx_i,
  input  logic [VI_WIDTH-1:0] done_vi_i,
  input  logic [31:0]         done_idx_i,

  // Errors that halt a VI: this ring has stopped by itself, who accepts one stops the VI's other ring. Acceptance must not
  // wait for this block.
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [3:0]          halt_source_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o,
  output logic                count_ignored_o,  // a doorbell of a ring that does not run
  output logic [VI_WIDTH-1:0] count_vi_o
);

  localparam int unsigned CONTEXT_WIDTH = pst_desc_fetch_pkg::CONTEXT_WIDTH;
  localparam int unsigned PAYLOAD_WIDTH = pst_desc_fetch_pkg::PAYLOAD_WIDTH;
  localparam int unsigned RING_COUNT = 2 * VI_COUNT;  // a ring is {VI, is RX}
  localparam int unsigned RING_WIDTH = VI_WIDTH + 1;
  localparam int unsigned SLOT_WIDTH = $clog2(CACHE_DEPTH);
  localparam int unsigned SCAN_WIDTH = RING_COUNT < 32 ? RING_COUNT : 32;

  // ---- Which operation starts: a command first, then the rest in turn.
  logic                     clearing_q;  // after reset each context is emptied
  logic [RING_WIDTH-1:0]    clear_ring_q;
  logic                     s1_valid_q;
  logic [3:0]               s1_op_q;
  logic [RING_WIDTH-1:0]    s1_ring_q;
  logic [PAYLOAD_WIDTH-1:0] s1_payload_q;
  logic                     s0_valid;
  logic [3:0]               s0_op;
  logic [RING_WIDTH-1:0]    s0_ring;
  logic [PAYLOAD_WIDTH-1:0] s0_payload;

  logic                  scan_valid;
  logic [RING_WIDTH-1:0] scan_ring;
  logic                  rd_room, halt_room, take_cmd;
  logic [5:0]            ask, ask_first, grant, behind_q;  // behind_q: those behind who came last
  assign cmd_ready_o = !clearing_q;
  assign take_cmd = cmd_ready_o && cmd_valid_i;
  assign ask = {6{!clearing_q && !cmd_valid_i}} &
               {scan_valid && rd_room, pop_valid_i, done_valid_i, db_valid_i && halt_room, rsp_valid_i && halt_room};
  assign ask_first = (ask & behind_q) != 6'd0 ? ask & behind_q : ask;
  assign grant = ask_first & (~ask_first + 6'd1);
  assign rsp_ready_o = grant[0];
  assign db_ready_o = grant[1];
  assign done_ready_o = grant[2];
  assign pop_ready_o = grant[4:3];

  always_comb begin
    s0_valid = take_cmd || grant != 6'd0;
    s0_op = pst_desc_fetch_pkg::OP_FETCH;
    s0_ring = scan_ring;
    s0_payload = {32'd0, rsp_desc_i};
    if (take_cmd) begin
      s0_op = cmd_stop_i ? pst_desc_fetch_pkg::OP_STOP : pst_desc_fetch_pkg::OP_START;
      s0_ring = {cmd_vi_i, cmd_rx_i};
      s0_payload = {92'd0, cmd_entries_log2_i, cmd_address_i};
    end else if (grant[0]) begin
      s0_op = pst_desc_fetch_pkg::OP_RESPONSE;
      s0_ring = {rsp_vi_i, rsp_rx_i};
      s0_payload[143:128] = rsp_code_i;
    end else if (grant[1]) begin
      s0_op = {2'd0, db_op_i};
      s0_ring = {db_vi_i, db_rx_i};
      s0_payload = {db_producer_idx_i, db_desc_i};
    end else if (grant[2]) begin
      s0_op = pst_desc_fetch_pkg::OP_DONE;
      s0_ring = {done_vi_i, done_rx_i};
      s0_payload[159:128] = done_idx_i;
    end else if (grant[4:3] != 2'd0) begin
      s0_op = pst_desc_fetch_pkg::OP_POP;
      s0_ring = grant[4] ? {pop_rx_vi_i, 1'b1} : {pop_tx_vi_i, 1'b0};
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s1_valid_q <= 1'b0;
      behind_q <= 6'd0;
    end else begin
      s1_valid_q <= s0_valid;
      if (grant != 6'd0) behind_q <= ~(grant | (grant - 6'd1));
    end
  end
  always_ff @(posedge clk_i) begin
    if (s0_valid) begin
      s1_op_q <= s0_op;
      s1_ring_q <= s0_ring;
      s1_payload_q <= s0_payload;
    end
  end

  // ---- Context memory: one read and one write port. A read in the cycle of a write to the same place gives the old
  // contents, hence the forwarding.
  logic [CONTEXT_WIDTH-1:0] context_mem [RING_COUNT];
  logic [CONTEXT_WIDTH-1:0] context_rdata_q, forward_q, context_now, context_next;
  logic                     forward_valid_q;
  assign context_now = forward_valid_q ? forward_q : context_rdata_q;
  always_ff @(posedge clk_i) begin
    if (s0_valid) context_rdata_q <= context_mem[s0_ring];
    if (clearing_q || s1_valid_q) begin
      context_mem[clearing_q ? clear_ring_q : s1_ring_q] <= clearing_q ? {CONTEXT_WIDTH{1'b0}} : context_next;
    end
    if (s1_valid_q) forward_q <= context_next;
    forward_valid_q <= s0_valid && s1_valid_q && s0_ring == s1_ring_q;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_q <= 1'b1;
      clear_ring_q <= '0;
    end else if (clearing_q) begin
      clear_ring_q <= clear_ring_q + 1'b1;
      clearing_q <= clear_ring_q != RING_WIDTH'(RING_COUNT - 1);
    end
  end

  // ---- The operation itself.
  logic        step_read, step_store, step_found, step_more, step_posted, step_halt, step_stopped, step_ignored, step_visit;
  logic [63:0] step_address;
  logic [7:0]  step_count;
  logic [31:0] step_store_idx, step_index;
  logic [3:0]  step_source;
  logic [15:0] step_code;
  pst_desc_fetch_step #(.CACHE_DEPTH(CACHE_DEPTH), .TX_BATCH(TX_BATCH), .RX_BATCH(RX_BATCH)) u_step (
    .op_i(s1_op_q),
    .rx_i(s1_ring_q[0]),
    .payload_i(s1_payload_q),
    .context_i(context_now),
    .context_o(context_next),
    .read_o(step_read),
    .read_address_o(step_address),
    .read_count_o(step_count),
    .store_o(step_store),
    .store_idx_o(step_store_idx),
    .found_o(step_found),
    .more_o(step_more),
    .posted_o(step_posted),
    .halt_o(step_halt),
    .halt_source_o(step_source),
    .halt_code_o(step_code),
    .halt_index_o(step_index),
    .stopped_o(step_stopped),
    .ignored_o(step_ignored),
    .visit_o(step_visit)
  );
  pst_desc_fetch_pkg::context_t present;
  assign present = context_now;

  // ---- Rings that the scan visits. Whatever may make a read possible sets the bit; a look clears it.
  logic [RING_COUNT-1:0] attention_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) attention_q <= '0;
    else if (s1_valid_q) attention_q[s1_ring_q] <= step_visit;
  end
  pst_event_queue_scan #(.VI_COUNT(RING_COUNT), .SCAN_WIDTH(SCAN_WIDTH), .WORD_COUNT(RING_COUNT / SCAN_WIDTH),
                         .BIT_WIDTH($clog2(SCAN_WIDTH))) u_scan (
    .clk_i, .rst_ni,
    .attention_i(attention_q),
    .valid_o(scan_valid),
    .vi_o(scan_ring),
    .taken_i(grant[5])
  );

  // ---- Cache: written and read one stage behind the context, so a pop finds what the operation before it stored.
  logic [128:0] cache_mem [RING_COUNT * CACHE_DEPTH];
  always_ff @(posedge clk_i) begin
    if (s1_valid_q && step_store) begin
      cache_mem[{s1_ring_q, step_store_idx[SLOT_WIDTH-1:0]}] <= {s1_op_q == pst_desc_fetch_pkg::OP_PIO, s1_payload_q[127:0]};
    end
    if (s1_valid_q && step_found) {answer_pio_o, answer_desc_o} <= cache_mem[{s1_ring_q, present.head_idx[SLOT_WIDTH-1:0]}];
    if (s1_valid_q) begin
      answer_idx_o <= present.head_idx;
      answer_found_o <= step_found;
      answer_more_o <= step_found && step_more;
      answer_posted_o <= step_posted;
      {answer_vi_o, answer_rx_o} <= s1_ring_q;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) answer_valid_o <= 1'b0;
    else answer_valid_o <= s1_valid_q && s1_op_q == pst_desc_fetch_pkg::OP_POP;
  end

  // ---- What leaves: reads and halts, two places each. An operation that may need one starts only if it is free even if
  // the one before it takes another; reads that are not accepted hold up no response.
  localparam int unsigned READ_WIDTH = RING_WIDTH + 64 + 32 + 8;
  localparam int unsigned HALT_WIDTH = VI_WIDTH + 4 + 16 + 32;
  logic [READ_WIDTH-1:0] rd_first_q, rd_second_q, rd_new;
  logic [HALT_WIDTH-1:0] halt_first_q, halt_second_q, halt_new;
  logic [1:0]            rd_count_q, halt_count_q;
  logic                  rd_push, rd_pop, halt_push, halt_pop;
  assign rd_room = rd_count_q == 2'd0 || (rd_count_q == 2'd1 && !s1_valid_q);
  assign halt_room = halt_count_q == 2'd0 || (halt_count_q == 2'd1 && !s1_valid_q);
  assign rd_push = s1_valid_q && step_read;
  assign rd_pop = rd_valid_o && rd_ready_i;
  assign halt_push = s1_valid_q && step_halt;
  assign halt_pop = halt_valid_o && halt_ready_i;
  assign rd_new = {s1_ring_q, step_address, present.fetch_idx, step_count};
  assign halt_new = {s1_ring_q[RING_WIDTH-1:1], step_source, step_code, step_index};
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rd_count_q <= 2'd0;
      halt_count_q <= 2'd0;
    end else begin
      rd_count_q <= rd_count_q + 2'(rd_push) - 2'(rd_pop);
      halt_count_q <= halt_count_q + 2'(halt_push) - 2'(halt_pop);
    end
  end
  always_ff @(posedge clk_i) begin
    if (rd_pop) rd_first_q <= rd_second_q;
    if (rd_push && rd_count_q == {1'b0, rd_pop}) rd_first_q <= rd_new;
    else if (rd_push) rd_second_q <= rd_new;
    if (halt_pop) halt_first_q <= halt_second_q;
    if (halt_push && halt_count_q == {1'b0, halt_pop}) halt_first_q <= halt_new;
    else if (halt_push) halt_second_q <= halt_new;
  end
  assign rd_valid_o = rd_count_q != 2'd0;
  assign {rd_vi_o, rd_rx_o, rd_address_o, rd_idx_o, rd_count_o} = rd_first_q;
  assign halt_valid_o = halt_count_q != 2'd0;
  assign {halt_vi_o, halt_source_o, halt_code_o, halt_index_o} = halt_first_q;

  assign stopped_valid_o = s1_valid_q && step_stopped;
  assign {stopped_vi_o, stopped_rx_o} = s1_ring_q;
  assign avail_valid_o = s1_valid_q && step_store;
  assign {avail_vi_o, avail_rx_o} = s1_ring_q;
  assign count_ignored_o = s1_valid_q && step_ignored;
  assign count_vi_o = s1_ring_q[RING_WIDTH-1:1];
  assign idle_o = !clearing_q && !s1_valid_q && !answer_valid_o && attention_q == '0 && !rd_valid_o && !halt_valid_o;
  assign quiet_o = idle_o && !cmd_valid_i && !db_valid_i && !rsp_valid_i && pop_valid_i == 2'b00 && !done_valid_i;

`ifdef PST_FORMAL_STEPS
  `include "pst_desc_fetch_properties.svh"
`endif

endmodule
