// Lives of VIs: start, stop and halt, each a fixed sequence through the blocks that hold something of the VI, and the error event of
// a VI that has halted (R8, R10, R12). Hides that halts come from many blocks at any time and that an error event may wait for space.
// Packet walk: beside it.
module pst_vi_table #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,  // a power of two, at least 2
  parameter int unsigned HALT_COUNT = 7,                                       // blocks that halt VIs
  parameter int unsigned LIFE_COUNT = 4,                                       // blocks that are told of halts and stops
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,  // no register changes while the inputs stay as they are

  // Commands of the firmware: CFG_VI_START, CFG_VI_STOP, CFG_EVQ_BIND, CFG_EVQ_MODERATE; one at a time.
  input  logic                                     cfg_valid_i,
  input  logic [7:0]                               cfg_op_i,
  input  logic [31:0]                              cfg_index_i,
  input  logic [pst_admin_pkg::CFG_DATA_WIDTH-1:0] cfg_data_i,
  output logic                                     cfg_done_o,

  // Halt requests; the first of a running VI counts. Accepted within a few cycles whatever else goes on.
  input  logic [HALT_COUNT-1:0]          halt_valid_i,
  output logic [HALT_COUNT-1:0]          halt_ready_o,
  input  logic [HALT_COUNT*VI_WIDTH-1:0] halt_vi_i,
  input  logic [HALT_COUNT*4-1:0]        halt_source_i,
  input  logic [HALT_COUNT*16-1:0]       halt_code_i,
  input  logic [HALT_COUNT*32-1:0]       halt_index_i,

  // To the blocks that hold work of VIs; each answers with a pulse before the next one is told.
  output logic                  life_valid_o,
  output logic                  life_op_o,  // LIFE_HALT, LIFE_STOP
  output logic [VI_WIDTH-1:0]   life_vi_o,
  input  logic [LIFE_COUNT-1:0] life_done_i,

  // To pst_event_queue and pst_desc_fetch (their cmd_).
  output logic                                         evq_cmd_valid_o,
  input  logic                                         evq_cmd_ready_i,
  output logic [3:0]                                   evq_cmd_op_o,
  output logic [VI_WIDTH-1:0]                          evq_cmd_vi_o,
  output logic [pst_event_queue_pkg::CONFIG_WIDTH-1:0] evq_cmd_config_o,
  input  logic                                         evq_cmd_done_i,
  output logic                                         desc_cmd_valid_o,
  input  logic                                         desc_cmd_ready_i,
  output logic                                         desc_cmd_stop_o,
  output logic                                         desc_cmd_rx_o,
  output logic [VI_WIDTH-1:0]                          desc_cmd_vi_o,
  output logic [63:0]                                  desc_cmd_address_o,
  output logic [3:0]                                   desc_cmd_entries_log2_o,
  input  logic                                         stopped_valid_i,
  input  logic                                         stopped_rx_i,
  input  logic [VI_WIDTH-1:0]                          stopped_vi_i,

  // Error events, to pst_event_request: OP_POST.
  output logic                ev_valid_o,
  input  logic                ev_ready_i,
  output logic [VI_WIDTH-1:0] ev_vi_o,
  output logic [127:0]        ev_data_o,
  input  logic                answer_valid_i,
  input  logic [2:0]          answer_i,
  input  logic                space_valid_i,
  input  logic [VI_WIDTH-1:0] space_vi_i,

  // To pst_pcie_link: fence_valid_o stays until fence_done_i says that all that was under way has landed.
  output logic fence_valid_o,
  input  logic fence_done_i
);

  localparam logic [1:0] VI_FREE = 2'd0;
  localparam logic [1:0] VI_RUNNING = 2'd1;
  localparam logic [1:0] VI_HALTING = 2'd2;  // waits for its turn
  localparam logic [1:0] VI_HALTED = 2'd3;
  typedef struct packed {
    logic [1:0]  state;
    logic [3:0]  source;  // of the first error
    logic [15:0] code;
    logic [31:0] index;
  } context_t;
  localparam int unsigned CONTEXT_WIDTH = 54;

  localparam logic [2:0] JOB_START = 3'd0;
  localparam logic [2:0] JOB_STOP = 3'd1;
  localparam logic [2:0] JOB_HALT = 3'd2;
  localparam logic [2:0] JOB_BIND = 3'd3;
  localparam logic [2:0] JOB_MODERATE = 3'd4;

  localparam logic [3:0] ST_IDLE = 4'd0;
  localparam logic [3:0] ST_STATE = 4'd1;  // the VI's new state is written
  localparam logic [3:0] ST_LIFE = 4'd2;
  localparam logic [3:0] ST_LIFE_WAIT = 4'd3;
  localparam logic [3:0] ST_EVENT_WAIT = 4'd4;  // until its error event is not being posted
  localparam logic [3:0] ST_DESC_RX = 4'd5;
  localparam logic [3:0] ST_DESC_TX = 4'd6;
  localparam logic [3:0] ST_EVQ = 4'd7;
  localparam logic [3:0] ST_EVQ_WAIT = 4'd8;

  logic [3:0]            state_q;
  logic [2:0]            job_q;
  logic [VI_WIDTH-1:0]   vi_q;
  logic [LIFE_COUNT-1:0] life_left_q;

  // ---- The command that waits or is being done.
  pst_admin_pkg::vi_start_t cfg_start, start_q;
  logic                     cmd_q;
  logic [2:0]               cmd_job, cmd_job_q;
  logic [VI_WIDTH-1:0]      cmd_vi_q;
  logic                     cmd_new, take_cmd, take_halt;
  assign cfg_start = cfg_data_i[pst_admin_pkg::VI_START_WIDTH-1:0];
  always_comb begin
    cmd_new = cfg_valid_i;
    cmd_job = JOB_START;
    case (cfg_op_i)
      pst_admin_pkg::CFG_VI_START: cmd_job = JOB_START;
      pst_admin_pkg::CFG_VI_STOP: cmd_job = JOB_STOP;
      pst_admin_pkg::CFG_EVQ_BIND: cmd_job = JOB_BIND;
      pst_admin_pkg::CFG_EVQ_MODERATE: cmd_job = JOB_MODERATE;
      default: cmd_new = 1'b0;
    endcase
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) cmd_q <= 1'b0;
    else if (cmd_new) cmd_q <= 1'b1;
    else if (take_cmd) cmd_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (cmd_new) begin
      cmd_job_q <= cmd_job;
      cmd_vi_q <= cfg_index_i[VI_WIDTH-1:0];
      start_q <= cfg_start;
      // These two bring only the event queue's configuration.
      if (cmd_job == JOB_BIND || cmd_job == JOB_MODERATE) start_q.evq <= cfg_data_i[pst_event_queue_pkg::CONFIG_WIDTH-1:0];
    end
  end

  // ---- State of VIs: an operation reads it in one cycle and writes it in the next, in which none starts.
  localparam logic [1:0] OP_STATE = 2'd0;  // of the job
  localparam logic [1:0] OP_ERROR = 2'd1;  // hand the error event over
  localparam logic [1:0] OP_HALT = 2'd2;   // a request
  logic                     clearing_q, s1_valid_q;
  logic [VI_WIDTH-1:0]      clear_vi_q, s1_vi_q, s0_vi, halt_vi, pick_vi, busy_vi;
  logic [1:0]               s1_op_q;
  logic [CONTEXT_WIDTH-1:0] context_mem [VI_COUNT];
  logic [CONTEXT_WIDTH-1:0] context_q;
  context_t                 now, after;
  logic [3:0]               halt_source, s1_source_q;
  logic [15:0]              halt_code, s1_code_q;
  logic [31:0]              halt_index, s1_index_q;
  logic                     can_start, do_state, do_error, do_halt, pick_valid, halts, writes, event_busy, event_quiet;
  assign can_start = !clearing_q && !s1_valid_q;
  assign do_state = can_start && state_q == ST_STATE;
  assign do_error = can_start && !do_state && pick_valid;
  assign do_halt = can_start && !do_state && !pick_valid && halt_valid_i != '0;
  assign s0_vi = do_state ? vi_q : do_error ? pick_vi : halt_vi;
  assign now = context_q;
  assign halts = s1_valid_q && s1_op_q == OP_HALT && now.state == VI_RUNNING;
  assign writes = halts || (s1_valid_q && s1_op_q == OP_STATE);
  always_comb begin
    after = now;
    if (s1_op_q == OP_HALT) begin
      after.state = VI_HALTING;
      after.source = s1_source_q;
      after.code = s1_code_q;
      after.index = s1_index_q;
    end else if (job_q == JOB_START) begin
      after.state = VI_RUNNING;
    end else if (job_q == JOB_STOP) begin
      after.state = VI_FREE;
    end else if (now.state == VI_HALTING) begin
      after.state = VI_HALTED;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_q <= 1'b1;
      clear_vi_q <= '0;
      s1_valid_q <= 1'b0;
    end else begin
      if (clearing_q) begin
        clear_vi_q <= clear_vi_q + 1'b1;
        clearing_q <= clear_vi_q != VI_WIDTH'(VI_COUNT - 1);
      end
      s1_valid_q <= do_state || do_error || do_halt;
    end
  end
  always_ff @(posedge clk_i) begin
    if (do_state || do_error || do_halt) begin
      context_q <= context_mem[s0_vi];
      s1_vi_q <= s0_vi;
      s1_op_q <= do_state ? OP_STATE : do_error ? OP_ERROR : OP_HALT;
    end
    if (do_halt) begin
      s1_source_q <= halt_source;
      s1_code_q <= halt_code;
      s1_index_q <= halt_index;
    end
    if (clearing_q || writes) begin
      context_mem[clearing_q ? clear_vi_q : s1_vi_q] <= clearing_q ? {CONTEXT_WIDTH{1'b0}} : after;
    end
  end
  pst_halt_select #(.SOURCE_COUNT(HALT_COUNT), .VI_WIDTH(VI_WIDTH)) u_halt_select (
    .clk_i, .rst_ni,
    .valid_i(halt_valid_i),
    .ready_o(halt_ready_o),
    .vi_i(halt_vi_i),
    .source_i(halt_source_i),
    .code_i(halt_code_i),
    .index_i(halt_index_i),
    .taken_i(do_halt),
    .vi_o(halt_vi),
    .source_o(halt_source),
    .code_o(halt_code),
    .index_o(halt_index)
  );

  // ---- VIs that wait for their halt's turn, each once. A stop that comes first leaves the VI in here; it is passed over before the
  // VI can start again.
  logic [VI_WIDTH-1:0] queue_mem [VI_COUNT];
  logic [VI_WIDTH-1:0] queue_head_q, queue_tail_q;
  logic [VI_WIDTH:0]   queue_count_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      queue_head_q <= '0;
      queue_tail_q <= '0;
      queue_count_q <= '0;
    end else if (halts || take_halt) begin
      if (halts) queue_tail_q <= queue_tail_q + 1'b1;
      if (take_halt) queue_head_q <= queue_head_q + 1'b1;
      queue_count_q <= queue_count_q + (VI_WIDTH + 1)'(halts) - (VI_WIDTH + 1)'(take_halt);
    end
  end
  always_ff @(posedge clk_i) begin
    if (halts) queue_mem[queue_tail_q] <= s1_vi_q;
  end

  // ---- The sequence. Halts come before commands.
  logic state_done, life_over, evq_over;
  assign take_halt = state_q == ST_IDLE && queue_count_q != '0;
  assign take_cmd = state_q == ST_IDLE && queue_count_q == '0 && cmd_q && !clearing_q;
  assign state_done = s1_valid_q && s1_op_q == OP_STATE;
  assign life_over = state_q == ST_LIFE_WAIT && (life_left_q & ~life_done_i) == '0;
  assign evq_over = state_q == ST_EVQ_WAIT && evq_cmd_done_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= ST_IDLE;
    end else begin
      case (state_q)
        ST_IDLE: begin
          if (take_halt) state_q <= ST_STATE;
          else if (take_cmd) state_q <= cmd_job_q == JOB_START || cmd_job_q == JOB_STOP ? ST_STATE : ST_EVQ;
        end
        ST_STATE: begin
          if (state_done) begin
            if (job_q == JOB_START) state_q <= ST_DESC_RX;
            else if (job_q == JOB_HALT && now.state != VI_HALTING) state_q <= ST_IDLE;
            else state_q <= ST_LIFE;
          end
        end
        ST_LIFE: state_q <= ST_LIFE_WAIT;
        ST_LIFE_WAIT: if (life_over) state_q <= ST_EVENT_WAIT;
        ST_EVENT_WAIT: if (!(event_busy && busy_vi == vi_q)) state_q <= ST_DESC_RX;
        ST_DESC_RX: if (desc_cmd_ready_i) state_q <= ST_DESC_TX;
        ST_DESC_TX: if (desc_cmd_ready_i) state_q <= ST_EVQ;
        ST_EVQ: if (evq_cmd_ready_i) state_q <= ST_EVQ_WAIT;
        default: if (evq_cmd_done_i) state_q <= ST_IDLE;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (take_halt) begin
      job_q <= JOB_HALT;
      vi_q <= queue_mem[queue_head_q];
    end else if (take_cmd) begin
      job_q <= cmd_job_q;
      vi_q <= cmd_vi_q;
    end
    if (state_q == ST_LIFE) life_left_q <= ~life_done_i;
    else if (state_q == ST_LIFE_WAIT && life_done_i != '0) life_left_q <= life_left_q & ~life_done_i;
  end
  assign life_valid_o = state_q == ST_LIFE;
  assign life_op_o = job_q == JOB_STOP ? pst_admin_pkg::LIFE_STOP : pst_admin_pkg::LIFE_HALT;
  assign life_vi_o = vi_q;
  assign desc_cmd_valid_o = state_q == ST_DESC_RX || state_q == ST_DESC_TX;
  assign desc_cmd_stop_o = job_q != JOB_START;
  assign desc_cmd_rx_o = state_q == ST_DESC_RX;
  assign desc_cmd_vi_o = vi_q;
  assign desc_cmd_address_o = desc_cmd_rx_o ? start_q.rx_ring_address : start_q.tx_ring_address;
  assign desc_cmd_entries_log2_o = desc_cmd_rx_o ? start_q.rx_entries_log2 : start_q.tx_entries_log2;
  assign evq_cmd_valid_o = state_q == ST_EVQ;
  assign evq_cmd_vi_o = vi_q;
  assign evq_cmd_config_o = start_q.evq;
  always_comb begin
    case (job_q)
      JOB_START: evq_cmd_op_o = pst_event_queue_pkg::OP_START;
      JOB_STOP: evq_cmd_op_o = pst_event_queue_pkg::OP_STOP;
      JOB_HALT: evq_cmd_op_o = pst_event_queue_pkg::OP_HALT;
      JOB_BIND: evq_cmd_op_o = pst_event_queue_pkg::OP_BIND;
      default: evq_cmd_op_o = pst_event_queue_pkg::OP_MODERATE;
    endcase
  end

  // ---- The end of a stop, during which other VIs may halt: the reads of its rings have come, all that was under way has landed, and
  // no halt request is left that might be of this life.
  localparam logic [1:0] TAIL_NONE = 2'd0;
  localparam logic [1:0] TAIL_RINGS = 2'd1;
  localparam logic [1:0] TAIL_FENCE = 2'd2;
  localparam logic [1:0] TAIL_HALTS = 2'd3;
  logic [1:0]          tail_q, asked_q, stopped_q;  // [1] RX, [0] TX
  logic [VI_WIDTH-1:0] stop_vi_q;
  logic                no_halts;
  assign no_halts = halt_valid_i == '0 && !(s1_valid_q && s1_op_q == OP_HALT);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      tail_q <= TAIL_NONE;
      asked_q <= 2'b00;
      stopped_q <= 2'b00;
    end else begin
      if (take_cmd) begin
        asked_q <= 2'b00;
        stopped_q <= 2'b00;
      end else begin
        if (desc_cmd_valid_o && desc_cmd_ready_i && job_q == JOB_STOP) asked_q[desc_cmd_rx_o] <= 1'b1;
        if (stopped_valid_i && stopped_vi_i == stop_vi_q && asked_q[stopped_rx_i]) stopped_q[stopped_rx_i] <= 1'b1;
      end
      case (tail_q)
        TAIL_NONE: if (evq_over && job_q == JOB_STOP) tail_q <= TAIL_RINGS;
        TAIL_RINGS: if (stopped_q == 2'b11) tail_q <= TAIL_FENCE;
        TAIL_FENCE: if (fence_done_i) tail_q <= TAIL_HALTS;
        default: if (no_halts) tail_q <= TAIL_NONE;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (take_cmd) stop_vi_q <= cmd_vi_q;
  end
  assign fence_valid_o = tail_q == TAIL_FENCE;
  assign cfg_done_o = (evq_over && job_q != JOB_STOP && job_q != JOB_HALT) || (tail_q == TAIL_HALTS && no_halts);

  // ---- Error events.
  logic [127:0] error_event;
  always_comb begin
    error_event = '0;
    error_event[pst_contract_pkg::PST_ERROR_EVENT_TYPE_LSB +: 4] = pst_contract_pkg::PST_EVENT_TYPE_ERROR;
    error_event[pst_contract_pkg::PST_ERROR_EVENT_SOURCE_LSB +: 4] = now.source;
    error_event[pst_contract_pkg::PST_ERROR_EVENT_CODE_LSB +: 16] = now.code;
    error_event[pst_contract_pkg::PST_ERROR_EVENT_INDEX_LSB +: 32] = now.index;
  end
  pst_event_wait #(.VI_COUNT(VI_COUNT)) u_event_wait (
    .clk_i, .rst_ni,
    .quiet_o(event_quiet),
    .post_valid_i(evq_over && job_q == JOB_HALT),
    .post_vi_i(vi_q),
    .drop_valid_i(state_done && job_q == JOB_STOP),
    .drop_vi_i(vi_q),
    .pick_valid_o(pick_valid),
    .pick_vi_o(pick_vi),
    .pick_taken_i(do_error),
    .load_valid_i(s1_valid_q && s1_op_q == OP_ERROR),
    .load_data_i(error_event),
    .busy_o(event_busy),
    .busy_vi_o(busy_vi),
    .ev_valid_o, .ev_ready_i, .ev_vi_o, .ev_data_o,
    .answer_valid_i, .answer_i,
    .space_valid_i, .space_vi_i
  );

  logic sequence_rests, tail_rests;
  assign sequence_rests = state_q == ST_IDLE ? queue_count_q == '0 && !cmd_q
                                             : state_q == ST_LIFE_WAIT && life_left_q != '0 && life_done_i == '0;
  assign tail_rests = tail_q == TAIL_NONE || (tail_q == TAIL_RINGS && stopped_q != 2'b11 && !stopped_valid_i) ||
                      (tail_q == TAIL_FENCE && !fence_done_i);
  assign quiet_o = !clearing_q && !s1_valid_q && halt_valid_i == '0 && !cfg_valid_i && event_quiet && sequence_rests && tail_rests;

endmodule
