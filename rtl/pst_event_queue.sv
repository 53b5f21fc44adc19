// The event queues of all VIs: slots, phase, space and its policies (R4, R5), primes, moderation and wakeups (R6, R7).
// Hides the context memory, whose read-modify-write takes two cycles and accepts an operation per cycle: the operation
// behind one on the same VI gets its result forwarded. What an operation causes leaves in order through one queue, so an
// event is written before its wakeup (R3). Packet walk: where the device tells the host.
module pst_event_queue #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,  // a power of two, at least 2
  parameter int unsigned OUT_DEPTH = 8,                                        // a power of two, at least 4
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [63:0] time_ns_i,  // device clock
  output logic        idle_o,     // nothing in flight, planned or owed: only the inputs can change anything
  output logic        quiet_o,    // no register changes while the inputs stay as they are and time_ns_i is below due_ns_o
  output logic [63:0] due_ns_o,   // not later than the first wakeup that is planned; all ones: none
  // Commands. They are the admin queue's; their arguments have been checked. cmd_done_o follows in order, when all that the
  // queue had to say before the command has been accepted by the outputs below (R10).
  input  logic                                         cmd_valid_i,
  output logic                                         cmd_ready_o,
  input  logic [3:0]                                   cmd_op_i,  // OP_START ... OP_MODERATE
  input  logic [VI_WIDTH-1:0]                          cmd_vi_i,
  input  logic [pst_event_queue_pkg::CONFIG_WIDTH-1:0] cmd_config_i,
  output logic                                         cmd_done_o,
  // Event requests. The answer comes one cycle after the request was accepted; after ANSWER_STALL the requester keeps the
  // event, lets others pass, and asks again when space_valid_o names the VI.
  input  logic                ev_valid_i,
  output logic                ev_ready_o,
  input  logic [1:0]          ev_op_i,  // OP_POST ... OP_RELEASE
  input  logic [VI_WIDTH-1:0] ev_vi_i,
  input  logic [127:0]        ev_data_i,
  output logic                answer_valid_o,
  output logic [VI_WIDTH-1:0] answer_vi_o,
  output logic [2:0]          answer_o,
  output logic                space_valid_o,
  output logic [VI_WIDTH-1:0] space_vi_o,
  // EVQ_CONSUMER and EVQ_PRIME doorbells, in the order in which they were written. Repeated writes (R2) do no harm here.
  input  logic                db_valid_i,
  output logic                db_ready_o,
  input  logic                db_prime_i,
  input  logic [VI_WIDTH-1:0] db_vi_i,
  input  logic [31:0]         db_consumer_idx_i,
  input  logic [15:0]         db_sequence_i,

  // Event writes. Who accepts one gives it its place among the posted writes before it accepts the wakeup behind it (R3).
  output logic                wr_valid_o,
  input  logic                wr_ready_i,
  output logic [VI_WIDTH-1:0] wr_vi_o,
  output logic [63:0]         wr_address_o,  // in the VI's domain
  output logic [31:0]         wr_idx_o,
  output logic [127:0]        wr_data_o,
  // Wakeups by MSI-X.
  output logic                wake_valid_o,
  input  logic                wake_ready_i,
  output logic [VI_WIDTH-1:0] wake_vi_o,
  output logic [15:0]         wake_vector_o,
  // Errors that halt a VI. Who accepts one sends OP_HALT and then posts the error event; acceptance must not wait for them.
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [3:0]          halt_source_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o,

  // For counters: one pulse per occurrence, with the VI.
  output logic [VI_WIDTH-1:0] count_vi_o,
  output logic                count_event_o,
  output logic                count_marked_o,  // it carries the overflow mark
  output logic                count_dropped_o,
  output logic                count_stalled_o,
  output logic                count_prime_o,
  output logic                count_wake_o,    // the owner is woken, by message or event
  output logic                count_lost_o,    // a wakeup had no target
  output logic                count_ignored_o  // a doorbell of a VI that does not run
);

  localparam int unsigned CONTEXT_WIDTH = pst_event_queue_pkg::CONTEXT_WIDTH;
  localparam int unsigned CONFIG_WIDTH = pst_event_queue_pkg::CONFIG_WIDTH;
  localparam int unsigned SCAN_WIDTH = VI_COUNT < 32 ? VI_COUNT : 32;  // VIs that the scan looks at in a cycle
  localparam int unsigned WORD_COUNT = VI_COUNT / SCAN_WIDTH;
  localparam int unsigned BIT_WIDTH = $clog2(SCAN_WIDTH);

  // ---- Which operation starts: a wakeup event for another VI first, then a command, then the rest in turn.
  logic                clearing_q;  // after reset each context is made free
  logic [VI_WIDTH-1:0] clear_vi_q;
  logic                s1_valid_q;
  logic [3:0]          s1_op_q;
  logic [VI_WIDTH-1:0] s1_vi_q;
  logic [CONFIG_WIDTH-1:0] s1_payload_q;

  logic                deliver_q;  // a wakeup event is to be posted: for whom, from whom, is it the first attempt
  logic [VI_WIDTH-1:0] deliver_vi_q;
  logic [VI_WIDTH-1:0] deliver_from_q;
  logic                deliver_first_q;

  logic                scan_valid;
  logic [VI_WIDTH-1:0] scan_vi;

  logic       can_start, rest_start, out_room;
  logic       take_ev, take_db, take_scan, take_cmd, take_deliver;
  logic [1:0] turn_q;  // who comes first among events, doorbells, scan
  // A scan may order a wakeup event: nothing comes between.
  assign can_start = !clearing_q && out_room && !(s1_valid_q && s1_op_q == pst_event_queue_pkg::OP_SCAN);
  assign take_deliver = can_start && deliver_q;
  assign cmd_ready_o = can_start && !deliver_q;
  assign take_cmd = cmd_ready_o && cmd_valid_i;
  assign rest_start = can_start && !deliver_q && !cmd_valid_i;
  always_comb begin
    ev_ready_o = rest_start;
    db_ready_o = rest_start;
    take_scan = rest_start && scan_valid;
    case (turn_q)
      2'd0: begin
        db_ready_o = rest_start && !ev_valid_i;
        take_scan = rest_start && scan_valid && !ev_valid_i && !db_valid_i;
      end
      2'd1: begin
        ev_ready_o = rest_start && !db_valid_i && !scan_valid;
        take_scan = rest_start && scan_valid && !db_valid_i;
      end
      default: begin
        ev_ready_o = rest_start && !scan_valid;
        db_ready_o = rest_start && !scan_valid && !ev_valid_i;
      end
    endcase
  end
  assign take_ev = ev_ready_o && ev_valid_i;
  assign take_db = db_ready_o && db_valid_i;

  logic                    s0_valid;
  logic [3:0]              s0_op;
  logic [VI_WIDTH-1:0]     s0_vi;
  logic [CONFIG_WIDTH-1:0] s0_payload;
  logic [127:0]            deliver_event;
  always_comb begin
    deliver_event = '0;
    deliver_event[pst_contract_pkg::PST_WAKEUP_EVENT_TYPE_LSB +: pst_contract_pkg::PST_WAKEUP_EVENT_TYPE_WIDTH] =
        pst_contract_pkg::PST_EVENT_TYPE_WAKEUP;
    deliver_event[pst_contract_pkg::PST_WAKEUP_EVENT_VI_ID_LSB +: pst_contract_pkg::PST_WAKEUP_EVENT_VI_ID_WIDTH] =
        16'(deliver_from_q);
  end
  always_comb begin
    s0_valid = take_deliver || take_cmd || take_ev || take_db || take_scan;
    s0_op = pst_event_queue_pkg::OP_SCAN;
    s0_vi = scan_vi;
    s0_payload = '0;
    if (take_deliver) begin
      s0_op = pst_event_queue_pkg::OP_WAKE_EVENT;
      s0_vi = deliver_vi_q;
      s0_payload = {{(CONFIG_WIDTH - 128){1'b0}}, deliver_event};
    end else if (take_cmd) begin
      s0_op = cmd_op_i;
      s0_vi = cmd_vi_i;
      s0_payload = cmd_config_i;
    end else if (take_ev) begin
      s0_op = {2'b00, ev_op_i};
      s0_vi = ev_vi_i;
      s0_payload = {{(CONFIG_WIDTH - 128){1'b0}}, ev_data_i};
    end else if (take_db) begin
      s0_op = db_prime_i ? pst_event_queue_pkg::OP_PRIME : pst_event_queue_pkg::OP_CONSUME;
      s0_vi = db_vi_i;
      s0_payload = {{(CONFIG_WIDTH - 48){1'b0}}, db_sequence_i, db_consumer_idx_i};
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s1_valid_q <= 1'b0;
      turn_q <= 2'd0;
    end else begin
      s1_valid_q <= s0_valid;
      if (take_ev) turn_q <= 2'd1;
      else if (take_db) turn_q <= 2'd2;
      else if (take_scan) turn_q <= 2'd0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (s0_valid) begin
      s1_op_q <= s0_op;
      s1_vi_q <= s0_vi;
      s1_payload_q <= s0_payload;
    end
  end

  // ---- Context memory: one read and one write port. A read in the cycle of a write to the same place gives the old
  // contents, hence the forwarding.
  logic [CONTEXT_WIDTH-1:0] context_mem [VI_COUNT];
  logic [CONTEXT_WIDTH-1:0] context_rdata_q, forward_q, context_now, context_next;
  logic                     forward_valid_q;
  assign context_now = forward_valid_q ? forward_q : context_rdata_q;
  always_ff @(posedge clk_i) begin
    if (s0_valid) context_rdata_q <= context_mem[s0_vi];
    if (clearing_q || s1_valid_q) begin
      context_mem[clearing_q ? clear_vi_q : s1_vi_q] <= clearing_q ? {CONTEXT_WIDTH{1'b0}} : context_next;
    end
    if (s1_valid_q) forward_q <= context_next;
    forward_valid_q <= s0_valid && s1_valid_q && s0_vi == s1_vi_q;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_q <= 1'b1;
      clear_vi_q <= '0;
    end else if (clearing_q) begin
      clear_vi_q <= clear_vi_q + 1'b1;
      clearing_q <= clear_vi_q != VI_WIDTH'(VI_COUNT - 1);
    end
  end

  // ---- The operation itself.
  logic [2:0]   step_answer;
  logic         step_write, step_wake, step_message, step_owe, step_deliver, step_halt, step_space, step_kick;
  logic         step_stalled, step_lost, step_ignored, step_bad;
  logic [63:0]  step_address;
  logic [127:0] step_data;
  logic [3:0]   step_source;
  logic [15:0]  step_code;
  logic [31:0]  step_index;
  logic [VI_COUNT-1:0] owed_q;  // VIs that owe another one a wakeup event
  pst_event_queue_step u_step (
    .op_i(s1_op_q),
    .vi_i(16'(s1_vi_q)),
    .payload_i(s1_payload_q),
    .context_i(context_now),
    .now_ns_i(time_ns_i),
    .owed_i(owed_q[s1_vi_q]),
    .context_o(context_next),
    .answer_o(step_answer),
    .write_o(step_write),
    .write_address_o(step_address),
    .write_data_o(step_data),
    .wake_o(step_wake),
    .message_o(step_message),
    .owe_o(step_owe),
    .deliver_o(step_deliver),
    .halt_o(step_halt),
    .halt_source_o(step_source),
    .halt_code_o(step_code),
    .halt_index_o(step_index),
    .space_o(step_space),
    .kick_o(step_kick),
    .stalled_o(step_stalled),
    .lost_o(step_lost),
    .ignored_o(step_ignored),
    .bad_o(step_bad)
  );
  pst_event_queue_pkg::context_t present, after;
  assign present = context_now;
  assign after = context_next;

  // ---- VIs that the scan visits: a planned wakeup may be due, or one is owed and does not wait for space.
  logic [VI_COUNT-1:0] attention_q, attention_d, owed_d, planned;
  logic                is_delivery, is_event, due_look, new_due_q;
  logic [63:0]         new_due_ns_q;
  pst_event_queue_due #(.VI_COUNT(VI_COUNT)) u_due (
    .clk_i, .rst_ni, .time_ns_i,
    .op_valid_i(s1_valid_q), .op_vi_i(s1_vi_q), .op_armed_i(after.armed),
    .new_valid_i(new_due_q), .new_due_ns_i(new_due_ns_q),
    .planned_o(planned), .look_o(due_look), .due_ns_o
  );
  assign is_delivery = s1_valid_q && s1_op_q == pst_event_queue_pkg::OP_WAKE_EVENT;
  assign is_event = s1_valid_q && s1_op_q <= pst_event_queue_pkg::OP_RELEASE;
  always_comb begin
    attention_d = due_look ? attention_q | planned : attention_q;
    owed_d = owed_q;
    if (s1_valid_q) begin
      if (s1_op_q == pst_event_queue_pkg::OP_STOP || s1_op_q == pst_event_queue_pkg::OP_START ||
          (s1_op_q == pst_event_queue_pkg::OP_BIND && !(after.cfg.wake_to_vi && after.cfg.wake_vi != 16'(s1_vi_q)))) begin
        owed_d[s1_vi_q] = 1'b0;
      end
      if (step_owe) owed_d[s1_vi_q] = 1'b1;
      if (s1_op_q == pst_event_queue_pkg::OP_SCAN) attention_d[s1_vi_q] = step_wake && owed_d[s1_vi_q];
      if (step_owe || (s1_op_q == pst_event_queue_pkg::OP_BIND && owed_d[s1_vi_q])) attention_d[s1_vi_q] = 1'b1;
      if (step_kick) attention_d = attention_d | owed_d;
      if (is_delivery && step_answer != pst_event_queue_pkg::ANSWER_STALL) owed_d[deliver_from_q] = 1'b0;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      attention_q <= '0;
      owed_q <= '0;
      deliver_q <= 1'b0;
      new_due_q <= 1'b0;
    end else begin
      new_due_q <= s1_valid_q && after.armed;
      attention_q <= attention_d;
      owed_q <= owed_d;
      if (s1_valid_q && step_deliver) deliver_q <= 1'b1;
      else if (take_deliver) deliver_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (s1_valid_q && after.armed) new_due_ns_q <= after.due_ns;
    if (s1_valid_q && step_deliver) begin
      deliver_vi_q <= after.cfg.wake_vi[VI_WIDTH-1:0];
      deliver_from_q <= s1_vi_q;
      deliver_first_q <= !present.wake_tried;
    end
  end

  pst_event_queue_scan #(.VI_COUNT(VI_COUNT), .SCAN_WIDTH(SCAN_WIDTH), .WORD_COUNT(WORD_COUNT), .BIT_WIDTH(BIT_WIDTH)) u_scan (
    .clk_i, .rst_ni,
    .attention_i(attention_q),
    .valid_o(scan_valid),
    .vi_o(scan_vi),
    .taken_i(take_scan)
  );

  // ---- What leaves: an entry per operation that causes anything, its event before its wakeup.
  localparam int unsigned OUT_WIDTH = 5 + VI_WIDTH + 32 + 64 + 128 + 16;
  localparam int unsigned PTR_WIDTH = $clog2(OUT_DEPTH);
  logic [OUT_WIDTH-1:0] out_mem [OUT_DEPTH];
  logic [PTR_WIDTH-1:0] out_head_q, out_tail_q;
  logic [PTR_WIDTH:0]   out_count_q;
  logic                 out_push, out_pop, out_valid, wr_done_q;
  logic                 head_write, head_message, head_halt, head_done, head_bad;
  logic [VI_WIDTH-1:0]  head_vi;
  logic [31:0]          head_idx;
  logic [63:0]          head_address;
  logic [127:0]         head_data;
  logic [15:0]          head_vector;
  logic                 is_command;
  assign is_command = s1_op_q >= pst_event_queue_pkg::OP_START;
  assign out_push = s1_valid_q && (step_write || step_message || step_halt || is_command);
  // One place for the operation in flight, one for the one that starts.
  assign out_room = out_count_q < (PTR_WIDTH + 1)'(OUT_DEPTH - 1);
  always_ff @(posedge clk_i) begin
    if (out_push) begin
      out_mem[out_tail_q] <= {step_write, step_message, step_halt, is_command,
                              step_source == pst_contract_pkg::PST_ERROR_SOURCE_DOORBELL, s1_vi_q, present.producer_idx,
                              step_halt ? {16'd0, step_code, step_index} : step_address, step_data, after.cfg.vector_};
    end
  end
  assign {head_write, head_message, head_halt, head_done, head_bad, head_vi, head_idx, head_address, head_data, head_vector} =
      out_mem[out_head_q];

  assign out_valid = out_count_q != '0;
  assign wr_valid_o = out_valid && head_write && !wr_done_q;
  assign wr_vi_o = head_vi;
  assign wr_address_o = head_address;
  assign wr_idx_o = head_idx;
  assign wr_data_o = head_data;
  assign wake_valid_o = out_valid && head_message && (!head_write || wr_done_q);
  assign wake_vi_o = head_vi;
  assign wake_vector_o = head_vector;
  assign halt_valid_o = out_valid && head_halt;
  assign halt_vi_o = head_vi;
  assign halt_source_o = head_bad ? pst_contract_pkg::PST_ERROR_SOURCE_DOORBELL : pst_contract_pkg::PST_ERROR_SOURCE_EVQ;
  assign halt_code_o = head_address[47:32];
  assign halt_index_o = head_address[31:0];
  assign cmd_done_o = out_pop && head_done;
  always_comb begin
    out_pop = out_valid;
    if (head_write && !wr_done_q && !(wr_ready_i && !head_message)) out_pop = 1'b0;
    if (head_message && !(wake_ready_i && wake_valid_o)) out_pop = 1'b0;
    if (head_halt && !halt_ready_i) out_pop = 1'b0;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      out_head_q <= '0;
      out_tail_q <= '0;
      out_count_q <= '0;
      wr_done_q <= 1'b0;
    end else begin
      if (out_push) out_tail_q <= out_tail_q + 1'b1;
      if (out_pop) out_head_q <= out_head_q + 1'b1;
      out_count_q <= out_count_q + (PTR_WIDTH + 1)'(out_push) - (PTR_WIDTH + 1)'(out_pop);
      wr_done_q <= !out_pop && (wr_done_q || (wr_valid_o && wr_ready_i));
    end
  end
  assign answer_valid_o = is_event;
  assign answer_vi_o = s1_vi_q;
  assign answer_o = step_answer;
  assign space_valid_o = s1_valid_q && step_space;
  assign space_vi_o = s1_vi_q;
  logic rests;
  assign rests = !clearing_q && !s1_valid_q && !deliver_q && attention_q == '0 && !out_valid && !new_due_q;
  assign idle_o = rests && planned == '0;
  assign quiet_o = rests && !cmd_valid_i && !ev_valid_i && !db_valid_i;

  // A wakeup event that finds no space or no target counts once, however often it is tried.
  logic counts_delivery;
  assign counts_delivery = !is_delivery || deliver_first_q;
  assign count_vi_o = s1_vi_q;
  assign count_event_o = s1_valid_q && step_write;
  assign count_marked_o = count_event_o && step_data[pst_contract_pkg::PST_EVENT_OVERFLOW_MARK_LSB];
  assign count_dropped_o = (is_event || is_delivery) && step_answer == pst_event_queue_pkg::ANSWER_DROP;
  assign count_stalled_o = s1_valid_q && step_stalled && counts_delivery;
  assign count_prime_o = s1_valid_q && s1_op_q == pst_event_queue_pkg::OP_PRIME && !step_ignored && !step_bad;
  assign count_wake_o = s1_valid_q && step_wake;
  assign count_lost_o = s1_valid_q && (step_lost || (is_delivery && deliver_first_q &&
                                                     step_answer == pst_event_queue_pkg::ANSWER_GONE));
  assign count_ignored_o = s1_valid_q && step_ignored;

`ifdef PST_FORMAL_STEPS
  `include "pst_event_queue_properties.svh"
`endif
`ifdef PST_FORMAL_VISIT
  `include "pst_event_queue_visit_properties.svh"
`endif

endmodule
