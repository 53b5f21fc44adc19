// Where the headers of a frame are, from its first 64 bytes: tags, IP header, transport header. Combinational; what depends on the
// frame's length is judged by whoever knows it. Formats: IEEE 802.1Q, RFC 791, RFC 8200, RFC 826.
module pst_rx_headers (
  input  logic [511:0] data_i,
  output logic [1:0]   vlan_count_o,
  output logic         too_many_tags_o,
  output logic [15:0]  vlan_tci_o,
  output logic [15:0]  ethertype_o,
  output logic [6:0]   l3_offset_o,
  output logic [6:0]   l4_offset_o,
  output logic         is_ipv4_o,        // by ethertype
  output logic         is_ipv6_o,
  output logic         is_arp_o,
  output logic         header_good_o,    // version and header length fit
  output logic [15:0]  l3_bytes_o,       // header and payload by the IP header
  output logic [15:0]  l4_bytes_o,
  output logic         fragment_o,
  output logic [7:0]   protocol_o,
  output logic [127:0] source_o,
  output logic [127:0] destination_o
);

  localparam logic [15:0] TYPE_VLAN = 16'h8100;
  localparam logic [15:0] TYPE_SERVICE_VLAN = 16'h88a8;
  function automatic logic [15:0] be16(input logic [15:0] bytes);
    be16 = {bytes[7:0], bytes[15:8]};
  endfunction
  function automatic logic is_tag(input logic [15:0] ethertype);
    is_tag = ethertype == TYPE_VLAN || ethertype == TYPE_SERVICE_VLAN;
  endfunction

  logic [15:0] type0, type1, type2;
  assign type0 = be16(data_i[8*12 +: 16]);
  assign type1 = be16(data_i[8*16 +: 16]);
  assign type2 = be16(data_i[8*20 +: 16]);
  always_comb begin
    vlan_count_o = 2'd0;
    ethertype_o = type0;
    if (is_tag(type0)) begin
      vlan_count_o = is_tag(type1) ? 2'd2 : 2'd1;
      ethertype_o = is_tag(type1) ? type2 : type1;
    end
  end
  assign too_many_tags_o = vlan_count_o == 2'd2 && is_tag(type2);
  assign vlan_tci_o = be16(data_i[8*14 +: 16]);
  assign l3_offset_o = 7'd14 + {3'd0, vlan_count_o, 2'b00};

  // The IP header: all that is looked at lies in the first 40 bytes of it.
  logic [319:0] ip;
  logic [15:0]  total_bytes, payload_bytes, fragment_field;
  logic [6:0]   header_bytes;
  assign ip = vlan_count_o == 2'd0 ? data_i[8*14 +: 320] : vlan_count_o == 2'd1 ? data_i[8*18 +: 320] : data_i[8*22 +: 320];
  assign is_ipv4_o = !too_many_tags_o && ethertype_o == 16'h0800;
  assign is_ipv6_o = !too_many_tags_o && ethertype_o == 16'h86dd;
  assign is_arp_o = !too_many_tags_o && ethertype_o == 16'h0806;
  assign total_bytes = be16(ip[8*2 +: 16]);
  assign payload_bytes = be16(ip[8*4 +: 16]);
  assign fragment_field = be16(ip[8*6 +: 16]);
  assign header_bytes = is_ipv4_o ? {1'b0, ip[3:0], 2'b00} : 7'd40;
  assign l4_offset_o = l3_offset_o + header_bytes;
  assign l3_bytes_o = is_ipv4_o ? total_bytes : payload_bytes + 16'd40;
  assign l4_bytes_o = is_ipv4_o ? total_bytes - {9'd0, header_bytes} : payload_bytes;
  assign header_good_o = is_ipv4_o ? ip[7:4] == 4'd4 && header_bytes >= 7'd20 && {9'd0, header_bytes} <= total_bytes
                                   : ip[7:4] == 4'd6 && payload_bytes < 16'd65496;
  assign fragment_o = is_ipv4_o && fragment_field[13:0] != 14'd0;
  assign protocol_o = is_ipv4_o ? ip[8*9 +: 8] : ip[8*6 +: 8];
  assign source_o = is_ipv4_o ? {96'd0, ip[8*12 +: 32]} : ip[8*8 +: 128];
  assign destination_o = is_ipv4_o ? {96'd0, ip[8*16 +: 32]} : ip[8*24 +: 128];

  logic unused;
  assign unused = &{1'b0, data_i[511:496], data_i[95:0], ip[15:8], fragment_field[15:14]};

endmodule
