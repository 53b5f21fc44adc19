// One operation on one VI's event queue: context before it in, context after it and what is to be done out. Combinational;
// pst_event_queue keeps the contexts. Rules R4 to R7, and EVQ_CONSUMER, EVQ_PRIME and MODERATION_SET of the contract.
module pst_event_queue_step (
  input  logic [3:0]                                   op_i,
  input  logic [15:0]                                  vi_i,
  input  logic [pst_event_queue_pkg::CONFIG_WIDTH-1:0] payload_i,  // event; {sequence, index} of a doorbell; configuration
  input  logic [pst_event_queue_pkg::CONTEXT_WIDTH-1:0] context_i,
  input  logic [63:0]                                  now_ns_i,
  input  logic                                         owed_i,  // this VI owes another one a wakeup event

  output logic [pst_event_queue_pkg::CONTEXT_WIDTH-1:0] context_o,
  output logic [2:0]                                   answer_o,
  output logic                                         write_o,  // event to write
  output logic [63:0]                                  write_address_o,
  output logic [127:0]                                 write_data_o,
  output logic                                         wake_o,  // the queue's owner is woken: by message or event
  output logic                                         message_o,  // ... by an MSI-X message
  output logic                                         owe_o,  // ... by an event in another VI's queue
  output logic                                         deliver_o,  // OP_SCAN: try the owed wakeup event now
  output logic                                         halt_o,
  output logic [3:0]                                   halt_source_o,
  output logic [15:0]                                  halt_code_o,
  output logic [31:0]                                  halt_index_o,
  output logic                                         space_o,  // space has returned for which a requester waits
  output logic                                         kick_o,  // ... for which wakeup events wait, or the VI has stopped
  output logic                                         stalled_o,
  output logic                                         lost_o,  // a wakeup has no target
  output logic                                         ignored_o,  // a doorbell of a VI that does not run
  output logic                                         bad_o      // a doorbell with an index or sequence that cannot be
);

  pst_event_queue_pkg::context_t now;    // before
  pst_event_queue_pkg::context_t mid;    // after slots, space and prime
  pst_event_queue_pkg::context_t after;  // after the wakeup's decision
  pst_event_queue_pkg::config_t  cfg;    // of a command

  assign now = context_i;
  assign cfg = payload_i;
  assign context_o = after;

  logic [127:0] event_data;
  logic [31:0]  door_idx;
  assign event_data = payload_i[127:0];
  assign door_idx = payload_i[31:0];

  logic        active, is_error, accepts;
  logic [31:0] entries, depth, used, ahead, behind;
  logic        full, stale, in_ring, sequence_zero;
  assign entries = 32'd1 << now.cfg.entries_log2;
  assign depth = now.producer_idx - now.consumer_idx;
  assign used = depth + {16'd0, now.reserved_count};
  assign full = used >= entries;
  assign active = now.life != pst_event_queue_pkg::LIFE_FREE;
  assign is_error = op_i == pst_event_queue_pkg::OP_POST &&
                    event_data[pst_contract_pkg::PST_EVENT_TYPE_LSB +: pst_contract_pkg::PST_EVENT_TYPE_WIDTH] ==
                      pst_contract_pkg::PST_EVENT_TYPE_ERROR;
  assign accepts = now.life == pst_event_queue_pkg::LIFE_RUNNING || (active && is_error);
  assign ahead = door_idx - now.consumer_idx;
  assign behind = now.consumer_idx - door_idx;
  assign stale = behind <= entries;
  assign in_ring = ahead <= depth;
  assign sequence_zero = payload_i[47:32] == 16'd0;

  // The slot that the next event takes (R4): phase is 1 in the first pass.
  logic odd_pass;
  assign odd_pass = (now.producer_idx & entries) != 32'd0;
  always_comb begin
    write_address_o = now.cfg.address + {28'd0, now.producer_idx & (entries - 32'd1), 4'd0};
    write_data_o = event_data;
    write_data_o[pst_contract_pkg::PST_EVENT_PHASE_LSB] = !odd_pass;
    write_data_o[pst_contract_pkg::PST_EVENT_OVERFLOW_MARK_LSB] = now.overflow_mark;
  end

  logic consider;  // the wakeup is to be judged
  logic returned;  // space has returned
  logic bad;       // BAD_DOORBELL
  logic overflow;  // QUEUE_OVERFLOW
  logic redirect;  // an owed wakeup event becomes a message
  always_comb begin
    mid = now;
    answer_o = pst_event_queue_pkg::ANSWER_OK;
    write_o = 1'b0;
    consider = 1'b0;
    returned = 1'b0;
    bad = 1'b0;
    overflow = 1'b0;
    stalled_o = 1'b0;
    ignored_o = 1'b0;
    deliver_o = 1'b0;
    redirect = 1'b0;
    case (op_i)
      pst_event_queue_pkg::OP_POST, pst_event_queue_pkg::OP_RESERVE, pst_event_queue_pkg::OP_POST_RESERVED,
      pst_event_queue_pkg::OP_WAKE_EVENT: begin
        if (!accepts) begin
          answer_o = pst_event_queue_pkg::ANSWER_GONE;
        end else if (op_i == pst_event_queue_pkg::OP_POST_RESERVED && now.reserved_count != 16'd0) begin
          mid.reserved_count = now.reserved_count - 16'd1;
          write_o = 1'b1;
        end else if (full) begin
          // An error event waits whatever the policy: the VI has halted already.
          if (is_error || now.cfg.policy == pst_contract_pkg::PST_EVQ_POLICY_STALL) begin
            answer_o = pst_event_queue_pkg::ANSWER_STALL;
            stalled_o = !is_error;
            if (op_i == pst_event_queue_pkg::OP_WAKE_EVENT) mid.waiters = 1'b1;
            else mid.space_wanted = 1'b1;
          end else if (now.cfg.policy == pst_contract_pkg::PST_EVQ_POLICY_DROP) begin
            answer_o = pst_event_queue_pkg::ANSWER_DROP;
            mid.overflow_mark = 1'b1;
          end else begin
            answer_o = pst_event_queue_pkg::ANSWER_HALT;
            overflow = 1'b1;
          end
        end else if (op_i == pst_event_queue_pkg::OP_RESERVE) begin
          mid.reserved_count = now.reserved_count + 16'd1;
        end else begin
          write_o = 1'b1;
        end
        if (write_o) begin
          mid.producer_idx = now.producer_idx + 32'd1;
          mid.overflow_mark = 1'b0;
          mid.urgent = now.urgent || (is_error && now.life == pst_event_queue_pkg::LIFE_HALTED);
          if (now.since_count != pst_event_queue_pkg::MANY_EVENTS) mid.since_count = now.since_count + 4'd1;
          consider = 1'b1;
        end
      end
      pst_event_queue_pkg::OP_RELEASE: begin
        if (active && now.reserved_count != 16'd0) begin
          mid.reserved_count = now.reserved_count - 16'd1;
          returned = 1'b1;
        end
      end
      pst_event_queue_pkg::OP_CONSUME, pst_event_queue_pkg::OP_PRIME: begin
        if (!active) begin
          ignored_o = 1'b1;
        end else if ((op_i == pst_event_queue_pkg::OP_PRIME && sequence_zero) || !(stale || in_ring)) begin
          bad = 1'b1;
        end else begin
          if (!stale) begin
            mid.consumer_idx = door_idx;
            returned = 1'b1;
          end
          if (op_i == pst_event_queue_pkg::OP_PRIME) begin
            mid.primed = 1'b1;
            mid.prime_idx = door_idx;
            // What a planned wakeup was for has been consumed.
            if (now.producer_idx == door_idx) mid.armed = 1'b0;
            consider = 1'b1;
          end
        end
      end
      pst_event_queue_pkg::OP_SCAN: begin
        if (now.armed && now_ns_i >= now.due_ns) begin
          consider = 1'b1;
        end else if (owed_i) begin
          deliver_o = 1'b1;
          mid.wake_tried = 1'b1;
        end
      end
      pst_event_queue_pkg::OP_START: begin
        mid = '0;
        mid.cfg = cfg;
        mid.life = pst_event_queue_pkg::LIFE_RUNNING;
      end
      pst_event_queue_pkg::OP_STOP: begin
        mid.life = pst_event_queue_pkg::LIFE_FREE;
        mid.primed = 1'b0;
        mid.armed = 1'b0;
      end
      pst_event_queue_pkg::OP_HALT: begin
        if (now.life == pst_event_queue_pkg::LIFE_RUNNING) begin
          mid.life = pst_event_queue_pkg::LIFE_HALTED;
          mid.armed = 1'b0;  // the prime stays: a sleeper must learn of the error
          consider = 1'b1;
        end
      end
      pst_event_queue_pkg::OP_BIND: begin
        mid.cfg.vector_ = cfg.vector_;
        mid.cfg.wake_to_vi = cfg.wake_to_vi;
        mid.cfg.wake_vi = cfg.wake_vi;
        redirect = owed_i && active && !cfg.wake_to_vi;
      end
      pst_event_queue_pkg::OP_MODERATE: begin
        if (active) begin
          mid.cfg.holdoff_ns = cfg.holdoff_ns;
          mid.cfg.holdoff_events = cfg.holdoff_events;
          mid.cfg.adaptive = cfg.adaptive;
          mid.holdoff_level = 3'd0;
          mid.armed = 1'b0;
          consider = 1'b1;
        end
      end
      default: ;
    endcase
    space_o = returned && now.space_wanted;
    if (returned) mid.space_wanted = 1'b0;
    kick_o = now.waiters && (returned || (op_i == pst_event_queue_pkg::OP_HALT ||
             op_i == pst_event_queue_pkg::OP_STOP || op_i == pst_event_queue_pkg::OP_START));
    if (kick_o) mid.waiters = 1'b0;
  end

  assign bad_o = bad;
  // A bad doorbell of a halted VI changes nothing: it has its error.
  assign halt_o = (bad || overflow) && now.life == pst_event_queue_pkg::LIFE_RUNNING;
  assign halt_source_o = bad ? pst_contract_pkg::PST_ERROR_SOURCE_DOORBELL : pst_contract_pkg::PST_ERROR_SOURCE_EVQ;
  assign halt_code_o = bad ? pst_contract_pkg::PST_ERROR_CODE_BAD_DOORBELL
                           : pst_contract_pkg::PST_ERROR_CODE_QUEUE_OVERFLOW;
  assign halt_index_o = bad ? door_idx : now.producer_idx;

  // Moderation (R7). Least time since the last wakeup: HOLDOFF_NS, or the adaptive fraction of it, rounded up.
  logic [31:0] pending_count;
  logic [2:0]  level_shift;
  logic [32:0] rounding;
  logic [31:0] least_ns;
  logic        by_count, immediate, due_now;
  logic [63:0] due_ns;
  assign pending_count = mid.producer_idx - mid.prime_idx;
  assign level_shift = pst_event_queue_pkg::HOLDOFF_LEVEL_MAX - mid.holdoff_level;
  assign rounding = {1'b0, mid.cfg.holdoff_ns} + (33'd1 << level_shift) - 33'd1;
  always_comb begin
    least_ns = mid.cfg.holdoff_ns;
    if (mid.cfg.adaptive) begin
      least_ns = mid.holdoff_level == 3'd0 ? 32'd0 : 32'(rounding >> level_shift);
    end
  end
  assign by_count = !mid.cfg.adaptive && mid.cfg.holdoff_events > 16'd1;
  assign immediate = mid.cfg.holdoff_ns == 32'd0 ||
                     (by_count ? pending_count >= {16'd0, mid.cfg.holdoff_events} : !mid.woke_before);
  assign due_ns = (by_count ? now_ns_i : mid.last_wakeup_ns) + {32'd0, least_ns};
  assign due_now = immediate || due_ns <= now_ns_i || op_i == pst_event_queue_pkg::OP_SCAN ||
                   (mid.life == pst_event_queue_pkg::LIFE_HALTED && mid.urgent);
  logic has_vector;
  assign has_vector = mid.cfg.vector_ != pst_contract_pkg::PST_VECTOR_NONE[15:0];
  assign wake_o = consider && mid.primed && pending_count != 32'd0 && due_now;

  always_comb begin
    after = mid;
    message_o = redirect && has_vector;
    owe_o = 1'b0;
    lost_o = 1'b0;
    if (wake_o) begin
      after.primed = 1'b0;
      after.armed = 1'b0;
      after.since_count = 4'd0;
      after.woke_before = 1'b1;
      after.last_wakeup_ns = now_ns_i;
      after.wake_tried = 1'b0;
      if (mid.cfg.adaptive) begin
        if (mid.since_count >= pst_event_queue_pkg::MANY_EVENTS) begin
          if (mid.holdoff_level != pst_event_queue_pkg::HOLDOFF_LEVEL_MAX) after.holdoff_level = mid.holdoff_level + 3'd1;
        end else if (mid.since_count < pst_event_queue_pkg::FEW_EVENTS && mid.holdoff_level != 3'd0) begin
          after.holdoff_level = mid.holdoff_level - 3'd1;
        end
      end
      message_o = !mid.cfg.wake_to_vi && has_vector;
      owe_o = mid.cfg.wake_to_vi && mid.cfg.wake_vi != vi_i;
      lost_o = mid.cfg.wake_to_vi && mid.cfg.wake_vi == vi_i;
    end else if (consider && mid.primed && pending_count != 32'd0 && !mid.armed) begin
      after.armed = 1'b1;
      after.due_ns = due_ns;
    end
  end

endmodule
