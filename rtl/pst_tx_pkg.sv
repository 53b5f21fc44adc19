// What the parts of pst_tx_dma hand to each other: a packet that is being gathered, and one that is complete. Not part of the
// contract: only RTL blocks see it.
/* verilator lint_off UNUSEDPARAM */
package pst_tx_pkg;

  localparam int unsigned ENTRY_COUNT = 128;    // packets between their descriptors and their completion
  localparam int unsigned ENTRY_WIDTH = 7;
  localparam int unsigned LINE_WIDTH = 10;      // lines of 64 bytes of the packet buffer
  localparam int unsigned LIST_WIDTH = 6;       // fragments of one VI: those of two packets
  localparam int unsigned FRAGMENT_WIDTH = 80;  // {bytes, address}
  localparam int unsigned RATE_WIDTH = 37;      // ns per byte, 24 bits of them behind the point
  localparam int unsigned BUCKET_WIDTH = 80;    // ns, 16 bits of them behind the point

  // Descriptors of one packet, as far as they have come.
  typedef struct packed {
    logic        started;    // one has come
    logic [31:0] first_idx;
    logic [31:0] end_idx;    // after the last one that has come
    logic [5:0]  count;      // fragments
    logic [21:0] bytes;      // up to 32 times 65,535
    logic [5:0]  position;   // of the first fragment in the VI's list
    logic        pio;
    logic [11:0] pio_offset;
    logic        l3;
    logic        l4;
    logic        segment;
    logic        timestamp;
    logic        complete;
    logic        vlan_insert;
    logic [15:0] vlan_tci;
    logic [15:0] mss;
  } gather_t;
  localparam int unsigned GATHER_WIDTH = 150;

  // A complete packet.
  typedef struct packed {
    logic        any_source;
    logic        drop;       // only keeps its turn
    logic [3:0]  reason;
    gather_t     parts;
  } packet_t;
  localparam int unsigned PACKET_WIDTH = GATHER_WIDTH + 6;

endpackage
/* verilator lint_on UNUSEDPARAM */
