// Commands of the firmware to the blocks, by way of pst_admin, and the layouts of their data. Not part of the contract.
/* verilator lint_off UNUSEDPARAM */
package pst_admin_pkg;

  localparam int unsigned CFG_DATA_WIDTH = 512;

  localparam logic [7:0] CFG_FENCE = 8'h01;         // done when DMA that was under way has landed outside
  localparam logic [7:0] CFG_VI_START = 8'h02;      // index: VI, data: vi_start_t
  localparam logic [7:0] CFG_VI_STOP = 8'h03;       // index: VI; done when nothing of it can appear any more (R10)
  localparam logic [7:0] CFG_EVQ_BIND = 8'h04;      // index: VI, data: pst_event_queue_pkg::config_t
  localparam logic [7:0] CFG_EVQ_MODERATE = 8'h05;  // likewise
  localparam logic [7:0] CFG_CLOSE_MERGES = 8'h06;  // RX merges that are open are announced
  localparam logic [7:0] CFG_PORT = 8'h07;          // data: port_t
  localparam logic [7:0] CFG_RAISE = 8'h08;         // index: MSI-X vector to raise
  localparam logic [7:0] CFG_VI_HALT = 8'h09;       // index: VI, data: {source[3:0], code[15:0], ring index[31:0]}
  localparam logic [7:0] CFG_XLAT_VI = 8'h10;       // index: VI, data[15:0]: domain
  localparam logic [7:0] CFG_XLAT_RANGE = 8'h11;    // index: {domain, range[5:0]}, data: xlat_range_t
  localparam logic [7:0] CFG_XLAT_COUNT = 8'h12;    // index: domain, data[6:0]: ranges
  localparam logic [7:0] CFG_FILTER_SLOT = 8'h20;   // index: slot, data: filter_slot_t
  localparam logic [7:0] CFG_FILTER = 8'h21;        // index: filter, data: filter_t
  localparam logic [7:0] CFG_FILTER_KINDS = 8'h22;  // data[7:0]: bit k: a filter of MATCH k exists
  localparam logic [7:0] CFG_RSS_KEY = 8'h28;       // index: context, data[0]: configured, data[327:8]: key, its byte 0 first
  localparam logic [7:0] CFG_RSS_TABLE = 8'h29;     // index: {context, block[1:0]}, data: 32 VIs of 16 bits
  localparam logic [7:0] CFG_GRANT = 8'h30;         // index: {VI, n[2:0]}, data: grant_t

  localparam logic [15:0] RSS_NO_VI = 16'hffff;  // in CFG_RSS_TABLE: the filter's own VI

  localparam logic LIFE_HALT = 1'b0;
  localparam logic LIFE_STOP = 1'b1;

  typedef struct packed {
    logic        writable;
    logic [51:0] host_page;    // host address / PAGE_BYTES
    logic [51:0] page_count;
    logic [51:0] domain_page;  // domain address / PAGE_BYTES
  } xlat_range_t;
  localparam int unsigned XLAT_RANGE_WIDTH = 157;

  localparam logic [1:0] SLOT_NONE = 2'd0;
  localparam logic [1:0] SLOT_REMOVED = 2'd1;  // a lookup goes on behind it
  localparam logic [1:0] SLOT_USED = 2'd2;
  typedef struct packed {
    logic [1:0]   state;
    logic [15:0]  first_filter;
    logic [383:0] key;  // six words, word 0 in the low bits
  } filter_slot_t;
  localparam int unsigned FILTER_SLOT_WIDTH = 402;

  typedef struct packed {
    logic        next_valid;  // another filter has the same key
    logic [15:0] next;
    logic        rss;
    logic [15:0] rss_context;
    logic [15:0] vi;
  } filter_t;
  localparam int unsigned FILTER_WIDTH = 50;

  typedef struct packed {
    logic         valid;
    logic [1:0]   family;   // ADDRESS_FAMILY
    logic [127:0] address;  // {ADDRESS_HI, ADDRESS_LO}
  } grant_t;
  localparam int unsigned GRANT_WIDTH = 131;

  typedef struct packed {
    logic [31:0] pause_low_bytes;
    logic [31:0] pause_high_bytes;
    logic [15:0] pause_quanta;
    logic [31:0] ps_per_byte;  // on the wire
    logic        link_up;
    logic        loopback;
    logic        pause;
    logic        promiscuous;
    logic [15:0] mtu_bytes;
    logic [47:0] mac_address;  // byte 0 in bits 7..0
  } port_t;
  localparam int unsigned PORT_WIDTH = 180;

  typedef struct packed {
    logic         push_offered;    // FEATURES.TX_PUSH
    logic         pio_offered;     // FEATURES.PIO
    logic [31:0]  rate_limit_mbps;
    logic [7:0]   weight;          // at least 1
    logic         any_source;
    logic         vlan_strip;
    logic         rx_prefix;
    logic [7:0]   merge_count;     // at least 1
    logic [3:0]   tx_entries_log2;
    logic [3:0]   rx_entries_log2;
    logic [63:0]  tx_ring_address;
    logic [63:0]  rx_ring_address;
    logic [151:0] evq;             // pst_event_queue_pkg::config_t
  } vi_start_t;
  localparam int unsigned VI_START_WIDTH = 341;

endpackage
/* verilator lint_on UNUSEDPARAM */
