// What the parts of pst_rx_dma hand to each other. Not part of the contract: only RTL blocks see it.
/* verilator lint_off UNUSEDPARAM */
package pst_rx_dma_pkg;

  localparam int unsigned WAIT_COUNT = 1024;  // copies that may wait, of all VIs; a power of two
  localparam int unsigned ENTRY_WIDTH = 10;
  localparam int unsigned SEGMENT_COUNT = 128;  // a frame needs at most 67: 32 buffers, each cut once, and 3 pages within one
  localparam int unsigned GENERATION_WIDTH = 8;  // of a VI's merges: more than can begin in the time that one may wait
  localparam logic [13:0] VLAN_TAG_BYTES = 14'd4;
  localparam logic [6:0] VLAN_TAG_OFFSET = 7'd12;

  // Where pst_rx_engine stands.
  localparam logic [4:0] AT_CLEAR = 5'd0;         // after reset contexts are emptied
  localparam logic [4:0] AT_IDLE = 5'd1;
  localparam logic [4:0] AT_LOOK = 5'd2;          // context and options are there
  localparam logic [4:0] AT_ENTRY = 5'd3;         // a waiting copy has come out of memory
  localparam logic [4:0] AT_GATHER = 5'd4;        // the next descriptor is held, or must be popped
  localparam logic [4:0] AT_POPPED = 5'd5;
  localparam logic [4:0] AT_HELD = 5'd6;          // a held descriptor has come out of memory
  localparam logic [4:0] AT_EXAMINE = 5'd7;
  localparam logic [4:0] AT_NEXT_BUFFER = 5'd8;
  localparam logic [4:0] AT_TRANSLATE = 5'd9;
  localparam logic [4:0] AT_TRANSLATED = 5'd10;
  localparam logic [4:0] AT_ADMIT = 5'd11;        // does it join the open merge?
  localparam logic [4:0] AT_RESERVE = 5'd12;
  localparam logic [4:0] AT_RESERVED = 5'd13;
  localparam logic [4:0] AT_PEEK = 5'd14;         // is there a descriptor for another frame?
  localparam logic [4:0] AT_PEEKED = 5'd15;
  localparam logic [4:0] AT_COMMIT = 5'd16;
  localparam logic [4:0] AT_PARK = 5'd17;
  localparam logic [4:0] AT_DROP = 5'd18;
  localparam logic [4:0] AT_OVER = 5'd19;         // a merge has waited long enough
  localparam logic [4:0] AT_END_MERGE = 5'd20;    // the VI's life ends: its merge, then its waiting copies
  localparam logic [4:0] AT_FLUSH = 5'd21;
  localparam logic [4:0] AT_FLUSHED = 5'd22;
  localparam logic [4:0] AT_END_LIFE = 5'd23;
  localparam logic [4:0] AT_ALL_CLOSED = 5'd24;

  // What pst_rx_engine hands on.
  localparam logic [2:0] JOB_COPY = 3'd0;        // payload, perhaps its event
  localparam logic [2:0] JOB_CLOSE = 3'd1;       // the event of the VI's open merge
  localparam logic [2:0] JOB_DROP = 3'd2;        // a copy
  localparam logic [2:0] JOB_DROP_MERGE = 3'd3;  // frames that the VI's open merge would have announced
  localparam logic [2:0] JOB_LIFE = 3'd4;        // life_done_o
  localparam logic [2:0] JOB_CFG = 3'd5;         // cfg_done_o

  // A copy of a frame as pst_rx_filter hands it over.
  typedef struct packed {
    logic [15:0] filter_id;
    logic [11:0] frame;  // its first cell
    logic [13:0] bytes;
    logic [63:0] time_ns;
    logic        hash_valid;
    logic [31:0] hash;
    logic        has_tag;
    logic [15:0] vlan_tci;
    logic [63:0] word;   // first of its RX event, as far as the filter knows it
    logic [15:0] id;
  } copy_t;
  localparam int unsigned COPY_WIDTH = 236;

  // What a VI was started with.
  typedef struct packed {
    logic       prefix;
    logic       strip;
    logic [7:0] merge_count;
  } options_t;
  localparam int unsigned OPTIONS_WIDTH = 10;

  typedef struct packed {
    logic [5:0]                  held_count;    // descriptors that have been popped and not used
    logic [31:0]                 consumer_idx;  // ring index of the first of them
    logic                        waits;         // copies wait
    logic [ENTRY_WIDTH-1:0]      wait_first;
    logic [ENTRY_WIDTH-1:0]      wait_last;
    logic [15:0]                 wait_bytes;
    logic [7:0]                  merge_frames;  // of the open merge; 0: none
    logic [GENERATION_WIDTH-1:0] merge_generation;
    logic [15:0]                 merge_length_bytes;  // of its first frame
    logic [63:0]                 merge_word;          // that all its frames have
  } context_t;
  localparam int unsigned CONTEXT_WIDTH = 6 + 32 + 1 + 2 * ENTRY_WIDTH + 16 + 8 + GENERATION_WIDTH + 16 + 64;

  // A descriptor between pst_desc_fetch and its use.
  typedef struct packed {
    logic        bad;
    logic [15:0] bytes;
    logic [63:0] address;
  } held_t;
  localparam int unsigned HELD_WIDTH = 81;

  // A piece of host memory that takes part of a frame.
  typedef struct packed {
    logic        last;  // of the frame
    logic [16:0] bytes;
    logic [63:0] address;
  } segment_t;
  localparam int unsigned SEGMENT_WIDTH = 82;

  // What is left to do when the payload has gone.
  typedef struct packed {
    logic [15:0] vi;
    logic        gives_back;  // the frame's cells
    logic [11:0] frame;
    logic        done;        // descriptors before index have been completed
    logic        post;        // the event {index, word}, which announces so many frames
    logic        drop;        // so many frames, for that reason
    logic        life;        // life_done_o
    logic        cfg;         // cfg_done_o
    logic [3:0]  reason;
    logic [7:0]  frames;
    logic [31:0] index;
    logic [63:0] word;
  } finish_t;
  localparam int unsigned FINISH_WIDTH = 142;

  // The prefix, and how the frame goes out before that.
  typedef struct packed {
    logic        payload;
    logic        prefix;
    logic        strip;
    logic        hash_valid;
    logic [31:0] hash;
    logic [15:0] filter_id;
    logic [63:0] time_ns;
    logic [15:0] length_bytes;
    logic [15:0] vlan_tci;
    logic [15:0] id;
    finish_t     finish;
  } job_t;
  localparam int unsigned JOB_WIDTH = 164 + FINISH_WIDTH;

endpackage
/* verilator lint_on UNUSEDPARAM */
