// What pst_rx_parser tells pst_rx_filter of a frame. Not part of the contract.
/* verilator lint_off UNUSEDPARAM */
package pst_rx_parser_pkg;

  typedef struct packed {
    logic [11:0]  frame;         // first cell
    logic [13:0]  bytes;
    logic [63:0]  time_ns;
    logic [15:0]  id;
    logic [47:0]  destination;   // MAC address, byte 0 in bits 7..0
    logic [15:0]  ethertype;     // host order, behind the tags
    logic [1:0]   vlan_count;
    logic [15:0]  vlan_tci;      // of the outer tag, host order
    logic [1:0]   l3_class;
    logic [1:0]   l4_class;
    logic [1:0]   checksum_l3;
    logic [1:0]   checksum_l4;
    logic [7:0]   protocol;
    logic [127:0] local_address;   // destination; as the contract has addresses: byte 0 in bits 7..0
    logic [127:0] remote_address;
    logic [15:0]  local_port;      // destination, host order
    logic [15:0]  remote_port;
  } frame_t;
  localparam int unsigned FRAME_WIDTH = 492;

endpackage
/* verilator lint_on UNUSEDPARAM */
