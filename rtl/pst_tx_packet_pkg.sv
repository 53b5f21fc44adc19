// What the steps of pst_tx_packet hand to each other, and the arithmetic of the Internet checksum that they share. Sums are over
// 16-bit words in memory order: a field in network order enters swapped. Not part of the contract.
package pst_tx_packet_pkg;

  // A packet that has been checked. Field values as they stand in the packet, in host order.
  typedef struct packed {
    logic         drop;  // nothing of it leaves
    logic [15:0]  vi;
    logic [31:0]  end_idx;
    logic [15:0]  first;  // byte address of the packet in the buffer
    logic [15:0]  bytes;
    logic         vlan_insert;
    logic [15:0]  vlan_tci;
    logic [95:0]  macs;  // bytes 0 to 11
    logic         segment;
    logic         insert_l3;
    logic         insert_l4;
    logic         ipv4;
    logic         udp;
    logic [4:0]   l3_offset;
    logic [6:0]   l4_offset;
    logic [15:0]  l4_bytes;
    logic [7:0]   header_bytes;   // of a packet to segment, like all that follows but the sums
    logic [15:0]  payload_bytes;
    logic [15:0]  mss_bytes;
    logic [15:0]  ip_id;
    logic [31:0]  sequence_number;
    logic [15:0]  tcp_flags;  // with the data offset
    logic [15:0]  l3_sum;     // of the IPv4 header without the fields that are written
    logic [15:0]  l4_sum;     // of the pseudo header without its length, less the fields of the L4 header that are written
  } plan_t;
  localparam int unsigned PLAN_WIDTH = 363;

  // One frame to be sent: a first run of bytes in the buffer, for a segment its headers, and a second run.
  typedef struct packed {
    logic         drop;  // no frame: only says that the packet is done
    logic         last;  // of the packet
    logic [15:0]  vi;
    logic [31:0]  end_idx;
    logic         vlan_insert;
    logic [15:0]  vlan_tci;
    logic [95:0]  macs;
    logic [15:0]  first;
    logic [13:0]  first_bytes;
    logic [15:0]  second;
    logic [13:0]  second_bytes;
    logic         put_segment;  // length, identification, sequence number and flags below are written
    logic         put_l3;
    logic         put_l4;
    logic         ipv4;
    logic         udp;
    logic [4:0]   l3_word;  // places of the headers in the frame that leaves, in 16-bit words
    logic [5:0]   l4_word;
    logic [15:0]  ip_length;  // from here on as in memory
    logic [15:0]  ip_id;
    logic [31:0]  sequence_number;
    logic [15:0]  tcp_flags;
    logic [15:0]  l3_checksum;
    logic [15:0]  l4_sum;  // of all but the bytes that are still being summed
  } job_t;
  localparam int unsigned JOB_WIDTH = 351;

  function automatic logic [15:0] swap16(input logic [15:0] value);
    swap16 = {value[7:0], value[15:8]};
  endfunction

  // One's complement sum in 16 bits; 0 only if sum is.
  function automatic logic [15:0] fold(input logic [19:0] sum);
    logic [16:0] once;
    once = {1'b0, sum[15:0]} + {13'd0, sum[19:16]};
    fold = once[15:0] + {15'd0, once[16]};
  endfunction

endpackage
