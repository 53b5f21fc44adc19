// Completes packets in their order when their frames have left: tells pst_desc_fetch, then the host by TX events. An event
// that finds no space under policy STALL waits, cumulatively, and is tried again when space returns.
module pst_tx_completion #(
  parameter int unsigned VI_COUNT = 64,
  parameter int unsigned BATCH = 16,  // packets per TX event when none asks for its own and the queue does not empty
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned ENTRY_WIDTH = pst_tx_pkg::ENTRY_WIDTH
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  output logic                   quiet_o,

  input  logic                   take_valid_i,
  input  logic [ENTRY_WIDTH-1:0] take_entry_i,
  input  logic [VI_WIDTH-1:0]    take_vi_i,
  input  logic [pst_tx_pkg::PACKET_WIDTH-1:0] take_packet_i,
  input  logic                   start_valid_i,  // a life begins
  input  logic [VI_WIDTH-1:0]    start_vi_i,
  input  logic [VI_COUNT-1:0]    alive_i,

  // Frames of packet verdict_i, which is the next one to get its verdict; then each frame as it leaves.
  input  logic                   verdict_valid_i,
  input  logic [ENTRY_WIDTH-1:0] verdict_i,
  input  logic [15:0]            verdict_frames_i,
  input  logic                   left_valid_i,
  input  logic                   left_lost_i,
  input  logic [63:0]            left_time_ns_i,
  output logic [ENTRY_WIDTH-1:0] complete_o,  // packets before it have been completed
  input  logic                   dead_i,      // that packet's VI has ended

  output logic                   loss_valid_o,  // TX_LINK_DOWN
  input  logic                   loss_ready_i,
  output logic [VI_WIDTH-1:0]    vi_o,  // of loss, done and event
  output logic                   done_valid_o,
  input  logic                   done_ready_i,
  output logic [31:0]            done_idx_o,
  output logic                   ev_valid_o,
  input  logic                   ev_ready_i,
  output logic [127:0]           ev_data_o,
  input  logic                   answer_valid_i,
  input  logic [2:0]             answer_i,
  input  logic                   space_valid_i,
  input  logic [VI_WIDTH-1:0]    space_vi_i,

  // The VI ends: nothing of it waits any more. With report_i what has not been reported is, if there is space.
  input  logic                   flush_valid_i,
  output logic                   flush_done_o,
  input  logic [VI_WIDTH-1:0]    flush_vi_i,
  input  logic                   flush_report_i
);

  localparam int unsigned ENTRY_COUNT = pst_tx_pkg::ENTRY_COUNT;
  localparam int unsigned SCAN_WIDTH = VI_COUNT < 32 ? VI_COUNT : 32;
  localparam int unsigned CONTEXT_WIDTH = 8 + 32 + 32 + 7;
  pst_tx_pkg::packet_t packet;
  assign packet = take_packet_i;

  // ---- Frames that leave are counted against the verdict of the packet whose turn it is. They wait here while packets of no
  // frames are passed, a packet a cycle: so there are never more than there are packets.
  logic [64:0]            left_mem [ENTRY_COUNT];
  logic [15:0]            frames_mem [ENTRY_COUNT];
  logic [65:0]            gone_mem [ENTRY_COUNT];  // no frame, one was lost, time of the first one
  logic [ENTRY_WIDTH:0]   left_wr_q, left_rd_q;
  logic [ENTRY_WIDTH-1:0] leave_q, complete_q;
  logic [15:0]            count_q, frames;
  logic [64:0]            first_q, left, gone;
  logic                   known, counts, passes;
  assign left = left_mem[left_rd_q[ENTRY_WIDTH-1:0]];
  assign frames = frames_mem[leave_q];
  assign known = leave_q != verdict_i;
  assign counts = known && frames != 16'd0 && left_rd_q != left_wr_q;
  assign passes = known && (frames == 16'd0 || (counts && count_q + 16'd1 == frames));
  assign gone = count_q == 16'd0 ? left : {first_q[64] || left[64], first_q[63:0]};
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      left_wr_q <= '0;
      left_rd_q <= '0;
      leave_q <= '0;
      count_q <= 16'd0;
    end else begin
      if (left_valid_i) left_wr_q <= left_wr_q + 1'b1;
      if (counts) begin
        left_rd_q <= left_rd_q + 1'b1;
        count_q <= passes ? 16'd0 : count_q + 16'd1;
      end
      if (passes) leave_q <= leave_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (left_valid_i) left_mem[left_wr_q[ENTRY_WIDTH-1:0]] <= {left_lost_i, left_time_ns_i};
    if (verdict_valid_i) frames_mem[verdict_i] <= verdict_frames_i;
    if (counts) first_q <= gone;
    if (passes) gone_mem[leave_q] <= frames == 16'd0 ? {1'b1, 65'd0} : {1'b0, gone};
  end

  // ---- VIs whose event waits for space, and those for which space has returned.
  logic [VI_COUNT-1:0] pending_q, retry_q;
  logic                retry_valid, retry_taken, stalls, settles;
  logic [VI_WIDTH-1:0] retry_vi, vi_q;
  pst_event_queue_scan #(.VI_COUNT(VI_COUNT), .SCAN_WIDTH(SCAN_WIDTH), .WORD_COUNT(VI_COUNT / SCAN_WIDTH),
                         .BIT_WIDTH($clog2(SCAN_WIDTH))) u_scan (
    .clk_i, .rst_ni,
    .attention_i(retry_q),
    .valid_o(retry_valid),
    .vi_o(retry_vi),
    .taken_i(retry_taken)
  );
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      pending_q <= '0;
      retry_q <= '0;
    end else begin
      if (stalls) pending_q[vi_q] <= 1'b1;
      if (settles) pending_q[vi_q] <= 1'b0;
      if (space_valid_i && (pending_q[space_vi_i] || (stalls && space_vi_i == vi_q))) retry_q[space_vi_i] <= 1'b1;
      if (retry_taken) retry_q[retry_vi] <= 1'b0;
      if (flush_done_o) begin
        pending_q[flush_vi_i] <= 1'b0;
        retry_q[flush_vi_i] <= 1'b0;
      end
    end
  end

  // ---- One at a time: the end of a VI, an event that is tried again, a packet.
  typedef enum logic [3:0] {IDLE, PACKET, LOAD, JUDGE, LOSS, DONE, EVENT, ANSWER, STORE} state_t;
  state_t                 state_q;
  logic                   clearing_q;  // after reset each context is emptied
  logic [VI_WIDTH-1:0]    clear_vi_q;
  logic                   packet_q, flush_q;
  logic                   dead_q;
  logic [65:0]            gone_q;
  logic [VI_WIDTH+33:0]   job_mem [ENTRY_COUNT];
  logic [VI_WIDTH+33:0]   job_q;
  logic [31:0]            end_idx;
  logic                   asks_time, asks_event, timed;
  logic [VI_WIDTH-1:0]    job_vi;
  assign {job_vi, end_idx, asks_time, asks_event} = job_q;
  assign timed = packet_q && asks_time && gone_q[65:64] == 2'd0;

  logic [CONTEXT_WIDTH-1:0] context_mem [VI_COUNT];
  logic [CONTEXT_WIDTH-1:0] context_rdata_q;
  logic [7:0]               taken_mem [VI_COUNT];  // packets, for ever
  logic [VI_COUNT-1:0]      fresh_q;
  logic [7:0]               count_done_q;  // packets completed or given up, for ever
  logic [31:0]              completed_q, reported_q;
  logic [6:0]               unreported_q;
  logic [7:0]               count_done;
  logic [31:0]              completed, reported;
  logic [6:0]               unreported;
  assign count_done = context_rdata_q[CONTEXT_WIDTH-1 -: 8];
  assign {completed, reported, unreported} = fresh_q[vi_q] ? 71'd0 : context_rdata_q[70:0];

  logic in_flight, wants;
  assign in_flight = taken_mem[vi_q] != count_done_q;
  assign wants = timed || asks_event || unreported_q >= 7'(BATCH) || !in_flight;
  assign retry_taken = state_q == IDLE && !clearing_q && !flush_valid_i && retry_valid;
  assign stalls = state_q == ANSWER && answer_valid_i && !flush_q && answer_i == pst_event_queue_pkg::ANSWER_STALL;
  assign settles = state_q == ANSWER && answer_valid_i && !flush_q && !timed &&
                   answer_i != pst_event_queue_pkg::ANSWER_STALL;
  assign flush_done_o = flush_q && state_q == STORE;
  assign complete_o = complete_q;
  assign vi_o = vi_q;
  assign loss_valid_o = state_q == LOSS;
  assign done_valid_o = state_q == DONE;
  assign done_idx_o = completed_q;
  assign ev_valid_o = state_q == EVENT;
  assign ev_data_o = {32'd0, completed_q, timed ? gone_q[47:0] : 48'd0, 11'd0, timed, pst_contract_pkg::PST_EVENT_TYPE_TX};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= IDLE;
      complete_q <= '0;
      clearing_q <= 1'b1;
      clear_vi_q <= '0;
      fresh_q <= '1;
    end else begin
      if (clearing_q) begin
        clear_vi_q <= clear_vi_q + 1'b1;
        clearing_q <= clear_vi_q != VI_WIDTH'(VI_COUNT - 1);
      end
      case (state_q)
        IDLE: begin
          if (clearing_q) state_q <= IDLE;
          else if (flush_valid_i || retry_valid) state_q <= LOAD;
          else if (complete_q != leave_q) state_q <= PACKET;
        end
        PACKET: state_q <= LOAD;
        LOAD: state_q <= JUDGE;
        JUDGE: begin
          if (flush_q) state_q <= flush_report_i && completed != reported ? EVENT : STORE;
          else if (!packet_q) state_q <= alive_i[vi_q] && pending_q[vi_q] ? EVENT : STORE;
          else if (gone_q[64]) state_q <= LOSS;
          else state_q <= dead_q || !alive_i[vi_q] ? STORE : DONE;
        end
        LOSS: if (loss_ready_i) state_q <= dead_q || !alive_i[vi_q] ? STORE : DONE;
        DONE: if (done_ready_i) state_q <= wants ? EVENT : STORE;
        EVENT: if (ev_ready_i) state_q <= ANSWER;
        ANSWER: if (answer_valid_i) state_q <= STORE;
        STORE: state_q <= IDLE;
        default: state_q <= IDLE;
      endcase
      if (state_q == STORE) begin
        fresh_q[vi_q] <= 1'b0;
        if (packet_q) complete_q <= complete_q + 1'b1;
      end
      if (start_valid_i) fresh_q[start_vi_i] <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    case (state_q)
      IDLE: begin
        flush_q <= flush_valid_i;
        packet_q <= !flush_valid_i && !retry_valid;
        vi_q <= flush_valid_i ? flush_vi_i : retry_vi;
        dead_q <= dead_i;
        if (complete_q != leave_q) begin
          job_q <= job_mem[complete_q];
          gone_q <= gone_mem[complete_q];
        end
      end
      PACKET: vi_q <= job_vi;
      JUDGE: begin
        count_done_q <= count_done + 8'(packet_q);
        completed_q <= completed;
        reported_q <= reported;
        unreported_q <= unreported;
        if (packet_q && !dead_q && alive_i[vi_q]) begin
          completed_q <= end_idx;
          unreported_q <= unreported + 7'(unreported != '1);
        end
      end
      ANSWER: begin
        if (answer_valid_i && answer_i == pst_event_queue_pkg::ANSWER_OK) reported_q <= completed_q;
        if (answer_valid_i && (answer_i == pst_event_queue_pkg::ANSWER_OK ||
                               (answer_i == pst_event_queue_pkg::ANSWER_DROP && !timed))) begin
          unreported_q <= 7'd0;
        end
      end
      default: ;
    endcase
    if (state_q == LOAD) context_rdata_q <= context_mem[vi_q];
    if (clearing_q || state_q == STORE) begin
      context_mem[clearing_q ? clear_vi_q : vi_q] <=
          clearing_q ? {CONTEXT_WIDTH{1'b0}} : {count_done_q, completed_q, reported_q, unreported_q};
    end
    if (clearing_q || take_valid_i) begin
      taken_mem[clearing_q ? clear_vi_q : take_vi_i] <= clearing_q ? 8'd0 : taken_mem[take_vi_i] + 8'd1;
    end
    if (take_valid_i) begin
      job_mem[take_entry_i] <= {take_vi_i, packet.parts.end_idx, packet.parts.timestamp, packet.parts.complete};
    end
  end

  logic still;
  always_comb begin
    case (state_q)
      IDLE: still = !flush_valid_i && retry_q == '0 && complete_q == leave_q;
      LOSS: still = !loss_ready_i;
      DONE: still = !done_ready_i;
      EVENT: still = !ev_ready_i;
      default: still = 1'b0;
    endcase
  end
  assign quiet_o = still && !clearing_q && !counts && !passes && !left_valid_i && !verdict_valid_i && !take_valid_i &&
                   !start_valid_i && !space_valid_i && (retry_q == '0 || retry_valid);

endmodule
