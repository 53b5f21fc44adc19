// Where pst_rx_engine goes from where it stands. Combinational.
module pst_rx_steps (
  input  logic [4:0] state_i,
  input  logic       clearing_i,
  input  logic       begins_i,           // something is taken up
  input  logic       take_all_closed_i,  // the command whose merges have all been closed is
  input  logic       ends_i,             // at hand is the end of a life
  input  logic       over_i,             // ... or a merge that has waited long enough
  input  logic       listed_i,           // ... or a copy that waited
  input  logic       running_i,
  input  logic       open_i,             // the VI has an open merge
  input  logic       current_i,          // ... which is the one that has waited
  input  logic       waits_i,            // copies of the VI wait
  input  logic       appends_i,          // and the new one can too
  input  logic       pops_first_i,       // the first descriptor is asked for while the copy is looked at
  input  logic       none_held_i,        // all held descriptors have been examined
  input  logic       first_i,            // no descriptor has been
  input  logic       translates_i,
  input  logic       bad_i,
  input  logic       enough_i,           // with the one that is examined
  input  logic       pop_ready_i,
  input  logic       answer_valid_i,
  input  logic       answer_found_i,
  input  logic       answer_posted_i,
  input  logic       xl_taken_i,
  input  logic       xl_answer_valid_i,
  input  logic       xl_ok_i,
  input  logic       left_done_i,        // that was the whole frame
  input  logic       here_done_i,        // ... the whole buffer
  input  logic       alone_i,            // no merge concerns it
  input  logic       joins_i,            // an open merge
  input  logic       peeks_i,            // another descriptor must be looked for
  input  logic       closes_i,
  input  logic       job_put_i,
  input  logic       ev_ready_i,
  input  logic       ev_answer_valid_i,
  input  logic [2:0] ev_answer_i,
  input  logic       parks_i,            // there is an entry for it
  input  logic       flush_last_i,
  output logic [4:0] state_o
);

  localparam logic [4:0] CLEAR = pst_rx_dma_pkg::AT_CLEAR;
  localparam logic [4:0] IDLE = pst_rx_dma_pkg::AT_IDLE;
  localparam logic [4:0] LOOK = pst_rx_dma_pkg::AT_LOOK;
  localparam logic [4:0] ENTRY = pst_rx_dma_pkg::AT_ENTRY;
  localparam logic [4:0] GATHER = pst_rx_dma_pkg::AT_GATHER;
  localparam logic [4:0] POPPED = pst_rx_dma_pkg::AT_POPPED;
  localparam logic [4:0] HELD = pst_rx_dma_pkg::AT_HELD;
  localparam logic [4:0] EXAMINE = pst_rx_dma_pkg::AT_EXAMINE;
  localparam logic [4:0] NEXT_BUFFER = pst_rx_dma_pkg::AT_NEXT_BUFFER;
  localparam logic [4:0] TRANSLATE = pst_rx_dma_pkg::AT_TRANSLATE;
  localparam logic [4:0] TRANSLATED = pst_rx_dma_pkg::AT_TRANSLATED;
  localparam logic [4:0] ADMIT = pst_rx_dma_pkg::AT_ADMIT;
  localparam logic [4:0] RESERVE = pst_rx_dma_pkg::AT_RESERVE;
  localparam logic [4:0] RESERVED = pst_rx_dma_pkg::AT_RESERVED;
  localparam logic [4:0] PEEK = pst_rx_dma_pkg::AT_PEEK;
  localparam logic [4:0] PEEKED = pst_rx_dma_pkg::AT_PEEKED;
  localparam logic [4:0] COMMIT = pst_rx_dma_pkg::AT_COMMIT;
  localparam logic [4:0] PARK = pst_rx_dma_pkg::AT_PARK;
  localparam logic [4:0] DROP = pst_rx_dma_pkg::AT_DROP;
  localparam logic [4:0] OVER = pst_rx_dma_pkg::AT_OVER;
  localparam logic [4:0] END_MERGE = pst_rx_dma_pkg::AT_END_MERGE;
  localparam logic [4:0] FLUSH = pst_rx_dma_pkg::AT_FLUSH;
  localparam logic [4:0] FLUSHED = pst_rx_dma_pkg::AT_FLUSHED;
  localparam logic [4:0] END_LIFE = pst_rx_dma_pkg::AT_END_LIFE;
  localparam logic [4:0] ALL_CLOSED = pst_rx_dma_pkg::AT_ALL_CLOSED;

  always_comb begin
    state_o = state_i;
    case (state_i)
      CLEAR: if (!clearing_i) state_o = IDLE;
      IDLE: begin
        if (take_all_closed_i) state_o = ALL_CLOSED;
        else if (begins_i) state_o = LOOK;
      end
      LOOK: begin
        if (ends_i) state_o = open_i ? END_MERGE : waits_i ? FLUSH : END_LIFE;
        else if (over_i) state_o = open_i && current_i ? OVER : IDLE;
        else if (listed_i) state_o = ENTRY;
        else if (!running_i) state_o = DROP;
        else if (!waits_i) state_o = pops_first_i && pop_ready_i ? POPPED : GATHER;
        else state_o = appends_i ? IDLE : DROP;
      end
      ENTRY: state_o = running_i ? GATHER : DROP;
      GATHER: begin
        if (!none_held_i) state_o = HELD;
        else if (pop_ready_i) state_o = POPPED;
      end
      POPPED: begin
        if (answer_valid_i) begin
          if (answer_found_i) state_o = EXAMINE;
          else if (answer_posted_i) state_o = PARK;
          else state_o = first_i ? DROP : NEXT_BUFFER;
        end
      end
      HELD: state_o = translates_i ? TRANSLATE : EXAMINE;
      EXAMINE: begin
        if (bad_i) state_o = DROP;
        else if (!enough_i) state_o = GATHER;
        else state_o = first_i ? TRANSLATE : NEXT_BUFFER;
      end
      NEXT_BUFFER: state_o = HELD;
      TRANSLATE: if (xl_taken_i) state_o = TRANSLATED;
      TRANSLATED: begin
        if (xl_answer_valid_i) begin
          if (!xl_ok_i) state_o = DROP;
          else if (left_done_i) state_o = alone_i ? RESERVE : ADMIT;
          else state_o = here_done_i ? NEXT_BUFFER : TRANSLATE;
        end
      end
      ADMIT: begin
        if (joins_i) state_o = peeks_i ? PEEK : COMMIT;
        else if (!closes_i || job_put_i) state_o = RESERVE;
      end
      RESERVE: if (ev_ready_i) state_o = RESERVED;
      RESERVED: begin
        if (ev_answer_valid_i) begin
          case (ev_answer_i)
            pst_event_queue_pkg::ANSWER_OK: state_o = peeks_i ? PEEK : COMMIT;
            pst_event_queue_pkg::ANSWER_STALL: state_o = PARK;
            default: state_o = DROP;
          endcase
        end
      end
      PEEK: if (pop_ready_i) state_o = PEEKED;
      PEEKED: if (answer_valid_i) state_o = COMMIT;
      COMMIT, OVER, ALL_CLOSED, DROP, END_LIFE: if (job_put_i) state_o = IDLE;
      PARK: state_o = parks_i ? IDLE : DROP;
      END_MERGE: if (job_put_i) state_o = waits_i ? FLUSH : END_LIFE;
      FLUSH: state_o = FLUSHED;
      FLUSHED: if (job_put_i) state_o = flush_last_i ? END_LIFE : FLUSH;
      default: state_o = IDLE;
    endcase
  end

endmodule
