// Header walk over the first 64 bytes of a frame of at least 60: VLAN tags, IPv4, IPv6, ARP, and where the transport begins.
// Combinational. What depends on the frame's length (an IP packet longer than the frame) is left to the caller. Formats: IEEE
// 802.1Q, RFC 791, RFC 8200.
module pst_rx_header (
  input  logic         enable_i,  // else all outputs are 0
  input  logic [511:0] data_i,
  output logic [pst_rx_parser_pkg::HEADER_WIDTH-1:0] header_o  // header_t
);

  localparam int unsigned IP_BYTES = 40;  // of the longest header that is looked at

  function automatic logic [15:0] swapped(input logic [15:0] word);
    swapped = {word[7:0], word[15:8]};
  endfunction
  function automatic logic is_tag(input logic [15:0] ethertype);
    is_tag = ethertype == pst_rx_parser_pkg::ETHERTYPE_VLAN || ethertype == pst_rx_parser_pkg::ETHERTYPE_SERVICE_VLAN;
  endfunction

  pst_rx_parser_pkg::header_t header;
  logic [8*IP_BYTES-1:0]      ip;
  logic [15:0]                type0, type1, type2, ip_bytes;
  logic                       too_many_tags, fragment;
  logic [6:0]                 header_bytes;

  always_comb begin
    header = '0;
    ip = '0;
    type0 = '0;
    type1 = '0;
    type2 = '0;
    ip_bytes = '0;
    too_many_tags = 1'b0;
    fragment = 1'b0;
    header_bytes = '0;
    if (enable_i) begin
      header.destination = data_i[47:0];
      type0 = swapped(data_i[8*12 +: 16]);
      type1 = swapped(data_i[8*16 +: 16]);
      type2 = swapped(data_i[8*20 +: 16]);
      if (!is_tag(type0)) begin
        header.ethertype = type0;
        header.l3_offset = 7'd14;
        ip = data_i[8*14 +: 8*IP_BYTES];
      end else if (!is_tag(type1)) begin
        header.vlan_count = 2'd1;
        header.ethertype = type1;
        header.l3_offset = 7'd18;
        ip = data_i[8*18 +: 8*IP_BYTES];
      end else begin
        header.vlan_count = 2'd2;
        header.ethertype = type2;
        header.l3_offset = 7'd22;
        ip = data_i[8*22 +: 8*IP_BYTES];
        too_many_tags = is_tag(type2);
      end
      if (header.vlan_count != 2'd0) header.vlan_tci = swapped(data_i[8*14 +: 16]);

      if (too_many_tags) begin
        header.l3_offset = '0;
      end else if (header.ethertype == pst_rx_parser_pkg::ETHERTYPE_IPV4) begin
        header_bytes = {1'b0, ip[3:0], 2'b00};
        ip_bytes = swapped(ip[8*2 +: 16]);
        if (ip[7:4] == 4'd4 && header_bytes >= 7'd20 && {9'd0, header_bytes} <= ip_bytes) begin
          header.l3_class = pst_contract_pkg::PST_L3_CLASS_IPV4;
          header.ip_protocol = ip[8*9 +: 8];
          header.l3_end = {10'd0, header.l3_offset} + {1'b0, ip_bytes};
          header.l4_bytes = ip_bytes - {9'd0, header_bytes};
          header.remote_address[31:0] = ip[8*12 +: 32];
          header.local_address[31:0] = ip[8*16 +: 32];
          fragment = ip[8*6 +: 6] != '0 || ip[8*7 +: 8] != '0;  // more fragments, or an offset
        end
      end else if (header.ethertype == pst_rx_parser_pkg::ETHERTYPE_IPV6) begin
        header_bytes = 7'd40;
        ip_bytes = swapped(ip[8*4 +: 16]);
        if (ip[7:4] == 4'd6) begin
          header.l3_class = pst_contract_pkg::PST_L3_CLASS_IPV6;
          header.ip_protocol = ip[8*6 +: 8];
          header.l3_end = {10'd0, header.l3_offset} + 17'd40 + {1'b0, ip_bytes};
          header.l4_bytes = ip_bytes;
          header.remote_address = ip[8*8 +: 128];
          header.local_address = ip[8*24 +: 128];
        end
      end else if (header.ethertype == pst_rx_parser_pkg::ETHERTYPE_ARP) begin
        header.l3_class = pst_contract_pkg::PST_L3_CLASS_ARP;  // a frame of 60 bytes has room for it behind any tags
      end

      if (header.l3_end != '0) begin
        header.l4_offset = header.l3_offset + header_bytes;
        if (!fragment) begin
          case (header.ip_protocol)
            pst_rx_parser_pkg::PROTOCOL_TCP:
              if (header.l4_bytes >= 16'd20) header.l4_class = pst_contract_pkg::PST_L4_CLASS_TCP;
            pst_rx_parser_pkg::PROTOCOL_UDP:
              if (header.l4_bytes >= 16'd8) header.l4_class = pst_contract_pkg::PST_L4_CLASS_UDP;
            pst_rx_parser_pkg::PROTOCOL_ICMP, pst_rx_parser_pkg::PROTOCOL_ICMPV6:
              header.l4_class = pst_contract_pkg::PST_L4_CLASS_ICMP;
            default: ;
          endcase
        end
      end
    end
  end
  assign header_o = header;

endmodule
