// Operations, answers and per-VI context of pst_event_queue. Not part of the contract: only RTL blocks see it.
/* verilator lint_off UNUSEDPARAM */
package pst_event_queue_pkg;

  // Operations on one VI's context. The first four are what an event requester may ask for (ev_op_i).
  localparam logic [3:0] OP_POST = 4'd0;           // write this event
  localparam logic [3:0] OP_RESERVE = 4'd1;        // keep one slot's worth of space
  localparam logic [3:0] OP_POST_RESERVED = 4'd2;  // write this event into space that was kept
  localparam logic [3:0] OP_RELEASE = 4'd3;        // give space back that was kept
  localparam logic [3:0] OP_WAKE_EVENT = 4'd4;     // another VI's wakeup
  localparam logic [3:0] OP_CONSUME = 4'd5;        // EVQ_CONSUMER doorbell
  localparam logic [3:0] OP_PRIME = 4'd6;          // EVQ_PRIME doorbell
  localparam logic [3:0] OP_SCAN = 4'd7;           // look at hold-off time and owed wakeup
  // Commands (cmd_op_i).
  localparam logic [3:0] OP_START = 4'd8;      // VI_ALLOC, VI_RESET: takes the configuration, empties the queue
  localparam logic [3:0] OP_STOP = 4'd9;       // VI_FREE and the first half of VI_RESET
  localparam logic [3:0] OP_HALT = 4'd10;      // from now on only error events
  localparam logic [3:0] OP_BIND = 4'd11;      // MSIX_BIND
  localparam logic [3:0] OP_MODERATE = 4'd12;  // MODERATION_SET

  // Answers to an event request.
  localparam logic [2:0] ANSWER_OK = 3'd0;
  localparam logic [2:0] ANSWER_STALL = 3'd1;  // no space: ask again after space_valid_o for this VI
  localparam logic [2:0] ANSWER_DROP = 3'd2;   // dropped and counted, with what it announces
  localparam logic [2:0] ANSWER_HALT = 3'd3;   // dropped; the VI is being halted
  localparam logic [2:0] ANSWER_GONE = 3'd4;   // the VI does not run

  localparam logic [1:0] LIFE_FREE = 2'd0;
  localparam logic [1:0] LIFE_RUNNING = 2'd1;
  localparam logic [1:0] LIFE_HALTED = 2'd2;

  // What OP_START takes, and OP_BIND and OP_MODERATE in part.
  typedef struct packed {
    logic [63:0] address;       // of the queue in its domain
    logic [3:0]  entries_log2;  // contract limits are the command's to check
    logic [1:0]  policy;
    logic [15:0] vector_;
    logic        wake_to_vi;
    logic [15:0] wake_vi;  // the VI itself: nobody (its target has been freed)
    logic [31:0] holdoff_ns;
    logic [15:0] holdoff_events;
    logic        adaptive;
  } config_t;
  localparam int unsigned CONFIG_WIDTH = 152;

  typedef struct packed {
    config_t     cfg;
    logic [1:0]  life;
    logic [31:0] producer_idx;
    logic [31:0] consumer_idx;
    logic [15:0] reserved_count;
    logic        overflow_mark;  // the next event carries it
    logic        space_wanted;   // a requester has been told STALL
    logic        waiters;        // another VI's wakeup waits for space here
    logic        primed;
    logic [31:0] prime_idx;       // consumer index of the last prime
    logic        armed;           // a wakeup is planned for due_ns
    logic        urgent;          // the error event of a halted VI has been written
    logic        woke_before;     // last_wakeup_ns means something
    logic        wake_tried;      // the owed wakeup event has found no space once
    logic [2:0]  holdoff_level;   // adaptive: 0 none, n: HOLDOFF_NS / 2^(5-n)
    logic [3:0]  since_count;     // events since the last wakeup, at most 8
    logic [63:0] last_wakeup_ns;
    logic [63:0] due_ns;
  } context_t;
  localparam int unsigned CONTEXT_WIDTH = CONFIG_WIDTH + 257;

  localparam logic [2:0] HOLDOFF_LEVEL_MAX = 3'd5;
  localparam logic [3:0] MANY_EVENTS = 4'd8;  // MODERATION_SET.ADAPTIVE
  localparam logic [3:0] FEW_EVENTS = 4'd2;

endpackage
/* verilator lint_on UNUSEDPARAM */
