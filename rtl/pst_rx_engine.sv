// Takes one copy after another to the buffers of its VI: descriptors, translation, event space, then a job for pst_rx_scatter.
// A copy that must wait goes to pst_rx_waiting, so none holds up another VI's. Ends lives and merges too, between copies.
module pst_rx_engine #(
  parameter int unsigned VI_COUNT = 1024,  // a power of two, at least 2
  parameter int unsigned VI_SHARE_BYTES = 32768,  // of the port's buffer, for the copies of one VI that wait
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned ENTRY_WIDTH = pst_rx_dma_pkg::ENTRY_WIDTH,
  localparam int unsigned GENERATION_WIDTH = pst_rx_dma_pkg::GENERATION_WIDTH
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic idle_o,  // nothing is at hand, and no halt is offered

  // pst_rx_turn: one of them at a time, when free_o
  output logic                                  free_o,
  input  logic                                  begin_i,
  input  logic [VI_WIDTH-1:0]                   begin_vi_i,
  input  logic                                  take_end_i,
  input  logic                                  take_over_i,
  input  logic                                  take_all_closed_i,
  input  logic                                  take_retry_i,
  input  logic                                  take_new_i,
  input  logic                                  end_op_i,
  input  logic [GENERATION_WIDTH-1:0]           over_generation_i,
  input  logic                                  over_applies_i,  // a cycle later
  input  logic [pst_rx_dma_pkg::COPY_WIDTH-1:0] new_copy_i,
  output logic [VI_WIDTH-1:0]                   vi_o,  // the VI at hand

  // pst_rx_lives
  output logic                                     stop_o,  // the VI at hand is to be halted
  input  logic                                     running_i,
  input  logic [pst_rx_dma_pkg::OPTIONS_WIDTH-1:0] options_i,

  // pst_rx_waiting
  input  logic                                  free_valid_i,
  input  logic [ENTRY_WIDTH-1:0]                free_entry_i,
  output logic                                  put_o,
  output logic [pst_rx_dma_pkg::COPY_WIDTH-1:0] put_copy_o,
  output logic                                  link_o,
  output logic [ENTRY_WIDTH-1:0]                link_entry_o,
  output logic                                  get_o,
  output logic [ENTRY_WIDTH-1:0]                get_entry_o,
  input  logic [pst_rx_dma_pkg::COPY_WIDTH-1:0] get_copy_i,
  input  logic [ENTRY_WIDTH-1:0]                get_next_i,
  output logic                                  give_o,
  output logic [ENTRY_WIDTH-1:0]                give_entry_o,
  output logic                                  mark_o,
  output logic                                  mark_desc_o,
  output logic                                  mark_space_o,
  output logic                                  mark_ready_o,

  // pst_rx_merge
  output logic                        open_o,
  output logic [GENERATION_WIDTH-1:0] open_generation_o,

  // pst_desc_fetch
  output logic         pop_valid_o,
  input  logic         pop_ready_i,
  input  logic         answer_valid_i,
  input  logic         answer_found_i,
  input  logic         answer_more_i,
  input  logic         answer_posted_i,
  input  logic [127:0] answer_desc_i,
  // pst_translation
  output logic         xl_valid_o,
  input  logic         xl_ready_i,
  output logic [63:0]  xl_address_o,
  output logic [16:0]  xl_bytes_o,
  input  logic         xl_answer_valid_i,
  input  logic         xl_ok_i,
  input  logic [63:0]  xl_host_i,
  input  logic [16:0]  xl_run_i,
  // pst_event_queue: OP_RESERVE
  output logic         ev_valid_o,
  input  logic         ev_ready_i,
  input  logic         ev_answer_valid_i,
  input  logic [2:0]   ev_answer_i,
  // pst_vi_table
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o,

  // pst_rx_scatter
  output logic                                     segment_valid_o,
  input  logic                                     segment_ready_i,
  output logic [pst_rx_dma_pkg::SEGMENT_WIDTH-1:0] segment_o,
  output logic                                     segment_undo_o,
  output logic                                     job_valid_o,
  input  logic                                     job_ready_i,
  output logic [pst_rx_dma_pkg::JOB_WIDTH-1:0]     job_o
);

  localparam logic [5:0] SCATTER_MAX = 6'(pst_contract_pkg::PST_LIMIT_TX_FRAGMENTS_MAX);  // buffers of a frame, as on send

  logic [4:0]              state_q, state_d;
  logic [VI_WIDTH-1:0]     vi_q;
  logic                    listed_q, ends_q, end_op_q, over_q;  // what is at hand: a copy that waits, a life, a merge
  logic [GENERATION_WIDTH-1:0] generation_q;
  pst_rx_dma_pkg::copy_t    copy_q;
  pst_rx_dma_pkg::held_t    desc_q;       // buffer at hand; in translation: what is left of it
  logic [5:0]              count_q;      // descriptors examined
  logic [5:0]              at_q;         // in translation: which one
  logic [5:0]              held_q;       // descriptors of the VI outside pst_desc_fetch
  logic                    posted_q;     // more than those have been posted
  logic                    translates_q, open_q, for_space_q, halts_q;
  logic [20:0]             capacity_q;
  logic [13:0]             left_q;
  logic [3:0]              reason_q;
  logic [ENTRY_WIDTH-1:0]  flush_q;

  logic commits, drops, ends_life, flushed;
  assign commits = state_q == pst_rx_dma_pkg::AT_COMMIT;
  assign drops = state_q == pst_rx_dma_pkg::AT_DROP;
  assign ends_life = state_q == pst_rx_dma_pkg::AT_END_LIFE;
  assign flushed = state_q == pst_rx_dma_pkg::AT_FLUSHED;
  assign free_o = state_q == pst_rx_dma_pkg::AT_IDLE;
  assign idle_o = free_o && !halt_valid_o;
  assign vi_o = vi_q;

  // ---- The VI's context and options, and what they mean for the copy.
  logic                     context_write, opens, clearing;
  logic [pst_rx_dma_pkg::CONTEXT_WIDTH-1:0] context_q;
  pst_rx_dma_pkg::context_t now;
  pst_rx_dma_pkg::options_t options;
  assign now = context_q;
  assign options = options_i;

  logic [13:0] needed, written;
  logic        truncated, mergeable, joins, peeks, fits, ends_list, last_frame;
  logic [7:0]  frames;
  assign needed = copy_q.bytes - (options.strip && copy_q.has_tag ? pst_rx_dma_pkg::VLAN_TAG_BYTES : 14'd0) +
                  (options.prefix ? 14'(pst_contract_pkg::PST_LIMIT_RX_PREFIX_BYTES) : 14'd0);
  assign truncated = capacity_q < {7'd0, needed};
  assign written = truncated ? capacity_q[13:0] : needed;
  assign mergeable = options.merge_count > 8'd1 && count_q == 6'd1 && !truncated;
  assign joins = mergeable && open_q && now.merge_word == copy_q.word;
  assign peeks = mergeable && held_q == count_q && !posted_q;
  assign frames = joins ? now.merge_frames + 8'd1 : 8'd1;
  assign last_frame = !mergeable || frames >= options.merge_count || peeks;
  assign fits = {16'd0, now.wait_bytes} + {18'd0, copy_q.bytes} <= VI_SHARE_BYTES;
  assign ends_list = now.wait_first == now.wait_last;

  // ---- Descriptors that have been popped and not used.
  pst_rx_dma_pkg::held_t popped;
  logic [pst_rx_dma_pkg::HELD_WIDTH-1:0] popped_bits, held_rdata_q;
  logic                  found;
  assign popped = popped_bits;
  assign found = answer_valid_i && answer_found_i;  // nobody else pops from RX rings
  pst_rx_held #(.VI_COUNT(VI_COUNT)) u_held (
    .clk_i,
    .vi_i(vi_q),
    .write_i(found),
    .write_slot_i(now.consumer_idx[4:0] + held_q[4:0]),
    .write_desc_i(answer_desc_i),
    .held_o(popped_bits),
    .read_i((state_q == pst_rx_dma_pkg::AT_GATHER && count_q != held_q) || state_q == pst_rx_dma_pkg::AT_NEXT_BUFFER),
    .read_slot_i(now.consumer_idx[4:0] + (state_q == pst_rx_dma_pkg::AT_NEXT_BUFFER ? at_q[4:0] : count_q[4:0])),
    .read_o(held_rdata_q)
  );

  // ---- Requests.
  logic [16:0] here;
  logic        pops_first;
  assign here = {3'd0, left_q} < {1'b0, desc_q.bytes} ? {3'd0, left_q} : {1'b0, desc_q.bytes};
  // Most new copies find nothing held and nobody waiting: their first descriptor is asked for at once.
  assign pops_first = state_q == pst_rx_dma_pkg::AT_LOOK && !ends_q && !over_q && !listed_q && running_i && !now.waits &&
                      now.held_count == 6'd0;
  assign pop_valid_o = pops_first || (state_q == pst_rx_dma_pkg::AT_GATHER && count_q == held_q) ||
                       state_q == pst_rx_dma_pkg::AT_PEEK;
  assign xl_valid_o = state_q == pst_rx_dma_pkg::AT_TRANSLATE && segment_ready_i;
  assign xl_address_o = desc_q.address;
  assign xl_bytes_o = here;
  assign ev_valid_o = state_q == pst_rx_dma_pkg::AT_RESERVE;
  assign segment_valid_o = state_q == pst_rx_dma_pkg::AT_TRANSLATED && xl_answer_valid_i && xl_ok_i;
  assign segment_o = {xl_run_i == {3'd0, left_q}, xl_run_i, xl_host_i};
  assign segment_undo_o = state_q == pst_rx_dma_pkg::AT_PARK || drops;
  assign stop_o = (drops && halts_q) || (ev_answer_valid_i && ev_answer_i == pst_event_queue_pkg::ANSWER_HALT);

  logic [2:0] job_kind;
  logic       closes;  // the open merge, before the copy asks for space
  assign closes = state_q == pst_rx_dma_pkg::AT_ADMIT && !joins && open_q;
  always_comb begin
    case (state_q)
      pst_rx_dma_pkg::AT_COMMIT: job_kind = pst_rx_dma_pkg::JOB_COPY;
      pst_rx_dma_pkg::AT_ADMIT, pst_rx_dma_pkg::AT_OVER: job_kind = pst_rx_dma_pkg::JOB_CLOSE;
      pst_rx_dma_pkg::AT_END_MERGE: begin
        job_kind = end_op_q == pst_admin_pkg::LIFE_HALT ? pst_rx_dma_pkg::JOB_CLOSE : pst_rx_dma_pkg::JOB_DROP_MERGE;
      end
      pst_rx_dma_pkg::AT_END_LIFE: job_kind = pst_rx_dma_pkg::JOB_LIFE;
      pst_rx_dma_pkg::AT_ALL_CLOSED: job_kind = pst_rx_dma_pkg::JOB_CFG;
      default: job_kind = pst_rx_dma_pkg::JOB_DROP;
    endcase
  end
  // A halt that is not accepted yet holds up the next one, and the end of a life.
  assign job_valid_o = commits || closes || flushed || (drops && !(halts_q && halt_valid_o)) ||
                       (ends_life && !halt_valid_o) || state_q == pst_rx_dma_pkg::AT_OVER ||
                       state_q == pst_rx_dma_pkg::AT_END_MERGE || state_q == pst_rx_dma_pkg::AT_ALL_CLOSED;
  pst_rx_job u_job (
    .kind_i(job_kind),
    .vi_i(16'(vi_q)),
    .context_i(context_q),
    .options_i,
    .copy_i(flushed ? get_copy_i : copy_q),
    .desc_count_i(count_q),
    .written_bytes_i(written),
    .truncated_i(truncated),
    .announce_i(last_frame),
    .frames_i(frames),
    .reason_i(reason_q),
    .job_o
  );
  logic job_put;
  assign job_put = job_valid_o && job_ready_i;

  // ---- Waiting copies.
  logic appends, parks, unlists, open_now;
  assign open_now = state_q != pst_rx_dma_pkg::AT_OVER && (appends ? now.merge_frames != 8'd0 : open_q);
  assign appends = state_q == pst_rx_dma_pkg::AT_LOOK && !ends_q && !over_q && !listed_q && running_i && now.waits && fits &&
                   free_valid_i;
  assign parks = state_q == pst_rx_dma_pkg::AT_PARK && (listed_q || free_valid_i);
  assign unlists = listed_q && job_put && (commits || drops);
  assign put_o = appends || (parks && !listed_q);
  assign put_copy_o = copy_q;
  assign link_o = appends;
  assign link_entry_o = now.wait_last;
  assign get_o = (state_q == pst_rx_dma_pkg::AT_LOOK && listed_q) || state_q == pst_rx_dma_pkg::AT_FLUSH;
  assign get_entry_o = state_q == pst_rx_dma_pkg::AT_FLUSH ? flush_q : now.wait_first;
  assign give_o = unlists || (flushed && job_put);
  assign give_entry_o = flushed ? flush_q : now.wait_first;
  assign mark_o = parks || unlists || (ends_life && job_put);
  assign mark_desc_o = parks && !for_space_q;
  assign mark_space_o = parks && for_space_q;
  assign mark_ready_o = unlists && !ends_list;
  assign opens = commits && !last_frame && !joins;
  assign open_o = opens && job_put;
  assign open_generation_o = now.merge_generation + 1'b1;

  assign context_write = appends || parks || (job_put && (commits || drops || ends_life || state_q == pst_rx_dma_pkg::AT_OVER));
  pst_rx_context #(.VI_COUNT(VI_COUNT)) u_context (
    .clk_i, .rst_ni,
    .clearing_o(clearing),
    .read_i(begin_i),
    .read_vi_i(begin_vi_i),
    .context_o(context_q),
    .write_i(context_write),
    .write_vi_i(vi_q),
    .ends_i(ends_life),
    .held_count_i(appends ? now.held_count : held_q),
    .used_count_i(commits ? count_q : 6'd0),
    .put_i(put_o),
    .put_entry_i(free_entry_i),
    .unlist_i(unlists),
    .next_entry_i(get_next_i),
    .bytes_i(copy_q.bytes),
    .merge_frames_i(commits ? (last_frame ? 8'd0 : frames) : open_now ? now.merge_frames : 8'd0),
    .opens_i(opens),
    .opens_length_i({2'd0, written} - (options.prefix ? 16'(pst_contract_pkg::PST_LIMIT_RX_PREFIX_BYTES) : 16'd0)),
    .opens_word_i(copy_q.word)
  );

  // ---- The steps.
  logic [20:0] capacity;
  logic        here_done, left_done;
  assign capacity = capacity_q + {5'd0, desc_q.bytes};
  assign left_done = xl_run_i == {3'd0, left_q};
  assign here_done = xl_run_i == {1'b0, desc_q.bytes};
  pst_rx_steps u_steps (
    .state_i(state_q),
    .clearing_i(clearing),
    .begins_i(begin_i),
    .take_all_closed_i,
    .ends_i(ends_q),
    .over_i(over_q),
    .listed_i(listed_q),
    .running_i,
    .open_i(now.merge_frames != 8'd0),
    .current_i(now.merge_generation == generation_q && over_applies_i),
    .waits_i(now.waits),
    .appends_i(appends),
    .pops_first_i(pops_first),
    .none_held_i(count_q == held_q),
    .first_i(count_q == 6'd0),
    .translates_i(translates_q),
    .bad_i(desc_q.bad),
    .enough_i(capacity >= {7'd0, needed} || count_q + 6'd1 == SCATTER_MAX),
    .pop_ready_i,
    .answer_valid_i,
    .answer_found_i,
    .answer_posted_i,
    .xl_taken_i(xl_valid_o && xl_ready_i),
    .xl_answer_valid_i,
    .xl_ok_i,
    .left_done_i(left_done),
    .here_done_i(here_done),
    .alone_i(!mergeable && !open_q),
    .joins_i(joins),
    .peeks_i(peeks),
    .closes_i(closes),
    .job_put_i(job_put),
    .ev_ready_i,
    .ev_answer_valid_i,
    .ev_answer_i,
    .parks_i(parks),
    .flush_last_i(flush_q == now.wait_last),
    .state_o(state_d)
  );
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= pst_rx_dma_pkg::AT_CLEAR;
      halt_valid_o <= 1'b0;
    end else begin
      state_q <= state_d;
      if (drops && halts_q && job_put) halt_valid_o <= 1'b1;
      else if (halt_ready_i) halt_valid_o <= 1'b0;
    end
  end

  // ---- What is known of the copy at hand.
  always_ff @(posedge clk_i) begin
    case (state_q)
      pst_rx_dma_pkg::AT_IDLE: begin
        if (begin_i) begin
          vi_q <= begin_vi_i;
          ends_q <= take_end_i;
          end_op_q <= end_op_i;
          over_q <= take_over_i;
          generation_q <= over_generation_i;
          listed_q <= take_retry_i;
        end
        if (take_new_i) copy_q <= new_copy_i;
      end
      pst_rx_dma_pkg::AT_LOOK: begin
        held_q <= now.held_count;
        open_q <= now.merge_frames != 8'd0;
        flush_q <= now.wait_first;
        reason_q <= ends_q || !running_i ? pst_contract_pkg::PST_DROP_REASON_RX_VI_HALTED
                                         : pst_contract_pkg::PST_DROP_REASON_RX_BUFFER_FULL;
        {count_q, at_q, capacity_q} <= '0;
        {posted_q, translates_q, for_space_q, halts_q} <= '0;
      end
      pst_rx_dma_pkg::AT_ENTRY: copy_q <= get_copy_i;
      pst_rx_dma_pkg::AT_POPPED, pst_rx_dma_pkg::AT_PEEKED: begin
        if (answer_valid_i) begin
          posted_q <= answer_found_i ? answer_more_i : answer_posted_i;
          if (answer_found_i) held_q <= held_q + 6'd1;
          if (answer_found_i && state_q == pst_rx_dma_pkg::AT_POPPED) desc_q <= popped;
          if (!answer_found_i && state_q == pst_rx_dma_pkg::AT_POPPED) translates_q <= 1'b1;
          if (!answer_found_i && !answer_posted_i) reason_q <= pst_contract_pkg::PST_DROP_REASON_RX_NO_DESCRIPTOR;
        end
      end
      pst_rx_dma_pkg::AT_HELD: desc_q <= held_rdata_q;
      pst_rx_dma_pkg::AT_EXAMINE: begin
        capacity_q <= capacity;
        left_q <= capacity < {7'd0, needed} ? capacity[13:0] : needed;
        if (desc_q.bad) begin
          halts_q <= 1'b1;
          reason_q <= pst_contract_pkg::PST_DROP_REASON_RX_VI_HALTED;
        end else begin
          count_q <= count_q + 6'd1;
          translates_q <= state_d != pst_rx_dma_pkg::AT_GATHER;
        end
      end
      pst_rx_dma_pkg::AT_TRANSLATED: begin
        if (xl_answer_valid_i && xl_ok_i) begin
          left_q <= left_q - xl_run_i[13:0];
          desc_q.address <= desc_q.address + {47'd0, xl_run_i};
          desc_q.bytes <= desc_q.bytes - xl_run_i[15:0];
          if (here_done) at_q <= at_q + 6'd1;
        end else if (xl_answer_valid_i) begin
          halts_q <= 1'b1;
          reason_q <= pst_contract_pkg::PST_DROP_REASON_RX_DMA_FAULT;
        end
      end
      pst_rx_dma_pkg::AT_ADMIT: if (closes && job_put) open_q <= 1'b0;
      pst_rx_dma_pkg::AT_RESERVED: begin
        for_space_q <= 1'b1;
        reason_q <= ev_answer_i == pst_event_queue_pkg::ANSWER_GONE ? pst_contract_pkg::PST_DROP_REASON_RX_VI_HALTED
                                                                    : pst_contract_pkg::PST_DROP_REASON_RX_EVQ_FULL;
      end
      pst_rx_dma_pkg::AT_PARK: reason_q <= pst_contract_pkg::PST_DROP_REASON_RX_BUFFER_FULL;
      pst_rx_dma_pkg::AT_DROP: begin
        if (halts_q && job_put) begin
          halt_vi_o <= vi_q;
          halt_code_o <= translates_q ? pst_contract_pkg::PST_ERROR_CODE_DMA_FAULT
                                      : pst_contract_pkg::PST_ERROR_CODE_BAD_DESCRIPTOR;
          halt_index_o <= now.consumer_idx + {26'd0, translates_q ? at_q : count_q};
        end
      end
      pst_rx_dma_pkg::AT_FLUSHED: if (job_put) flush_q <= get_next_i;
      default: ;
    endcase
  end

endmodule
