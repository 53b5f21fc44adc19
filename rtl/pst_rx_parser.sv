// Received beats into the buffer, and what the headers say: classes, addresses, ports, and whether the checksums are right.
// Frames of a wrong length, and those for which there is no room, are dropped here. Packet walk: first step behind the port.
module pst_rx_parser #(
  parameter int unsigned CELL_COUNT = 4096,
  localparam int unsigned CELL_WIDTH = $clog2(CELL_COUNT)
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         quiet_o,

  input  logic         cfg_valid_i,  // CFG_PORT, which pst_mac_port answers
  input  logic [7:0]   cfg_op_i,
  input  logic [511:0] cfg_data_i,

  // From pst_mac_port. drop, time and id with the last beat.
  input  logic         rx_valid_i,
  input  logic [511:0] rx_data_i,
  input  logic [6:0]   rx_bytes_i,
  input  logic         rx_last_i,
  input  logic         rx_drop_i,
  input  logic [63:0]  rx_time_ns_i,
  input  logic [15:0]  rx_id_i,

  // pst_rx_buffer.
  input  logic                  free_valid_i,
  input  logic [CELL_WIDTH-1:0] free_cell_i,
  output logic                  write_valid_o,
  output logic [511:0]          write_data_o,
  output logic                  write_link_o,
  output logic [CELL_WIDTH-1:0] write_prev_o,
  output logic                  end_valid_o,
  output logic                  end_drop_o,
  output logic [CELL_WIDTH-1:0] end_frame_o,
  output logic [CELL_WIDTH-1:0] end_cell_o,
  output logic [7:0]            end_count_o,

  // To pst_rx_filter: it says whether there is room for one more.
  output logic                                      frame_valid_o,
  output logic [pst_rx_parser_pkg::FRAME_WIDTH-1:0] frame_o,
  input  logic                                      frame_room_i,

  output logic       drop_valid_o,
  output logic [3:0] drop_reason_o
);

  pst_admin_pkg::port_t port;
  logic [15:0]          mtu_q;
  assign port = cfg_data_i[pst_admin_pkg::PORT_WIDTH-1:0];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) mtu_q <= 16'd0;
    else if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_PORT) mtu_q <= port.mtu_bytes;
  end

  // ---- First stage: a beat goes into its cell.
  localparam logic [13:0] BYTES_MAX = 14'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MAX);
  logic                  busy_q, full_q, long_q;  // within a frame; it found no cell; it is too long
  logic [CELL_WIDTH-1:0] frame_q, cell_q;
  logic [7:0]            count_q;
  logic [13:0]           bytes_q;                 // before this beat
  logic                  first, room, too_long;
  logic [13:0]           bytes_now;
  assign first = !busy_q;
  assign bytes_now = (first ? 14'd0 : bytes_q) + {7'd0, rx_bytes_i};
  assign too_long = (!first && long_q) || bytes_now > BYTES_MAX;
  assign room = free_valid_i && !(!first && full_q) && !too_long;
  assign write_valid_o = rx_valid_i && room;
  assign write_data_o = rx_data_i;
  assign write_link_o = !first;
  assign write_prev_o = cell_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) busy_q <= 1'b0;
    else if (rx_valid_i) busy_q <= !rx_last_i;
  end
  always_ff @(posedge clk_i) begin
    if (rx_valid_i) begin
      if (first) frame_q <= free_cell_i;
      if (room) cell_q <= free_cell_i;
      full_q <= (!first && full_q) || !free_valid_i;
      long_q <= too_long;
      count_q <= (first ? 8'd0 : count_q) + {7'd0, room};
      bytes_q <= too_long ? BYTES_MAX : bytes_now;
    end
  end

  // ---- Second stage: headers and sums.
  logic         s1_valid_q, s1_first_q, s1_last_q, s1_drop_q;
  logic [511:0] s1_data_q;
  logic [6:0]   s1_bytes_q, s1_beat_q;
  logic [63:0]  s1_time_q;
  logic [15:0]  s1_id_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) s1_valid_q <= 1'b0;
    else s1_valid_q <= rx_valid_i;
  end
  always_ff @(posedge clk_i) begin
    if (rx_valid_i) begin
      s1_data_q <= rx_data_i;
      s1_bytes_q <= rx_bytes_i;
      s1_first_q <= first;
      s1_last_q <= rx_last_i;
      s1_beat_q <= first ? 7'd0 : s1_beat_q + {6'd0, s1_beat_q != 7'd127};
      if (rx_last_i) begin
        s1_drop_q <= rx_drop_i;
        s1_time_q <= rx_time_ns_i;
        s1_id_q <= rx_id_i;
      end
    end
  end

  // A narrow copy of what the first beat says; the first beat itself, for what straddles the second.
  logic [511:0] head_q, head, second_q, second;
  assign head = s1_first_q ? s1_data_q : head_q;
  assign second = s1_first_q ? '0 : s1_beat_q == 7'd1 ? s1_data_q : second_q;
  always_ff @(posedge clk_i) begin
    if (s1_valid_q && s1_first_q) head_q <= s1_data_q;
    if (s1_valid_q && (s1_first_q || s1_beat_q == 7'd1)) second_q <= second;
  end
  logic [1:0]   vlan_count;
  logic         too_many_tags, is_ipv4, is_ipv6, is_arp, header_good, fragment;
  logic [15:0]  vlan_tci, ethertype, l3_bytes, l4_bytes;
  logic [6:0]   l3_offset, l4_offset;
  logic [7:0]   protocol;
  logic [127:0] source, destination;
  pst_rx_headers u_headers (
    .data_i(head), .vlan_count_o(vlan_count), .too_many_tags_o(too_many_tags), .vlan_tci_o(vlan_tci), .ethertype_o(ethertype),
    .l3_offset_o(l3_offset), .l4_offset_o(l4_offset), .is_ipv4_o(is_ipv4), .is_ipv6_o(is_ipv6), .is_arp_o(is_arp),
    .header_good_o(header_good), .l3_bytes_o(l3_bytes), .l4_bytes_o(l4_bytes), .fragment_o(fragment), .protocol_o(protocol),
    .source_o(source), .destination_o(destination)
  );

  // A range [from, to) of the frame within this beat.
  logic [16:0] beat_from, l3_from, l3_to, l4_from, l4_to;
  assign beat_from = {4'd0, s1_beat_q, 6'd0};
  assign l3_from = {10'd0, l3_offset};
  assign l3_to = {10'd0, l4_offset};
  assign l4_from = {10'd0, l4_offset};
  assign l4_to = {10'd0, l4_offset} + {1'b0, l4_bytes};
  function automatic logic [6:0] clip(input logic [16:0] position, input logic [16:0] beat);
    if (position <= beat) clip = 7'd0;
    else if (position >= beat + 17'd64) clip = 7'd64;
    else clip = 7'(position - beat);
  endfunction
  logic [15:0] l3_part, l4_part, l3_sum_q, l4_sum_q, l3_sum, l4_sum;
  pst_checksum u_l3 (.data_i(s1_data_q), .first_i(clip(l3_from, beat_from)), .end_i(clip(l3_to, beat_from)), .sum_o(l3_part));
  pst_checksum u_l4 (.data_i(s1_data_q), .first_i(clip(l4_from, beat_from)), .end_i(clip(l4_to, beat_from)), .sum_o(l4_part));
  function automatic logic [15:0] plus(input logic [15:0] a, input logic [15:0] b);
    logic [16:0] total;
    total = {1'b0, a} + {1'b0, b};
    plus = total[15:0] + {15'd0, total[16]};
  endfunction
  assign l3_sum = plus(s1_first_q ? 16'd0 : l3_sum_q, l3_part);
  assign l4_sum = plus(s1_first_q ? 16'd0 : l4_sum_q, l4_part);
  always_ff @(posedge clk_i) begin
    if (s1_valid_q) begin
      l3_sum_q <= l3_sum;
      l4_sum_q <= l4_sum;
    end
  end

  // ---- With the last beat the frame is judged.
  localparam logic [1:0] GOOD = 2'(pst_contract_pkg::PST_CHECKSUM_RESULT_GOOD);
  localparam logic [1:0] BAD = 2'(pst_contract_pkg::PST_CHECKSUM_RESULT_BAD);
  pst_rx_parser_pkg::frame_t parsed;
  logic [13:0]  l3_room, longest;
  logic         is_ip, ip_good, has_ports, l4_long_enough;
  logic [15:0]  pseudo, l4_total, udp_field;
  logic [31:0]  ports;
  logic [6:0]   l4_min;
  assign is_ip = is_ipv4 || is_ipv6;
  assign l3_room = bytes_q - {7'd0, l3_offset};  // at least 14 + 46 - 22
  assign ip_good = is_ip && header_good && l3_bytes <= {2'd0, l3_room} && (is_ipv4 || l3_room >= 14'd40);
  assign l4_min = protocol == 8'd6 ? 7'd20 : 7'd8;
  assign l4_long_enough = l4_bytes >= {9'd0, l4_min};
  assign has_ports = ip_good && !fragment && (protocol == 8'd6 || protocol == 8'd17) && l4_long_enough;
  // Ports, and the field of UDP's checksum, from the first two beats.
  logic [1023:0] start;
  logic [9:0]    ports_at, field_at;
  assign start = {second, head};
  assign ports_at = {l4_offset, 3'b000};
  assign field_at = {l4_offset, 3'b000} + 10'd48;
  assign ports = start[ports_at +: 32];
  assign udp_field = start[field_at +: 16];
  // Sums are over 16-bit words in memory order, so numbers are swapped.
  pst_checksum u_pseudo (
    .data_i({224'd0, l4_bytes[7:0], l4_bytes[15:8], protocol, 8'd0, destination, source}), .first_i(7'd0), .end_i(7'd36),
    .sum_o(pseudo)
  );
  assign l4_total = plus(l4_sum, pseudo);

  always_comb begin
    parsed = '0;
    parsed.frame = 12'(frame_q);
    parsed.bytes = bytes_q;
    parsed.time_ns = s1_time_q;
    parsed.id = s1_id_q;
    parsed.destination = head[47:0];
    parsed.ethertype = ethertype;
    parsed.vlan_count = vlan_count;
    parsed.vlan_tci = vlan_tci;
    parsed.protocol = protocol;
    if (ip_good) begin
      parsed.l3_class = is_ipv4 ? 2'(pst_contract_pkg::PST_L3_CLASS_IPV4) : 2'(pst_contract_pkg::PST_L3_CLASS_IPV6);
      parsed.local_address = destination;
      parsed.remote_address = source;
      if (is_ipv4) parsed.checksum_l3 = l3_sum == 16'hffff ? GOOD : BAD;
      if (!fragment && (protocol == 8'd1 || protocol == 8'd58)) parsed.l4_class = 2'(pst_contract_pkg::PST_L4_CLASS_ICMP);
    end else if (is_arp && l3_room >= 14'd28) begin
      parsed.l3_class = 2'(pst_contract_pkg::PST_L3_CLASS_ARP);
    end
    if (has_ports) begin
      parsed.l4_class = protocol == 8'd6 ? 2'(pst_contract_pkg::PST_L4_CLASS_TCP) : 2'(pst_contract_pkg::PST_L4_CLASS_UDP);
      parsed.local_port = {ports[23:16], ports[31:24]};
      parsed.remote_port = {ports[7:0], ports[15:8]};
      parsed.checksum_l4 = l4_total == 16'hffff ? GOOD : BAD;
      // UDP over IPv4 may have none; over IPv6 that is wrong.
      if (protocol == 8'd17 && udp_field == 16'd0) parsed.checksum_l4 = is_ipv4 ? 2'd0 : BAD;
    end
  end

  logic bad_length, ends, drops;
  assign longest = mtu_q[13:0] + 14'd14 + {10'd0, vlan_count, 2'b00};
  assign bad_length = long_q || bytes_q < 14'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MIN) || bytes_q > longest;
  assign ends = s1_valid_q && s1_last_q;
  assign drops = s1_drop_q || full_q || bad_length || !frame_room_i;
  assign end_valid_o = ends && count_q != 8'd0;
  assign end_drop_o = drops;
  assign end_frame_o = frame_q;
  assign end_cell_o = cell_q;
  assign end_count_o = count_q;
  assign frame_valid_o = ends && !drops;
  assign frame_o = parsed;
  assign drop_valid_o = ends && !s1_drop_q && drops;
  assign drop_reason_o = bad_length ? 4'(pst_contract_pkg::PST_DROP_REASON_RX_BAD_LENGTH)
                                    : 4'(pst_contract_pkg::PST_DROP_REASON_RX_BUFFER_FULL);
  assign quiet_o = !rx_valid_i && !s1_valid_q && !busy_q;

  logic unused;
  assign unused = &{1'b0, port, cfg_data_i[511:pst_admin_pkg::PORT_WIDTH], s1_bytes_q, too_many_tags, mtu_q[15:14]};

endmodule
