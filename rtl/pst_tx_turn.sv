// A VI's turn: pops its descriptors, gathers them to packets and hands these on while the VI's deficit and rate limit let
// it. Deficit round robin after Shreedhar and Varghese (1995): a packet is charged when it is taken, so the last one of a
// turn may overdraw and the VI works that off in later turns. An incomplete packet waits in the VI's context.
module pst_tx_turn #(
  parameter int unsigned VI_COUNT = 64,
  parameter int unsigned QUANTUM_BYTES = 1514,
  parameter int unsigned CACHE_DEPTH = 64,  // of pst_desc_fetch
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [63:0]         time_ns_i,
  output logic                quiet_o,

  // A life begins with its options; running_i: VIs whose packets are taken.
  input  logic                start_valid_i,
  input  logic [VI_WIDTH-1:0] start_vi_i,
  input  logic                start_any_source_i,
  input  logic [7:0]          start_weight_i,
  input  logic [31:0]         start_rate_mbps_i,
  input  logic [15:0]         mtu_bytes_i,
  input  logic [VI_COUNT-1:0] running_i,
  input  logic                hold_i,       // no further pop
  output logic                popping_o,    // one is under way
  output logic                busy_o,
  output logic [VI_WIDTH-1:0] busy_vi_o,

  // Scheduler.
  input  logic                next_valid_i,
  input  logic [VI_WIDTH-1:0] next_vi_i,
  output logic                next_taken_o,
  output logic                again_valid_o,  // these name busy_vi_o
  output logic                wait_valid_o,
  output logic [63:0]         wait_ns_o,
  // Bytes that a VI's packet turned out to have besides.
  input  logic                extra_valid_i,
  output logic                extra_taken_o,
  input  logic [VI_WIDTH-1:0] extra_vi_i,
  input  logic [23:0]         extra_bytes_i,

  // Descriptors, of busy_vi_o.
  output logic                pop_valid_o,
  input  logic                pop_ready_i,
  input  logic                answer_valid_i,
  input  logic                answer_found_i,
  input  logic                answer_posted_i,
  input  logic                answer_pio_i,
  input  logic [31:0]         answer_idx_i,
  input  logic [127:0]        answer_desc_i,

  // Fragments of a VI's packets are a list that wraps; they are written before their packet is handed on.
  output logic                              list_wr_valid_o,
  output logic [pst_tx_pkg::LIST_WIDTH-1:0] list_wr_position_o,
  output logic [pst_tx_pkg::FRAGMENT_WIDTH-1:0] list_wr_fragment_o,
  output logic                              packet_valid_o,
  input  logic                              packet_ready_i,
  output logic [pst_tx_pkg::PACKET_WIDTH-1:0] packet_o,

  // A packet of busy_vi_o that is dropped before it was taken; and an error that halts it: it stops at once.
  output logic                loss_valid_o,  // TX_VI_HALTED
  input  logic                loss_ready_i,
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [31:0]         halt_index_o   // BAD_DESCRIPTOR
);

  localparam int unsigned GATHER_WIDTH = pst_tx_pkg::GATHER_WIDTH;
  localparam int unsigned RATE_WIDTH = pst_tx_pkg::RATE_WIDTH;
  localparam int unsigned BUCKET_WIDTH = pst_tx_pkg::BUCKET_WIDTH;
  localparam logic [63:0] WAIT_LATE_NS = 64'd1000;  // more than a turn comes late when nothing holds it up
  localparam int unsigned CONTEXT_WIDTH = GATHER_WIDTH + 32 + BUCKET_WIDTH + RATE_WIDTH + 2;

  typedef enum logic [3:0] {
    IDLE, LOAD, DIVIDE, DECIDE, POP, ANSWER, HAND, CHARGE, LOSE, HALT, STORE
  } state_t;
  state_t                    state_q;
  logic [VI_WIDTH-1:0]       vi_q;
  logic                      extra_q;      // not a turn: bytes to be charged
  logic [23:0]               charge_q;     // bytes
  logic                      more_q;
  logic                      skip_q;       // a descriptor was bad: the rest of its packet goes
  logic [6:0]                skip_count_q;
  pst_tx_pkg::gather_t       gather_q;
  logic signed [31:0]        deficit_q;
  logic [BUCKET_WIDTH-1:0]   bucket_q;     // when the token bucket is full again
  logic [RATE_WIDTH-1:0]     ns_per_byte_q;
  logic                      rated_q;      // ns_per_byte_q is that of this life
  logic                      waited_q;     // for its rate limit, since its last packet
  logic                      any_source_q;
  logic [31:0]               rate_mbps_q;

  // ---- Memories: options and context of each VI. A new life's context is blank.
  logic [40:0]              options_mem [VI_COUNT];
  logic [CONTEXT_WIDTH-1:0] context_mem [VI_COUNT];
  logic [40:0]              options_rdata_q;
  logic [CONTEXT_WIDTH-1:0] context_rdata_q;
  logic [VI_COUNT-1:0]      fresh_q;
  logic                     looks;
  logic [VI_WIDTH-1:0]      look_vi;
  assign extra_taken_o = state_q == IDLE && extra_valid_i;
  assign next_taken_o = state_q == IDLE && !extra_valid_i && next_valid_i;
  assign looks = extra_taken_o || next_taken_o;
  assign look_vi = extra_valid_i ? extra_vi_i : next_vi_i;
  always_ff @(posedge clk_i) begin
    if (looks) begin
      options_rdata_q <= options_mem[look_vi];
      context_rdata_q <= context_mem[look_vi];
    end
    if (start_valid_i) options_mem[start_vi_i] <= {start_any_source_i, start_weight_i, start_rate_mbps_i};
    if (state_q == STORE) context_mem[vi_q] <= {gather_q, deficit_q, bucket_q, ns_per_byte_q, rated_q, waited_q};
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fresh_q <= '1;
    end else begin
      if (state_q == STORE) fresh_q[vi_q] <= 1'b0;
      if (start_valid_i) fresh_q[start_vi_i] <= 1'b1;
    end
  end

  // ---- The descriptor that has come.
  logic [GATHER_WIDTH-1:0] gather_next;
  logic                    takes, step_store, step_last, step_bad;
  assign takes = state_q == ANSWER && answer_valid_i && answer_found_i;
  pst_tx_gather u_gather (
    .valid_i(takes),
    .gather_i(gather_q),
    .idx_i(answer_idx_i),
    .desc_i(answer_desc_i),
    .pio_i(answer_pio_i),
    .any_source_i(any_source_q),
    .mtu_bytes_i,
    .gather_o(gather_next),
    .store_o(step_store),
    .last_o(step_last),
    .bad_o(step_bad),
    .packet_o
  );
  assign list_wr_valid_o = takes && step_store && !step_bad && !skip_q;
  assign list_wr_position_o = gather_q.position + gather_q.count;
  assign list_wr_fragment_o = answer_desc_i[79:0];
  assign popping_o = state_q == POP || state_q == ANSWER;
  assign pop_valid_o = state_q == POP;
  assign packet_valid_o = state_q == HAND && running_i[vi_q];
  assign loss_valid_o = state_q == LOSE;
  assign halt_valid_o = state_q == HALT;
  assign halt_index_o = gather_q.first_idx;
  assign busy_o = state_q != IDLE;
  assign busy_vi_o = vi_q;
  assign again_valid_o = state_q == STORE && more_q && running_i[vi_q];

  // ---- Rates.
  logic                    divide_starts, divide_done;
  logic [RATE_WIDTH-1:0]   divided;
  logic [BUCKET_WIDTH-1:0] now, late, full, product;
  logic [63:0]             ready_ns;
  logic                    limited;
  pst_tx_rate u_rate (
    .clk_i, .rst_ni,
    .start_i(divide_starts),
    .rate_mbps_i(rate_mbps_q),
    .done_o(divide_done),
    .ns_per_byte_o(divided)
  );
  assign divide_starts = state_q == DECIDE && running_i[vi_q] && rate_mbps_q != 32'd0 && !rated_q;
  // A VI that has waited for its rate limit goes on from where that let it, not from when its turn came.
  always_comb begin
    {now, late, full, product} = '0;
    if (state_q == CHARGE) begin
      late = waited_q ? {WAIT_LATE_NS, 16'd0} : '0;
      now = {time_ns_i, 16'd0};
      full = !extra_q && now > bucket_q + late ? now - late : bucket_q;
      product = BUCKET_WIDTH'((64'(charge_q) * 64'(ns_per_byte_q)) >> 8);
    end
  end
  assign ready_ns = bucket_q[BUCKET_WIDTH-1:16] + {63'd0, bucket_q[15:0] != 16'd0};
  assign limited = rate_mbps_q != 32'd0 && ready_ns > time_ns_i;
  assign wait_valid_o = state_q == DECIDE && !extra_q && running_i[vi_q] && !divide_starts && !skip_q && deficit_q > 0 &&
                        limited;
  assign wait_ns_o = ready_ns;

  // ---- The turn. DECIDE comes before each descriptor; a packet's later ones find what its first one found.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= IDLE;
    end else begin
      case (state_q)
        IDLE: if (looks) state_q <= LOAD;
        LOAD: state_q <= DECIDE;
        DECIDE: begin
          if (!running_i[vi_q] && !skip_q) state_q <= STORE;
          else if (divide_starts) state_q <= DIVIDE;
          else if (extra_q && fresh_q[vi_q]) state_q <= IDLE;  // the packet was one of an earlier life
          else if (extra_q) state_q <= rate_mbps_q != 32'd0 ? CHARGE : STORE;
          else if (!skip_q && (deficit_q <= 0 || limited)) state_q <= STORE;
          else if (!hold_i) state_q <= POP;
        end
        DIVIDE: if (divide_done) state_q <= DECIDE;
        POP: if (pop_ready_i) state_q <= ANSWER;
        ANSWER: begin
          if (answer_valid_i) begin
            if (!answer_found_i) state_q <= skip_q ? LOSE : STORE;
            else if (step_last && (skip_q || step_bad)) state_q <= LOSE;
            else if (step_last) state_q <= HAND;
            else state_q <= skip_q && skip_count_q == 7'(CACHE_DEPTH) ? LOSE : DECIDE;
          end
        end
        HAND: begin
          if (!running_i[vi_q]) state_q <= LOSE;
          else if (packet_ready_i) state_q <= rate_mbps_q != 32'd0 ? CHARGE : DECIDE;
        end
        CHARGE: state_q <= extra_q ? STORE : DECIDE;
        LOSE: if (loss_ready_i) state_q <= skip_q ? HALT : STORE;
        HALT: if (halt_ready_i) state_q <= STORE;
        STORE: state_q <= IDLE;
        default: state_q <= IDLE;
      endcase
    end
  end

  logic signed [31:0]        quantum, deficit_rdata, deficit_with;
  logic [CONTEXT_WIDTH-1:0]  context_now;
  assign context_now = state_q == LOAD && !fresh_q[vi_q] ? context_rdata_q : {CONTEXT_WIDTH{1'b0}};
  assign deficit_rdata = context_now[BUCKET_WIDTH+RATE_WIDTH+2 +: 32];
  assign quantum = 32'(QUANTUM_BYTES) * {24'd0, options_rdata_q[39:32]};
  assign deficit_with = extra_q ? deficit_rdata - 32'(charge_q) : deficit_rdata + quantum;
  always_ff @(posedge clk_i) begin
    case (state_q)
      IDLE: begin
        if (looks) begin
          vi_q <= look_vi;
          extra_q <= extra_valid_i;
          charge_q <= extra_bytes_i;
          more_q <= 1'b0;
          skip_q <= 1'b0;
          skip_count_q <= 7'd0;
        end
      end
      LOAD: begin
        {any_source_q, rate_mbps_q} <= {options_rdata_q[40], options_rdata_q[31:0]};
        gather_q <= context_now[CONTEXT_WIDTH-1 -: GATHER_WIDTH];
        {bucket_q, ns_per_byte_q, rated_q, waited_q} <= context_now[BUCKET_WIDTH+RATE_WIDTH+1:0];
        deficit_q <= !extra_q && deficit_with > 32'sd2 * quantum ? 32'sd2 * quantum : deficit_with;
      end
      DECIDE: begin
        more_q <= deficit_q <= 0;
        if (wait_valid_o) waited_q <= 1'b1;
      end
      DIVIDE: begin
        if (divide_done) begin
          ns_per_byte_q <= divided;
          rated_q <= 1'b1;
        end
      end
      ANSWER: begin
        if (takes) begin
          if (!skip_q) gather_q <= gather_next;
          if (step_bad) skip_q <= 1'b1;
          skip_count_q <= skip_count_q + 7'd1;
        end
        // What the VI could not use because its descriptors are on their way is kept, what it did not want is lost.
        if (answer_valid_i && !answer_found_i && !answer_posted_i && deficit_q > 0) deficit_q <= 32'sd0;
      end
      HAND: begin
        charge_q <= {2'd0, gather_q.bytes};
        if (packet_ready_i || !running_i[vi_q]) begin
          gather_q <= GATHER_WIDTH'(0);
          gather_q.position <= gather_q.position + gather_q.count;
        end
        if (packet_ready_i) deficit_q <= deficit_q - $signed({10'd0, gather_q.bytes});
      end
      CHARGE: begin
        bucket_q <= full + product;
        waited_q <= waited_q && extra_q;
      end
      STORE: ;
      default: ;
    endcase
  end

  assign quiet_o = state_q == IDLE ? !looks && !start_valid_i :
                   state_q == HAND ? running_i[vi_q] && !packet_ready_i && !start_valid_i : 1'b0;

endmodule
