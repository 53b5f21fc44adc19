// The verdict on each packet to send: reads its headers from the buffer, checks lengths, sources (R9) and, for segmentation, the
// TCP header; sums what of the checksums lies in the headers. One packet at a time; hands on a plan per packet, dropped or not.
module pst_tx_head #(
  parameter int unsigned VI_COUNT = 64,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,  // nothing changes until an input does

  input  logic                                  grant_valid_i,
  input  logic [VI_WIDTH+2:0]                   grant_index_i,
  input  logic [pst_admin_pkg::GRANT_WIDTH-1:0] grant_i,
  input  logic [15:0]                           mtu_bytes_i,
  input  logic [47:0]                           mac_address_i,

  // Packets, as pst_tx_packet takes them.
  input  logic        pk_valid_i,
  output logic        pk_ready_o,
  input  logic [15:0] pk_vi_i,
  input  logic [15:0] pk_first_i,
  input  logic [16:0] pk_bytes_i,
  input  logic        pk_drop_i,
  input  logic [3:0]  pk_drop_reason_i,
  input  logic        pk_l3_i,
  input  logic        pk_l4_i,
  input  logic        pk_segment_i,
  input  logic [15:0] pk_mss_i,
  input  logic        pk_vlan_insert_i,
  input  logic [15:0] pk_vlan_tci_i,
  input  logic        pk_any_source_i,
  input  logic [31:0] pk_end_idx_i,

  output logic        verdict_valid_o,
  output logic        verdict_drop_o,
  output logic [3:0]  verdict_reason_o,
  output logic [15:0] verdict_frames_o,
  output logic [23:0] verdict_extra_bytes_o,

  output logic         rd_valid_o,  // always granted
  output logic [9:0]   rd_line_o,
  input  logic [511:0] rd_data_i,

  output logic                                     plan_valid_o,
  input  logic                                     plan_ready_i,
  output logic [pst_tx_packet_pkg::PLAN_WIDTH-1:0] plan_o
);

  localparam logic [16:0] FRAME_BYTES_MAX = 17'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MAX);
  localparam logic [16:0] TSO_BYTES_MAX = 17'(pst_contract_pkg::PST_LIMIT_TSO_BYTES_MAX);
  localparam logic [16:0] ETHERNET_HEADER_BYTES = 17'd14;
  localparam logic [7:0] TCP_HEADER_BYTES = 8'd20;
  localparam logic [1:0] L3_IPV4 = 2'(pst_contract_pkg::PST_L3_CLASS_IPV4);
  localparam logic [1:0] L3_IPV6 = 2'(pst_contract_pkg::PST_L3_CLASS_IPV6);
  localparam logic [1:0] L3_ARP = 2'(pst_contract_pkg::PST_L3_CLASS_ARP);

  // Ready, read the header lines, walk the headers, take fields of L4, sums and checks, verdict.
  typedef enum logic [2:0] {READY, READ, PARSE, FIELDS, CHECK, VERDICT} state_e;
  state_e     state_q;
  logic [1:0] step_q;  // of CHECK; 3: the last one, which may last

  // ---- The packet.
  logic [15:0] vi_q, first_q, mss_q, vlan_tci_q;
  logic [16:0] bytes_q;
  logic [31:0] end_idx_q;
  logic        l3_q, l4_q, segment_q, vlan_insert_q, any_source_q, offload_q, drop_q;
  logic [3:0]  reason_q;
  logic        take, impossible;
  assign pk_ready_o = state_q == READY;
  assign take = pk_ready_o && pk_valid_i;
  // Too short for a header walk, or too long for the widths below; whoever fetched the packet has seen that already.
  assign impossible = pk_bytes_i < ETHERNET_HEADER_BYTES || pk_bytes_i > TSO_BYTES_MAX;
  always_ff @(posedge clk_i) begin
    if (take) begin
      {vi_q, first_q, bytes_q, end_idx_q} <= {pk_vi_i, pk_first_i, pk_bytes_i, pk_end_idx_i};
      {mss_q, vlan_insert_q, vlan_tci_q} <= {pk_mss_i, pk_vlan_insert_i, pk_vlan_tci_i};
      {l3_q, l4_q, segment_q, any_source_q} <= {pk_l3_i, pk_l4_i, pk_segment_i, pk_any_source_i};
      offload_q <= pk_l3_i || pk_l4_i || pk_segment_i;
    end
  end

  // ---- Header lines: the first 64 bytes, and 64 more if a field of L4 is needed. The lines are turned so that the packet's
  // first byte comes into lane 0.
  logic [7:0]   need_bytes;
  logic [1:0]   line_last, issue_q, data_q;
  logic         issuing_q, data_valid_q;
  logic [511:0] word0_q, word1_q;
  assign need_bytes = bytes_q < (offload_q ? 17'd128 : 17'd64) ? bytes_q[7:0] : offload_q ? 8'd128 : 8'd64;
  assign line_last = 2'(({2'd0, first_q[5:0]} + need_bytes - 8'd1) >> 6);
  assign rd_valid_o = issuing_q;
  assign rd_line_o = first_q[15:6] + {8'd0, issue_q};

  function automatic logic [511:0] turned(input logic [511:0] line, input logic [5:0] lane);
    turned = line >> {lane, 3'b000} | line << (10'd512 - {1'b0, lane, 3'b000});
  endfunction
  // The bytes of a word that its first line holds come from it, the rest from the next line.
  function automatic logic [511:0] joined(input logic [511:0] word, input logic [511:0] line, input logic [5:0] lane);
    logic [511:0] mask;
    mask = {512{1'b1}} >> {lane, 3'b000};
    joined = (word & mask) | (turned(line, lane) & ~mask);
  endfunction
  always_ff @(posedge clk_i) begin
    if (data_valid_q) begin
      if (data_q == 2'd0) word0_q <= turned(rd_data_i, first_q[5:0]);
      if (data_q == 2'd1) begin
        word0_q <= joined(word0_q, rd_data_i, first_q[5:0]);
        word1_q <= turned(rd_data_i, first_q[5:0]);
      end
      if (data_q == 2'd2) word1_q <= joined(word1_q, rd_data_i, first_q[5:0]);
    end
    data_q <= issue_q;
  end

  // ---- Headers.
  logic [1:0]   vlan_count, l3_class, l3_class_q;
  logic         bad, bad_q, tcp, tcp_q, udp, udp_q;
  logic [4:0]   l3_offset, l3_offset_q;
  logic [6:0]   l4_offset, l4_offset_q;
  logic [15:0]  l4_bytes, l4_bytes_q;
  logic [191:0] l3, l3_header_q;
  logic [16:0]  bytes_max, vlan_bytes;
  logic         too_long_q;
  pst_tx_parse u_parse (
    .valid_i(state_q == PARSE),
    .word_i(word0_q),
    .bytes_i(bytes_q[15:0]),
    .segment_i(segment_q),
    .vlan_count_o(vlan_count),
    .bad_o(bad),
    .l3_class_o(l3_class),
    .tcp_o(tcp),
    .udp_o(udp),
    .l3_offset_o(l3_offset),
    .l4_offset_o(l4_offset),
    .l4_bytes_o(l4_bytes),
    .l3_o(l3)
  );
  assign bytes_max = {1'b0, mtu_bytes_i} + ETHERNET_HEADER_BYTES + {13'd0, vlan_count, 2'b00};
  assign vlan_bytes = {14'd0, vlan_insert_q, 2'b00};
  always_ff @(posedge clk_i) begin
    if (state_q == PARSE) begin
      {bad_q, l3_class_q, tcp_q, udp_q} <= {bad, l3_class, tcp, udp};
      {l3_offset_q, l4_offset_q, l4_bytes_q, l3_header_q} <= {l3_offset, l4_offset, l4_bytes, l3};
      too_long_q <= bytes_q > bytes_max || bytes_q + vlan_bytes > FRAME_BYTES_MAX;
    end
  end

  // ---- Fields of the L4 header: its first 18 bytes.
  logic [143:0] l4_header_q;
  function automatic logic [143:0] l4_fields(input logic [511:0] word0, input logic [511:0] word1, input logic [6:0] offset);
    l4_fields = 144'({word1, word0} >> {offset, 3'b000});
  endfunction
  always_ff @(posedge clk_i) begin
    if (state_q == FIELDS && offload_q) l4_header_q <= l4_fields(word0_q, word1_q, l4_offset_q);
  end

  // ---- Source check. It starts with the header walk, whose result it sees a cycle later.
  logic         source_busy, source_granted;
  logic [127:0] l3_source;
  always_comb begin
    case (l3_class_q)
      L3_IPV4: l3_source = {96'd0, l3_header_q[8*12 +: 32]};
      L3_IPV6: l3_source = l3_header_q[8*8 +: 128];
      default: l3_source = {96'd0, l3_header_q[8*14 +: 32]};
    endcase
  end
  // An ARP sender 0.0.0.0 claims no address (RFC 5227).
  pst_source_check #(.VI_COUNT(VI_COUNT)) u_source_check (
    .clk_i, .rst_ni,
    .write_valid_i(grant_valid_i),
    .write_index_i(grant_index_i),
    .write_grant_i(grant_i),
    .start_i(state_q == PARSE && !any_source_q),
    .vi_i(vi_q[VI_WIDTH-1:0]),
    .port_mac_i(mac_address_i),
    .mac_i(word0_q[8*6 +: 48]),
    .arp_i(l3_class_q == L3_ARP),
    .arp_mac_i(l3_header_q[8*8 +: 48]),
    .l3_i(l3_class_q == L3_IPV4 || l3_class_q == L3_IPV6 || (l3_class_q == L3_ARP && l3_source[31:0] != 32'd0)),
    .l3_family_i(l3_class_q == L3_IPV6 ? 2'(pst_contract_pkg::PST_ADDRESS_FAMILY_IPV6)
                                       : 2'(pst_contract_pkg::PST_ADDRESS_FAMILY_IPV4)),
    .l3_address_i(l3_source),
    .busy_o(source_busy),
    .granted_o(source_granted)
  );

  // ---- Segmentation. CHECK looks at it in its first cycle.
  logic [7:0]  tcp_header_bytes, header_bytes_q;
  logic [15:0] payload_bytes, payload_bytes_q;
  logic [16:0] l3_bytes, segment_bytes;  // of a segment with all of MSS, and the first one's frame
  logic        bad_segment, count_busy, counting;
  logic [15:0] count;
  assign tcp_header_bytes = {2'd0, l4_header_q[8*12+4 +: 4], 2'b00};
  assign payload_bytes = l4_bytes_q - {8'd0, tcp_header_bytes};
  assign l3_bytes = {9'd0, {1'b0, l4_offset_q} - {3'd0, l3_offset_q} + tcp_header_bytes} + {1'b0, mss_q};
  assign segment_bytes = {9'd0, {1'b0, l4_offset_q} + tcp_header_bytes} +
                         {1'b0, payload_bytes < mss_q ? payload_bytes : mss_q} + vlan_bytes;
  assign bad_segment = !tcp_q || tcp_header_bytes < TCP_HEADER_BYTES || {8'd0, tcp_header_bytes} > l4_bytes_q ||
                       mss_q == 16'd0 || l3_bytes > {1'b0, mtu_bytes_i} || segment_bytes > FRAME_BYTES_MAX;
  assign counting = state_q == CHECK && step_q == 2'd0 && segment_q && !bad_segment;
  pst_segment_count u_segment_count (
    .clk_i, .rst_ni,
    .start_i(counting),
    .payload_bytes_i(payload_bytes),
    .mss_bytes_i(mss_q),
    .busy_o(count_busy),
    .count_o(count)
  );
  always_ff @(posedge clk_i) begin
    if (state_q == CHECK && step_q == 2'd0) begin
      header_bytes_q <= {1'b0, l4_offset_q} + tcp_header_bytes;
      payload_bytes_q <= payload_bytes;
    end
  end

  // ---- Sums: the IPv4 header in both words, then the addresses of the pseudo header.
  logic [6:0]  sum_first, sum_end;
  logic [15:0] sum, sum_q, l3_sum_q, l4_sum_q;  // sum_q: of the step before
  always_comb begin
    sum_first = 7'd0;
    sum_end = 7'd0;
    if (state_q == CHECK) begin
      case (step_q)
        2'd0: begin
          sum_first = {2'd0, l3_offset_q};
          sum_end = l4_offset_q > 7'd64 ? 7'd64 : l4_offset_q;
        end
        2'd1: sum_end = l4_offset_q > 7'd64 ? l4_offset_q - 7'd64 : 7'd0;
        2'd2: begin
          sum_first = {2'd0, l3_offset_q} + (l3_class_q == L3_IPV4 ? 7'd12 : 7'd8);
          sum_end = {2'd0, l3_offset_q} + (l3_class_q == L3_IPV4 ? 7'd20 : 7'd40);
        end
        default: ;
      endcase
    end
  end
  pst_checksum u_checksum (
    .data_i(step_q == 2'd1 ? word1_q : word0_q),
    .first_i(sum_first),
    .end_i(sum_end),
    .sum_o(sum)
  );
  // A field that will be written leaves the sum by adding its complement. No sum is 0: a header is not.
  logic [19:0] l3_less, l4_less, segment_less;
  assign l3_less = {4'd0, ~l3_header_q[8*10 +: 16]} +
                   (segment_q ? {4'd0, ~l3_header_q[8*2 +: 16]} + {4'd0, ~l3_header_q[8*4 +: 16]} : 20'd0);
  assign segment_less = {4'd0, ~l4_header_q[8*4 +: 16]} + {4'd0, ~l4_header_q[8*6 +: 16]} + {4'd0, ~l4_header_q[8*12 +: 16]};
  assign l4_less = {4'd0, tcp_q ? ~l4_header_q[8*16 +: 16] : ~l4_header_q[8*6 +: 16]} +
                   {4'd0, tcp_q ? 16'h0600 : 16'h1100} + (segment_q ? segment_less : 20'd0);
  always_ff @(posedge clk_i) begin
    if (state_q == CHECK) begin
      if (step_q != 2'd3) sum_q <= sum;
      if (step_q == 2'd1) l3_sum_q <= sum_q;
      if (step_q == 2'd2) l3_sum_q <= pst_tx_packet_pkg::fold({4'd0, l3_sum_q} + {4'd0, sum_q} + l3_less);
      if (step_q == 2'd3) l4_sum_q <= pst_tx_packet_pkg::fold({4'd0, sum_q} + l4_less);
    end
  end

  // ---- The verdict.
  logic refused, checked, source_bad, verdict_taken, counted_q;
  assign refused = step_q == 2'd0 && (segment_q ? bad_segment : too_long_q);
  assign checked = !source_busy && !counting && !count_busy && (step_q == 2'd3 || !offload_q);
  assign source_bad = !any_source_q && (bad_q || !source_granted);
  assign plan_valid_o = state_q == VERDICT;
  assign verdict_taken = plan_valid_o && plan_ready_i;
  always_ff @(posedge clk_i) begin
    if (take) counted_q <= 1'b0;
    else if (counting) counted_q <= 1'b1;
    if (take) begin
      drop_q <= pk_drop_i || impossible;
      reason_q <= pk_drop_i ? pk_drop_reason_i : pk_segment_i ? 4'(pst_contract_pkg::PST_DROP_REASON_TX_BAD_SEGMENT)
                                                              : 4'(pst_contract_pkg::PST_DROP_REASON_TX_BAD_LENGTH);
    end else if (state_q == CHECK && refused) begin
      drop_q <= 1'b1;
    end else if (state_q == CHECK && checked && source_bad) begin
      drop_q <= 1'b1;
      reason_q <= 4'(pst_contract_pkg::PST_DROP_REASON_TX_BAD_SOURCE);
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) verdict_valid_o <= 1'b0;
    else verdict_valid_o <= verdict_taken;
  end
  always_ff @(posedge clk_i) begin
    if (verdict_taken) begin
      verdict_drop_o <= drop_q;
      verdict_reason_o <= reason_q;
      verdict_frames_o <= drop_q ? 16'd0 : segment_q ? count : 16'd1;
      verdict_extra_bytes_o <= counted_q ? {8'd0, count - 16'd1} * {16'd0, header_bytes_q} : 24'd0;
    end
  end

  pst_tx_packet_pkg::plan_t plan;
  always_comb begin
    plan.drop = drop_q;
    plan.vi = vi_q;
    plan.end_idx = end_idx_q;
    plan.first = first_q;
    plan.bytes = bytes_q[15:0];
    plan.vlan_insert = vlan_insert_q;
    plan.vlan_tci = vlan_tci_q;
    plan.macs = word0_q[95:0];
    plan.segment = segment_q && !drop_q;
    plan.insert_l3 = l3_q && l3_class_q == L3_IPV4 && !drop_q;
    plan.insert_l4 = l4_q && (tcp_q || udp_q) && !drop_q;
    plan.ipv4 = l3_class_q == L3_IPV4;
    plan.udp = udp_q;
    plan.l3_offset = l3_offset_q;
    plan.l4_offset = l4_offset_q;
    plan.l4_bytes = l4_bytes_q;
    plan.header_bytes = header_bytes_q;
    plan.payload_bytes = payload_bytes_q;
    plan.mss_bytes = mss_q;
    plan.ip_id = pst_tx_packet_pkg::swap16(l3_header_q[8*4 +: 16]);
    plan.sequence_number = {pst_tx_packet_pkg::swap16(l4_header_q[8*4 +: 16]), pst_tx_packet_pkg::swap16(l4_header_q[8*6 +: 16])};
    plan.tcp_flags = pst_tx_packet_pkg::swap16(l4_header_q[8*12 +: 16]);
    plan.l3_sum = l3_sum_q;
    plan.l4_sum = l4_sum_q;
  end
  assign plan_o = plan;

  // ---- States.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= READY;
      issuing_q <= 1'b0;
      data_valid_q <= 1'b0;
    end else begin
      data_valid_q <= issuing_q;
      if (issue_q == line_last) issuing_q <= 1'b0;
      case (state_q)
        READY: begin
          if (take) state_q <= pk_drop_i || impossible ? VERDICT : READ;
          issuing_q <= take && !pk_drop_i && !impossible;
        end
        READ: if (data_valid_q && data_q == line_last) state_q <= PARSE;
        PARSE: state_q <= FIELDS;
        FIELDS: state_q <= CHECK;
        CHECK: if (refused || checked) state_q <= VERDICT;
        VERDICT: if (verdict_taken) state_q <= READY;
        default: state_q <= READY;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      issue_q <= 2'd0;
      step_q <= 2'd0;
    end else begin
      if (issuing_q) issue_q <= issue_q + 2'd1;
      if (state_q == CHECK && step_q != 2'd3) step_q <= step_q + 2'd1;
    end
  end
  assign quiet_o = !verdict_valid_o && !source_busy && !count_busy &&
                   ((state_q == READY && !pk_valid_i) || (state_q == VERDICT && !plan_ready_i));

endmodule
