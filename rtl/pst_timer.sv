// One timer per VI: a doorbell arms it, it posts a TIMER event. Hides re-arming, disarming, the search for the timer that is due
// next, and the wait for event space, during which a later expiry replaces an earlier one. Packet walk: beside it; the TIMER doorbell.
module pst_timer #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,  // a power of two, at least 2
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [63:0] time_ns_i,  // device clock
  output logic        quiet_o,    // no register changes while the inputs stay as they are and time_ns_i is below due_ns_o
  output logic [63:0] due_ns_o,   // not later than the first timer that is armed; all ones: none

  // Lives of VIs: CFG_VI_START begins one, a pulse of life_valid_i (LIFE_HALT and LIFE_STOP are the same here) ends it;
  // life_done_o: nothing of the VI is left in here.
  input  logic                cfg_valid_i,
  input  logic [7:0]          cfg_op_i,
  input  logic [31:0]         cfg_index_i,
  input  logic                life_valid_i,
  input  logic [VI_WIDTH-1:0] life_vi_i,
  output logic                life_done_o,

  // TIMER doorbells. What comes for a VI that does not run has no effect.
  input  logic                arm_valid_i,
  output logic                arm_ready_o,
  input  logic [VI_WIDTH-1:0] arm_vi_i,
  input  logic [31:0]         arm_delay_ns_i,  // 0 disarms
  input  logic [15:0]         arm_sequence_i,

  // To pst_event_request: OP_POST.
  output logic                ev_valid_o,
  input  logic                ev_ready_i,
  output logic [VI_WIDTH-1:0] ev_vi_o,
  output logic [127:0]        ev_data_o,
  input  logic                answer_valid_i,
  input  logic [2:0]          answer_i,
  input  logic                space_valid_i,
  input  logic [VI_WIDTH-1:0] space_vi_i,

  // A timer armed with sequence 0 halts its VI (R12): index is the delay.
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [3:0]          halt_source_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o
);

  localparam int unsigned SCAN_WIDTH = VI_COUNT < 32 ? VI_COUNT : 32;
  localparam logic [63:0] NEVER = {64{1'b1}};
  typedef struct packed {
    logic        live;
    logic [63:0] due_ns;
    logic [15:0] sequence_armed;
    logic [15:0] sequence_expired;  // of the event to post
  } context_t;
  localparam int unsigned CONTEXT_WIDTH = 97;

  // ---- Which operation starts: each reads its VI's context in one cycle and writes it in the next, in which none starts.
  localparam logic [2:0] OP_ARM = 3'd0;
  localparam logic [2:0] OP_LOOK = 3'd1;  // is it due
  localparam logic [2:0] OP_SEND = 3'd2;  // hand the event over that is to be posted
  localparam logic [2:0] OP_OPEN = 3'd3;  // a life begins
  localparam logic [2:0] OP_END = 3'd4;
  logic                clearing_q;  // after reset each context is made that of a VI without a life
  logic [VI_WIDTH-1:0] clear_vi_q;
  logic                s1_valid_q;
  logic [2:0]          s1_op_q;
  logic [VI_WIDTH-1:0] s1_vi_q;
  logic [31:0]         s1_delay_ns_q;
  logic [15:0]         s1_sequence_q;

  logic                open_q, ending_q, end_done_q;  // a life is to begin; one is to end; its timer and event are gone
  logic [VI_WIDTH-1:0] open_vi_q, end_vi_q;
  logic                looking_q;  // a search for what is due, and for the first that is not
  logic [VI_COUNT-1:0] armed_q;
  logic [VI_COUNT-1:0] left_q;     // armed VIs that the search has not come to
  logic [63:0]         next_due_ns_q;
  logic [VI_WIDTH-1:0] next_vi_q;
  logic                scan_valid, pick_valid, can_start, take_open, take_end, begins;
  logic [VI_WIDTH-1:0] scan_vi, pick_vi, busy_vi;
  logic                event_busy, event_quiet;
  logic [2:0]          ask, ask_first, grant, behind_q;  // events, search, doorbells; behind_q: those behind who came last
  assign can_start = !clearing_q && !s1_valid_q;
  assign take_open = can_start && open_q;
  assign take_end = can_start && !open_q && ending_q && !end_done_q;
  assign begins = !looking_q && time_ns_i >= next_due_ns_q;
  assign ask = {3{can_start && !open_q && !(ending_q && !end_done_q)}} &
               {pick_valid, begins || scan_valid, arm_valid_i && !halt_valid_o};
  assign ask_first = (ask & behind_q) != 3'd0 ? ask & behind_q : ask;
  assign grant = ask_first & (~ask_first + 3'd1);
  assign arm_ready_o = grant[0];

  logic                s0_valid;
  logic [2:0]          s0_op;
  logic [VI_WIDTH-1:0] s0_vi;
  always_comb begin
    s0_valid = take_open || take_end || grant != 3'd0;
    s0_op = OP_ARM;
    s0_vi = arm_vi_i;
    if (take_open) begin
      s0_op = OP_OPEN;
      s0_vi = open_vi_q;
    end else if (take_end) begin
      s0_op = OP_END;
      s0_vi = end_vi_q;
    end else if (grant[1]) begin
      s0_op = OP_LOOK;
      s0_vi = begins ? next_vi_q : scan_vi;
    end else if (grant[2]) begin
      s0_op = OP_SEND;
      s0_vi = pick_vi;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s1_valid_q <= 1'b0;
      behind_q <= 3'd0;
      clearing_q <= 1'b1;
      clear_vi_q <= '0;
    end else begin
      s1_valid_q <= s0_valid;
      if (grant != 3'd0) behind_q <= ~(grant | (grant - 3'd1));
      if (clearing_q) begin
        clear_vi_q <= clear_vi_q + 1'b1;
        clearing_q <= clear_vi_q != VI_WIDTH'(VI_COUNT - 1);
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (s0_valid) begin
      s1_op_q <= s0_op;
      s1_vi_q <= s0_vi;
    end
    if (grant[0]) begin
      s1_delay_ns_q <= arm_delay_ns_i;
      s1_sequence_q <= arm_sequence_i;
    end
  end

  // ---- The operation.
  context_t                 now, after;
  logic [CONTEXT_WIDTH-1:0] context_mem [VI_COUNT];
  logic [CONTEXT_WIDTH-1:0] context_q;
  logic                     arms, disarms, expires, waits_on, bad, writes;
  logic [63:0]              due_ns;
  assign now = context_q;
  assign bad = s1_valid_q && s1_op_q == OP_ARM && now.live && s1_delay_ns_q != 32'd0 && s1_sequence_q == 16'd0;
  assign arms = s1_valid_q && s1_op_q == OP_ARM && now.live && s1_delay_ns_q != 32'd0 && s1_sequence_q != 16'd0;
  assign expires = s1_valid_q && s1_op_q == OP_LOOK && armed_q[s1_vi_q] && time_ns_i >= now.due_ns;
  assign waits_on = s1_valid_q && s1_op_q == OP_LOOK && armed_q[s1_vi_q] && time_ns_i < now.due_ns;
  assign disarms = expires || (s1_valid_q && !arms && s1_op_q != OP_LOOK && s1_op_q != OP_SEND);
  assign writes = s1_valid_q && (arms || expires || s1_op_q == OP_OPEN || s1_op_q == OP_END);
  assign due_ns = arms ? time_ns_i + {32'd0, s1_delay_ns_q} : now.due_ns;
  always_comb begin
    after = now;
    if (arms) begin
      after.due_ns = due_ns;
      after.sequence_armed = s1_sequence_q;
    end
    if (expires) after.sequence_expired = now.sequence_armed;
    if (s1_op_q == OP_OPEN) after.live = 1'b1;
    if (s1_op_q == OP_END) after.live = 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (s0_valid) context_q <= context_mem[s0_vi];
    if (clearing_q || writes) begin
      context_mem[clearing_q ? clear_vi_q : s1_vi_q] <= clearing_q ? {CONTEXT_WIDTH{1'b0}} : after;
    end
  end

  // ---- The search. It begins when the first timer is due, or would have been if it had not been changed since, and looks at
  // every armed one; meanwhile and later each timer that is armed is compared, so next_due_ns_q is never too late.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      armed_q <= '0;
      left_q <= '0;
      looking_q <= 1'b0;
      next_due_ns_q <= NEVER;
    end else begin
      if (arms) armed_q[s1_vi_q] <= 1'b1;
      else if (disarms) armed_q[s1_vi_q] <= 1'b0;
      if (grant[1] && begins) begin
        left_q <= armed_q;
        looking_q <= 1'b1;
        next_due_ns_q <= NEVER;
      end else begin
        if (s1_valid_q && s1_op_q == OP_LOOK) left_q[s1_vi_q] <= 1'b0;
        if (looking_q && left_q == '0 && !s1_valid_q) looking_q <= 1'b0;
        if ((arms || waits_on) && due_ns < next_due_ns_q) next_due_ns_q <= due_ns;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if ((arms || waits_on) && due_ns < next_due_ns_q) next_vi_q <= s1_vi_q;
  end
  pst_event_queue_scan #(.VI_COUNT(VI_COUNT), .SCAN_WIDTH(SCAN_WIDTH), .WORD_COUNT(VI_COUNT / SCAN_WIDTH),
                         .BIT_WIDTH($clog2(SCAN_WIDTH))) u_scan (
    .clk_i, .rst_ni,
    .attention_i(left_q),
    .valid_o(scan_valid),
    .vi_o(scan_vi),
    .taken_i(grant[1] && !begins)
  );
  assign due_ns_o = next_due_ns_q;

  // ---- Lives.
  logic end_waits;  // an event of the VI is being posted
  assign end_waits = event_busy && busy_vi == end_vi_q;
  assign life_done_o = ending_q && end_done_q && !end_waits;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      open_q <= 1'b0;
      ending_q <= 1'b0;
      end_done_q <= 1'b0;
    end else begin
      if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_VI_START) open_q <= 1'b1;
      else if (take_open) open_q <= 1'b0;
      if (life_valid_i) ending_q <= 1'b1;
      else if (life_done_o) ending_q <= 1'b0;
      if (life_valid_i) end_done_q <= 1'b0;
      else if (s1_valid_q && s1_op_q == OP_END) end_done_q <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_VI_START) open_vi_q <= cfg_index_i[VI_WIDTH-1:0];
    if (life_valid_i) end_vi_q <= life_vi_i;
  end

  // ---- What leaves: events and halts.
  logic [127:0] event_data;
  always_comb begin
    event_data = '0;
    event_data[pst_contract_pkg::PST_TIMER_EVENT_TYPE_LSB +: pst_contract_pkg::PST_TIMER_EVENT_TYPE_WIDTH] =
        pst_contract_pkg::PST_EVENT_TYPE_TIMER;
    event_data[pst_contract_pkg::PST_TIMER_EVENT_SEQUENCE_LSB +: pst_contract_pkg::PST_TIMER_EVENT_SEQUENCE_WIDTH] =
        now.sequence_expired;
  end
  pst_event_wait #(.VI_COUNT(VI_COUNT)) u_event_wait (
    .clk_i, .rst_ni,
    .quiet_o(event_quiet),
    .post_valid_i(expires),
    .post_vi_i(s1_vi_q),
    .drop_valid_i(s1_valid_q && (s1_op_q == OP_END || s1_op_q == OP_OPEN)),
    .drop_vi_i(s1_vi_q),
    .pick_valid_o(pick_valid),
    .pick_vi_o(pick_vi),
    .pick_taken_i(grant[2]),
    .load_valid_i(s1_valid_q && s1_op_q == OP_SEND),
    .load_data_i(event_data),
    .busy_o(event_busy),
    .busy_vi_o(busy_vi),
    .ev_valid_o, .ev_ready_i, .ev_vi_o, .ev_data_o,
    .answer_valid_i, .answer_i,
    .space_valid_i, .space_vi_i
  );
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) halt_valid_o <= 1'b0;
    else if (bad) halt_valid_o <= 1'b1;
    else if (halt_ready_i) halt_valid_o <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (bad) begin
      halt_vi_o <= s1_vi_q;
      halt_index_o <= s1_delay_ns_q;
    end
  end
  assign halt_source_o = pst_contract_pkg::PST_ERROR_SOURCE_DOORBELL;
  assign halt_code_o = pst_contract_pkg::PST_ERROR_CODE_BAD_DOORBELL;

  assign quiet_o = !clearing_q && !s1_valid_q && !open_q && !cfg_valid_i && !ending_q && !life_valid_i && !looking_q &&
                   !arm_valid_i && !halt_valid_o && event_quiet;

endmodule
