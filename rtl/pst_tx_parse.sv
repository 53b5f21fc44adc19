// Header walk of a packet to send, in its first 64 bytes: tags, IPv4, IPv6 or ARP, and where L4 begins. Combinational. A packet to
// segment has no IP length of its own: all that it holds counts. Formats: IEEE 802.1Q, RFC 791, RFC 8200, RFC 826.
module pst_tx_parse (
  input  logic         valid_i,  // otherwise all outputs are 0
  input  logic [511:0] word_i,   // bytes 0 to 63; those beyond the packet do not matter
  input  logic [15:0]  bytes_i,  // of the packet, at least 14
  input  logic         segment_i,
  output logic [1:0]   vlan_count_o,
  output logic         bad_o,       // a third tag, or the ethertype says IP or ARP but the header is not one
  output logic [1:0]   l3_class_o,  // L3_CLASS_OTHER if bad
  output logic         tcp_o,       // unfragmented, and the header's fixed part is there
  output logic         udp_o,       // likewise
  output logic [4:0]   l3_offset_o,
  output logic [6:0]   l4_offset_o,
  output logic [15:0]  l4_bytes_o,  // header and payload by the IP length
  output logic [191:0] l3_o         // 24 bytes from l3_offset on
);

  localparam logic [15:0] ETHERTYPE_IPV4 = 16'h0800;
  localparam logic [15:0] ETHERTYPE_ARP = 16'h0806;
  localparam logic [15:0] ETHERTYPE_VLAN = 16'h8100;
  localparam logic [15:0] ETHERTYPE_SERVICE_VLAN = 16'h88a8;
  localparam logic [15:0] ETHERTYPE_IPV6 = 16'h86dd;
  localparam logic [7:0] PROTOCOL_TCP = 8'd6;
  localparam logic [7:0] PROTOCOL_UDP = 8'd17;
  localparam logic [15:0] IPV4_HEADER_BYTES = 16'd20;
  localparam logic [15:0] IPV6_HEADER_BYTES = 16'd40;
  localparam logic [15:0] ARP_BYTES = 16'd28;
  localparam logic [15:0] TCP_HEADER_BYTES = 16'd20;
  localparam logic [15:0] UDP_HEADER_BYTES = 16'd8;

  // ---- Tags: at most two.
  logic [15:0] type0, type1, type2, ethertype;
  logic        tag0, tag1, tag2, bad_tags;
  assign type0 = {word_i[8*12 +: 8], word_i[8*13 +: 8]};
  assign type1 = {word_i[8*16 +: 8], word_i[8*17 +: 8]};
  assign type2 = {word_i[8*20 +: 8], word_i[8*21 +: 8]};
  assign tag0 = type0 == ETHERTYPE_VLAN || type0 == ETHERTYPE_SERVICE_VLAN;
  assign tag1 = type1 == ETHERTYPE_VLAN || type1 == ETHERTYPE_SERVICE_VLAN;
  assign tag2 = type2 == ETHERTYPE_VLAN || type2 == ETHERTYPE_SERVICE_VLAN;
  always_comb begin
    vlan_count_o = 2'd0;
    ethertype = type0;
    bad_tags = 1'b0;
    if (valid_i && tag0) begin
      if (bytes_i < 16'd18) begin
        bad_tags = 1'b1;
      end else if (!tag1) begin
        vlan_count_o = 2'd1;
        ethertype = type1;
      end else if (bytes_i < 16'd22) begin
        vlan_count_o = 2'd1;
        bad_tags = 1'b1;
      end else begin
        vlan_count_o = 2'd2;
        ethertype = type2;
        bad_tags = tag2;
      end
    end
  end
  assign l3_offset_o = 5'd14 + {1'b0, vlan_count_o, 2'b00};

  // ---- IP or ARP.
  logic [15:0] left, total_bytes, header_bytes;
  logic        fragment, bad_l3;
  logic [7:0]  protocol;
  always_comb begin
    l3_o = '0;
    if (valid_i) begin
      case (vlan_count_o)
        2'd0: l3_o = word_i[8*14 +: 192];
        2'd1: l3_o = word_i[8*18 +: 192];
        default: l3_o = word_i[8*22 +: 192];
      endcase
    end
  end
  assign left = bytes_i - {11'd0, l3_offset_o};
  always_comb begin
    l3_class_o = pst_contract_pkg::PST_L3_CLASS_OTHER;
    bad_l3 = 1'b0;
    fragment = 1'b0;
    protocol = 8'd0;
    header_bytes = 16'd0;
    total_bytes = 16'd0;
    if (valid_i && !bad_tags) begin
      case (ethertype)
        ETHERTYPE_IPV4: begin
          header_bytes = {10'd0, l3_o[3:0], 2'b00};
          total_bytes = segment_i ? left : {l3_o[8*2 +: 8], l3_o[8*3 +: 8]};
          protocol = l3_o[8*9 +: 8];
          fragment = {l3_o[8*6 +: 6], l3_o[8*7 +: 8]} != 14'd0;  // more of them follow, or an offset
          bad_l3 = left < IPV4_HEADER_BYTES || l3_o[7:4] != 4'd4 || header_bytes < IPV4_HEADER_BYTES ||
                   header_bytes > total_bytes || total_bytes > left;
          l3_class_o = pst_contract_pkg::PST_L3_CLASS_IPV4;
        end
        ETHERTYPE_IPV6: begin  // extension headers are not walked
          header_bytes = IPV6_HEADER_BYTES;
          total_bytes = segment_i ? left : {l3_o[8*4 +: 8], l3_o[8*5 +: 8]} + IPV6_HEADER_BYTES;
          protocol = l3_o[8*6 +: 8];
          bad_l3 = left < IPV6_HEADER_BYTES || l3_o[7:4] != 4'd6 ||
                   (!segment_i && {l3_o[8*4 +: 8], l3_o[8*5 +: 8]} > left - IPV6_HEADER_BYTES);
          l3_class_o = pst_contract_pkg::PST_L3_CLASS_IPV6;
        end
        ETHERTYPE_ARP: begin
          bad_l3 = left < ARP_BYTES;
          l3_class_o = pst_contract_pkg::PST_L3_CLASS_ARP;
        end
        default: ;
      endcase
      if (bad_l3) l3_class_o = pst_contract_pkg::PST_L3_CLASS_OTHER;
    end
  end
  assign bad_o = bad_tags || bad_l3;
  assign l4_offset_o = {2'd0, l3_offset_o} + header_bytes[6:0];
  assign l4_bytes_o = total_bytes - header_bytes;
  assign tcp_o = !bad_l3 && !fragment && protocol == PROTOCOL_TCP && l4_bytes_o >= TCP_HEADER_BYTES;
  assign udp_o = !bad_l3 && !fragment && protocol == PROTOCOL_UDP && l4_bytes_o >= UDP_HEADER_BYTES;

endmodule
