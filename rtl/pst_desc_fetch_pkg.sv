// Operations and per-ring context of pst_desc_fetch. Not part of the contract: only RTL blocks see it.
/* verilator lint_off UNUSEDPARAM */
package pst_desc_fetch_pkg;

  // Doorbells (db_op_i).
  localparam logic [3:0] OP_DOORBELL = 4'd0;  // RX_DOORBELL, TX_DOORBELL
  localparam logic [3:0] OP_PUSH = 4'd1;      // TX_PUSH_DOORBELL with its descriptor
  localparam logic [3:0] OP_PIO = 4'd2;       // PIO_DOORBELL; address and length of the descriptor are those in the PIO page
  // The rest of what happens to a ring.
  localparam logic [3:0] OP_RESPONSE = 4'd3;  // a descriptor has come, or a read has failed
  localparam logic [3:0] OP_POP = 4'd4;
  localparam logic [3:0] OP_DONE = 4'd5;      // descriptors have been completed
  localparam logic [3:0] OP_FETCH = 4'd6;
  // Commands (cmd_stop_i).
  localparam logic [3:0] OP_START = 4'd7;     // VI_ALLOC, second half of VI_RESET
  localparam logic [3:0] OP_STOP = 4'd8;      // VI_FREE, halt, first half of VI_RESET

  // Payload of an operation: a descriptor, or address and size of the ring in its place; above it an index or an error code.
  localparam int unsigned PAYLOAD_WIDTH = 160;

  typedef struct packed {
    logic [63:0] address;       // of the ring in its domain; a page's
    logic [3:0]  entries_log2;  // contract limits are the command's to check
    logic        running;
    logic [31:0] producer_idx;
    logic [31:0] consumer_idx;  // all before it have been completed
    logic [31:0] head_idx;      // next to pop
    logic [31:0] fetch_idx;     // next to fetch
    logic [7:0]  pending_count; // descriptors that the read in flight has still to bring
    logic        stale;         // ... to an earlier life of the ring
    logic        stop_owed;     // stopped_o when they have come
  } context_t;
  localparam int unsigned CONTEXT_WIDTH = 207;

endpackage
/* verilator lint_on UNUSEDPARAM */
