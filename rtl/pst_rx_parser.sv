// Takes frames from the port a beat a cycle, puts them into the receive buffer and tells the filter of each good one: its headers,
// ports and whether its checksums are right. Beats pass two stages: the buffer's write and the sums, then the verdict. Frames
// without room, too short or too long end here. Packet walk: between the port and the receive filter.
module pst_rx_parser #(
  parameter int unsigned CELL_WIDTH = 12,
  parameter int unsigned META_DEPTH = 32  // good frames that may wait for the filter; a power of two
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  // Commands: CFG_PORT only, which pst_mac_port answers.
  input  logic         cfg_valid_i,
  input  logic [7:0]   cfg_op_i,
  input  logic [511:0] cfg_data_i,

  // Frames without FCS. All beats but the last are full. drop, time and id come with the last one.
  input  logic         rx_valid_i,
  input  logic [511:0] rx_data_i,
  input  logic [6:0]   rx_bytes_i,
  input  logic         rx_last_i,
  input  logic         rx_drop_i,
  input  logic [63:0]  rx_time_ns_i,
  input  logic [15:0]  rx_id_i,

  // Receive buffer.
  input  logic                  space_i,
  input  logic [CELL_WIDTH-1:0] cell_i,
  output logic                  wr_valid_o,
  output logic                  wr_first_o,
  output logic                  wr_last_o,
  output logic [511:0]          wr_data_o,
  output logic                  wr_abort_o,

  // Filter.
  output logic                                     pf_valid_o,
  input  logic                                     pf_ready_i,
  output logic [pst_rx_parser_pkg::META_WIDTH-1:0] pf_meta_o,  // meta_t

  output logic       drop_valid_o,
  output logic [3:0] drop_reason_o
);

  localparam int unsigned META_INDEX_WIDTH = $clog2(META_DEPTH);
  localparam logic [15:0] MTU_DEFAULT_BYTES = 16'd1500;
  localparam logic [16:0] ETHERNET_HEADER_BYTES = 17'd14;

  function automatic logic [15:0] added(input logic [15:0] a, input logic [15:0] b);  // one's complement
    logic [16:0] sum;
    sum = {1'b0, a} + {1'b0, b};
    added = sum[15:0] + {15'd0, sum[16]};
  endfunction
  function automatic logic [15:0] swapped(input logic [15:0] word);
    swapped = {word[7:0], word[15:8]};
  endfunction

  pst_admin_pkg::port_t port;
  logic [15:0]          mtu_bytes_q;
  assign port = cfg_data_i[pst_admin_pkg::PORT_WIDTH-1:0];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) mtu_bytes_q <= MTU_DEFAULT_BYTES;
    else if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_PORT) mtu_bytes_q <= port.mtu_bytes;
  end

  // ---- A beat comes; the headers of a first one are decoded on the way.
  pst_rx_parser_pkg::header_t                 header_q;
  logic [pst_rx_parser_pkg::HEADER_WIDTH-1:0] header_d;
  logic                                       within_q, valid_q, first_q, last_q, damaged_q;
  logic [511:0]                               data_q;
  logic [6:0]                                 bytes_q;
  logic [7:0]                                 beat_q;  // its place in the frame; stays at the highest
  logic [63:0]                                time_ns_q;
  logic [15:0]                                id_q;
  logic                                       rx_first;
  assign rx_first = rx_valid_i && !within_q;
  pst_rx_header u_header (.enable_i(rx_first), .data_i(rx_data_i), .header_o(header_d));
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      within_q <= 1'b0;
      valid_q <= 1'b0;
    end else begin
      if (rx_valid_i) within_q <= !rx_last_i;
      valid_q <= rx_valid_i;
    end
  end
  always_ff @(posedge clk_i) begin
    if (rx_valid_i) begin
      data_q <= rx_data_i;
      bytes_q <= rx_bytes_i;
      first_q <= rx_first;
      last_q <= rx_last_i;
      if (rx_first) header_q <= header_d;
      if (rx_first) beat_q <= '0;
      else if (beat_q != '1) beat_q <= beat_q + 1'b1;
      if (rx_last_i) begin
        damaged_q <= rx_drop_i;
        time_ns_q <= rx_time_ns_i;
        id_q <= rx_id_i;
      end
    end
  end

  // ---- It is written, unless the frame has come to nothing.
  logic [16:0]           limit_bytes, end_bytes;
  logic                  bad_length, bad_length_q, no_room, no_room_q, fails, meta_full, good;
  logic [CELL_WIDTH-1:0] frame_cell_q;
  always_comb begin
    limit_bytes = {1'b0, mtu_bytes_q} + ETHERNET_HEADER_BYTES + {13'd0, header_q.vlan_count, 2'b00};
    if (limit_bytes > 17'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MAX))
      limit_bytes = 17'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MAX);
  end
  assign end_bytes = {3'd0, beat_q, 6'd0} + {10'd0, bytes_q};
  assign bad_length = (!first_q && bad_length_q) || end_bytes > limit_bytes ||
                      (last_q && end_bytes < 17'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MIN));
  assign no_room = (!first_q && no_room_q) || !space_i || (last_q && meta_full);
  assign fails = bad_length || no_room || (last_q && damaged_q);
  assign good = valid_q && last_q && !fails;
  assign wr_valid_o = valid_q && !fails;
  assign wr_first_o = first_q;
  assign wr_last_o = last_q;
  assign wr_data_o = data_q;
  assign wr_abort_o = valid_q && fails;
  always_ff @(posedge clk_i) begin
    if (valid_q) begin
      bad_length_q <= bad_length;
      no_room_q <= no_room;
      if (first_q) frame_cell_q <= cell_i;
    end
  end
  assign drop_valid_o = valid_q && last_q && fails && !damaged_q;
  assign drop_reason_o = bad_length ? pst_contract_pkg::PST_DROP_REASON_RX_BAD_LENGTH
                                    : pst_contract_pkg::PST_DROP_REASON_RX_BUFFER_FULL;

  // ---- Its part of the sums. Of an IPv4 frame the header is summed, of an IPv6 frame the addresses in its place.
  logic        has_ports;
  logic [6:0]  l3_from;
  logic [6:0]  l3_first, l3_end, l4_first, l4_end;  // in the beat
  logic [15:0] l3_beat_sum, l4_beat_sum, pseudo_sum, l3_sum_q, l4_sum_q;
  function automatic logic [6:0] in_beat(input logic [16:0] offset, input logic [7:0] beat);
    if (offset[16:6] < {3'd0, beat}) in_beat = 7'd0;
    else if (offset[16:6] == {3'd0, beat}) in_beat = {1'b0, offset[5:0]};
    else in_beat = 7'd64;
  endfunction
  assign has_ports = header_q.l4_class == pst_contract_pkg::PST_L4_CLASS_TCP ||
                     header_q.l4_class == pst_contract_pkg::PST_L4_CLASS_UDP;
  assign l3_from = header_q.l3_class == pst_contract_pkg::PST_L3_CLASS_IPV6 ? header_q.l3_offset + 7'd8 : header_q.l3_offset;
  always_comb begin
    l3_first = '0;
    l3_end = '0;
    l4_first = '0;
    l4_end = '0;
    if (valid_q && header_q.l3_end != '0) begin
      if (beat_q <= 8'd1) begin
        l3_first = in_beat({10'd0, l3_from}, beat_q);
        l3_end = in_beat({10'd0, header_q.l4_offset}, beat_q);
      end
      if (has_ports) begin
        l4_first = in_beat({10'd0, header_q.l4_offset}, beat_q);
        l4_end = in_beat(header_q.l3_end, beat_q);
      end
    end
  end
  pst_checksum u_l3_sum (.data_i(data_q), .first_i(l3_first), .end_i(l3_end), .sum_o(l3_beat_sum));
  pst_checksum u_l4_sum (.data_i(data_q), .first_i(l4_first), .end_i(l4_end), .sum_o(l4_beat_sum));
  always_comb begin
    pseudo_sum = '0;
    if (valid_q && first_q) begin
      pseudo_sum = added({header_q.ip_protocol, 8'd0}, swapped(header_q.l4_bytes));
      if (header_q.l3_class == pst_contract_pkg::PST_L3_CLASS_IPV4) begin
        pseudo_sum = added(pseudo_sum, added(header_q.local_address[15:0], header_q.local_address[31:16]));
        pseudo_sum = added(pseudo_sum, added(header_q.remote_address[15:0], header_q.remote_address[31:16]));
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (valid_q) begin
      l3_sum_q <= added(first_q ? 16'd0 : l3_sum_q, l3_beat_sum);
      l4_sum_q <= added(first_q ? pseudo_sum : l4_sum_q, l4_beat_sum);
    end
  end

  // ---- Ports and UDP's checksum, each in the beat that has it.
  logic [6:0]  remote_at, local_at, udp_sum_at;
  logic [15:0] remote_port_q, local_port_q, udp_sum_q;
  assign remote_at = header_q.l4_offset;
  assign local_at = header_q.l4_offset + 7'd2;
  assign udp_sum_at = header_q.l4_offset + 7'd6;
  always_ff @(posedge clk_i) begin
    if (valid_q && has_ports && beat_q <= 8'd1) begin
      if (remote_at[6] == beat_q[0]) remote_port_q <= swapped(data_q[{remote_at[5:1], 4'd0} +: 16]);
      if (local_at[6] == beat_q[0]) local_port_q <= swapped(data_q[{local_at[5:1], 4'd0} +: 16]);
      if (udp_sum_at[6] == beat_q[0]) udp_sum_q <= data_q[{udp_sum_at[5:1], 4'd0} +: 16];
    end
  end

  // ---- Verdict.
  pst_rx_parser_pkg::header_t done_header_q;
  logic                       done_q;
  logic [CELL_WIDTH-1:0]      done_cell_q;
  logic [13:0]                done_bytes_q;
  logic [63:0]                done_time_ns_q;
  logic [15:0]                done_id_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) done_q <= 1'b0;
    else done_q <= good;
  end
  always_ff @(posedge clk_i) begin
    if (good) begin
      done_header_q <= header_q;
      done_cell_q <= first_q ? cell_i : frame_cell_q;
      done_bytes_q <= end_bytes[13:0];
      done_time_ns_q <= time_ns_q;
      done_id_q <= id_q;
    end
  end

  pst_rx_parser_pkg::meta_t meta;
  logic [15:0]              l4_total;
  logic                     is_ipv4;
  always_comb begin
    meta = '0;
    l4_total = '0;
    is_ipv4 = 1'b0;
    if (done_q) begin
      meta.frame = 12'(done_cell_q);
      meta.bytes = done_bytes_q;
      meta.time_ns = done_time_ns_q;
      meta.id = done_id_q;
      meta.destination = done_header_q.destination;
      meta.ethertype = done_header_q.ethertype;
      meta.vlan_count = done_header_q.vlan_count;
      meta.vlan_tci = done_header_q.vlan_tci;
      if (done_header_q.l3_end <= {3'd0, done_bytes_q}) begin  // else the packet is longer than the frame
        is_ipv4 = done_header_q.l3_class == pst_contract_pkg::PST_L3_CLASS_IPV4;
        meta.l3_class = done_header_q.l3_class;
        meta.l4_class = done_header_q.l4_class;
        meta.ip_protocol = done_header_q.ip_protocol;
        meta.local_address = done_header_q.local_address;
        meta.remote_address = done_header_q.remote_address;
        if (is_ipv4)
          meta.checksum_l3 = l3_sum_q == 16'hffff ? pst_contract_pkg::PST_CHECKSUM_RESULT_GOOD
                                                  : pst_contract_pkg::PST_CHECKSUM_RESULT_BAD;
        l4_total = is_ipv4 ? l4_sum_q : added(l4_sum_q, l3_sum_q);
        if (meta.l4_class == pst_contract_pkg::PST_L4_CLASS_TCP || meta.l4_class == pst_contract_pkg::PST_L4_CLASS_UDP) begin
          meta.local_port = local_port_q;
          meta.remote_port = remote_port_q;
          if (meta.l4_class == pst_contract_pkg::PST_L4_CLASS_UDP && udp_sum_q == '0)  // none was sent, which IPv6 forbids
            meta.checksum_l4 = is_ipv4 ? pst_contract_pkg::PST_CHECKSUM_RESULT_NONE : pst_contract_pkg::PST_CHECKSUM_RESULT_BAD;
          else
            meta.checksum_l4 = l4_total == 16'hffff ? pst_contract_pkg::PST_CHECKSUM_RESULT_GOOD
                                                    : pst_contract_pkg::PST_CHECKSUM_RESULT_BAD;
        end
      end
    end
  end

  // ---- Good frames wait for the filter.
  logic [pst_rx_parser_pkg::META_WIDTH-1:0] meta_mem [META_DEPTH];
  logic [META_INDEX_WIDTH:0]                put_q, get_q, waiting;
  assign waiting = put_q - get_q;
  assign meta_full = waiting + {{META_INDEX_WIDTH{1'b0}}, done_q} >= (META_INDEX_WIDTH + 1)'(META_DEPTH);
  assign pf_valid_o = put_q != get_q;
  assign pf_meta_o = meta_mem[get_q[META_INDEX_WIDTH-1:0]];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      put_q <= '0;
      get_q <= '0;
    end else begin
      if (done_q) put_q <= put_q + 1'b1;
      if (pf_valid_o && pf_ready_i) get_q <= get_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (done_q) meta_mem[put_q[META_INDEX_WIDTH-1:0]] <= meta;
  end

  assign quiet_o = !rx_valid_i && !valid_q && !done_q && !cfg_valid_i && !(pf_valid_o && pf_ready_i);

endmodule
