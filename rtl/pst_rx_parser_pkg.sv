// What the receive parser finds in a frame's first 64 bytes, and what it tells pst_rx_filter of a good frame.
/* verilator lint_off UNUSEDPARAM */
package pst_rx_parser_pkg;

  localparam logic [15:0] ETHERTYPE_IPV4 = 16'h0800;
  localparam logic [15:0] ETHERTYPE_ARP = 16'h0806;
  localparam logic [15:0] ETHERTYPE_IPV6 = 16'h86dd;
  localparam logic [15:0] ETHERTYPE_VLAN = 16'h8100;
  localparam logic [15:0] ETHERTYPE_SERVICE_VLAN = 16'h88a8;
  localparam logic [7:0] PROTOCOL_ICMP = 8'd1;
  localparam logic [7:0] PROTOCOL_TCP = 8'd6;
  localparam logic [7:0] PROTOCOL_UDP = 8'd17;
  localparam logic [7:0] PROTOCOL_ICMPV6 = 8'd58;

  // Addresses have byte 0 in bits 7..0, IPv4 ones in the low 32 bits; all other fields are in host byte order.
  typedef struct packed {
    logic [1:0]   l3_class;     // that of a good IP header if the frame has l3_end bytes
    logic [1:0]   l4_class;     // likewise
    logic [6:0]   l3_offset;
    logic [6:0]   l4_offset;
    logic [16:0]  l3_end;       // first byte behind the IP packet; 0 if it is not IP
    logic [15:0]  l4_bytes;
    logic [1:0]   vlan_count;
    logic [15:0]  vlan_tci;     // of the outer tag
    logic [15:0]  ethertype;    // behind the tags
    logic [7:0]   ip_protocol;
    logic [47:0]  destination;  // MAC
    logic [127:0] local_address;
    logic [127:0] remote_address;
  } header_t;
  localparam int unsigned HEADER_WIDTH = 397;

  typedef struct packed {
    logic [11:0]  frame;        // first cell
    logic [13:0]  bytes;
    logic [63:0]  time_ns;      // PTP, of the first bit
    logic [15:0]  id;
    logic [1:0]   checksum_l3;
    logic [1:0]   checksum_l4;
    logic [1:0]   l3_class;
    logic [1:0]   l4_class;
    logic [1:0]   vlan_count;
    logic [15:0]  vlan_tci;
    logic [15:0]  ethertype;
    logic [7:0]   ip_protocol;
    logic [15:0]  local_port;
    logic [15:0]  remote_port;
    logic [47:0]  destination;
    logic [127:0] local_address;
    logic [127:0] remote_address;
  } meta_t;
  localparam int unsigned META_WIDTH = 492;

endpackage
/* verilator lint_on UNUSEDPARAM */
