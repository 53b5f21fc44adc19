// The frames of each packet, one after the other: one for a packet that is sent as it is, one per MSS of payload for segmentation,
// each with the values of the header fields that its place in the packet asks for. Reads the bytes that checksums are to cover,
// and names each line's part to pst_tx_sum. A frame is handed on when the last line of its sum has been asked for.
// Formats: RFC 791, RFC 8200, RFC 9293, RFC 3168 (CWR).
module pst_segmentation (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  input  logic                                     plan_valid_i,
  output logic                                     plan_ready_o,
  input  logic [pst_tx_packet_pkg::PLAN_WIDTH-1:0] plan_i,

  output logic                                    job_valid_o,
  input  logic                                    job_ready_i,
  output logic [pst_tx_packet_pkg::JOB_WIDTH-1:0] job_o,

  output logic       rd_valid_o,
  input  logic       rd_ready_i,
  output logic [9:0] rd_line_o,
  output logic [6:0] rd_first_o,  // bytes of the line to be summed: [first, end)
  output logic [6:0] rd_end_o,
  output logic       rd_start_o,   // first line of a sum
  output logic       rd_last_o,    // last one
  output logic       rd_swap_o,    // the sum's first byte lies at an odd address
  output logic       rd_header_o,  // the sum is the TCP header's, a part of all of the packet's that follow
  output logic       rd_partial_o  // the sum lacks the TCP header's
);

  localparam logic [15:0] FLAGS_FIN_PSH = 16'h0009;
  localparam logic [15:0] FLAG_CWR = 16'h0080;
  localparam logic [15:0] IPV6_HEADER_BYTES = 16'd40;

  // Ready, a frame, the lines of a sum.
  typedef enum logic [1:0] {READY, FRAME, LINES} state_e;
  state_e                                   state_q;
  logic [pst_tx_packet_pkg::PLAN_WIDTH-1:0] plan_q;
  pst_tx_packet_pkg::plan_t                 plan, plan_new;
  assign plan = plan_q;
  assign plan_new = plan_i;

  // ---- Place in the packet.
  logic [15:0] offset_q, left_q, index_q;  // payload bytes before this segment and from it on, its number
  logic        header_due_q;               // the TCP header is still to be summed
  logic [15:0] segment_bytes, sum_address_q, sum_left_q;
  logic        last, take, advance, sum_due, run_header, run_ends, fire, run_header_q, run_start_q, run_odd_q;
  assign segment_bytes = left_q < plan.mss_bytes ? left_q : plan.mss_bytes;
  assign last = !plan.segment || left_q <= plan.mss_bytes;
  assign plan_ready_o = state_q == READY || (advance && last);
  assign take = plan_ready_o && plan_valid_i;
  assign sum_due = plan.insert_l4;
  assign run_header = plan.segment && (header_due_q || plan.payload_bytes == 16'd0);

  // ---- Lines of a sum.
  logic [6:0] room;  // bytes of this line from the address on
  assign room = 7'd64 - {1'b0, sum_address_q[5:0]};
  assign run_ends = sum_left_q <= {9'd0, room};
  assign rd_valid_o = state_q == LINES && (!run_ends || run_header_q || job_ready_i);
  assign rd_line_o = sum_address_q[15:6];
  assign rd_first_o = {1'b0, sum_address_q[5:0]};
  assign rd_end_o = run_ends ? {1'b0, sum_address_q[5:0]} + sum_left_q[6:0] : 7'd64;
  assign rd_start_o = run_start_q;
  assign rd_last_o = run_ends;
  assign rd_swap_o = run_odd_q;
  assign rd_header_o = run_header_q;
  assign rd_partial_o = plan.segment && plan.payload_bytes != 16'd0;
  assign fire = rd_valid_o && rd_ready_i;
  assign job_valid_o = (state_q == FRAME && !sum_due) || (fire && run_ends && !run_header_q);
  assign advance = job_valid_o && job_ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= READY;
    end else if (take) begin
      state_q <= FRAME;
    end else if (advance) begin
      state_q <= last ? READY : FRAME;
    end else if (state_q == FRAME && sum_due) begin
      state_q <= LINES;
    end else if (fire && run_ends) begin
      state_q <= FRAME;
    end
  end
  logic [15:0] run_address, run_bytes;
  always_comb begin
    if (plan.segment && !run_header) begin
      run_address = plan.first + {8'd0, plan.header_bytes} + offset_q;
      run_bytes = segment_bytes;
    end else begin
      run_address = plan.first + {9'd0, plan.l4_offset};
      run_bytes = plan.segment ? {8'd0, plan.header_bytes} - {9'd0, plan.l4_offset} : plan.l4_bytes;
    end
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      plan_q <= plan_i;
      offset_q <= 16'd0;
      left_q <= plan_new.payload_bytes;
      index_q <= 16'd0;
      header_due_q <= plan_new.payload_bytes != 16'd0;
    end else if (advance) begin
      offset_q <= offset_q + plan.mss_bytes;
      left_q <= left_q - plan.mss_bytes;
      index_q <= index_q + 16'd1;
    end else if (state_q == FRAME && sum_due) begin
      run_start_q <= 1'b1;
      run_header_q <= plan.segment && header_due_q;
      run_odd_q <= run_address[0];
      sum_address_q <= run_address;
      sum_left_q <= run_bytes;
    end else if (fire) begin
      run_start_q <= 1'b0;
      sum_address_q <= {sum_address_q[15:6] + 10'd1, 6'd0};
      sum_left_q <= sum_left_q - {9'd0, room};
      if (run_ends) header_due_q <= 1'b0;
    end
  end

  // ---- The frame. Sums take fields in memory order.
  pst_tx_packet_pkg::job_t job;
  logic [15:0] ip_length, ip_id, l4_length, tcp_flags;
  logic [19:0] ip_words, tcp_words;  // those that the plan's sums lack
  logic [31:0] sequence_number;
  assign ip_length = {8'd0, plan.header_bytes} - {11'd0, plan.l3_offset} + segment_bytes - (plan.ipv4 ? 16'd0 : IPV6_HEADER_BYTES);
  assign ip_id = plan.ip_id + index_q;
  assign l4_length = plan.segment ? {8'd0, plan.header_bytes} - {9'd0, plan.l4_offset} + segment_bytes : plan.l4_bytes;
  assign sequence_number = plan.sequence_number + {16'd0, offset_q};
  assign tcp_flags = plan.tcp_flags & (last ? 16'hffff : ~FLAGS_FIN_PSH) & (index_q == 16'd0 ? 16'hffff : ~FLAG_CWR);
  assign ip_words = plan.segment ? {4'd0, pst_tx_packet_pkg::swap16(ip_length)} + {4'd0, pst_tx_packet_pkg::swap16(ip_id)} : 20'd0;
  assign tcp_words = plan.segment ? {4'd0, pst_tx_packet_pkg::swap16(sequence_number[15:0])} +
                                    {4'd0, pst_tx_packet_pkg::swap16(sequence_number[31:16])} +
                                    {4'd0, pst_tx_packet_pkg::swap16(tcp_flags)} : 20'd0;
  always_comb begin
    job.drop = plan.drop;
    job.last = last;
    job.vi = plan.vi;
    job.end_idx = plan.end_idx;
    job.vlan_insert = plan.vlan_insert;
    job.vlan_tci = plan.vlan_tci;
    job.macs = plan.macs;
    job.first = plan.first;
    job.first_bytes = plan.segment ? {6'd0, plan.header_bytes} : plan.bytes[13:0];
    job.second = plan.first + {8'd0, plan.header_bytes} + offset_q;
    job.second_bytes = plan.segment ? segment_bytes[13:0] : 14'd0;
    job.put_segment = plan.segment;
    job.put_l3 = plan.insert_l3;
    job.put_l4 = plan.insert_l4;
    job.ipv4 = plan.ipv4;
    job.udp = plan.udp;
    job.l3_word = {1'b0, plan.l3_offset[4:1]} + {3'd0, plan.vlan_insert, 1'b0};
    job.l4_word = plan.l4_offset[6:1] + {4'd0, plan.vlan_insert, 1'b0};
    job.ip_length = pst_tx_packet_pkg::swap16(ip_length);
    job.ip_id = pst_tx_packet_pkg::swap16(ip_id);
    job.sequence_number = {pst_tx_packet_pkg::swap16(sequence_number[15:0]), pst_tx_packet_pkg::swap16(sequence_number[31:16])};
    job.tcp_flags = pst_tx_packet_pkg::swap16(tcp_flags);
    job.l3_checksum = ~pst_tx_packet_pkg::fold({4'd0, plan.l3_sum} + ip_words);
    job.l4_sum = pst_tx_packet_pkg::fold({4'd0, plan.l4_sum} + {4'd0, pst_tx_packet_pkg::swap16(l4_length)} + tcp_words);
  end
  assign job_o = job;

  assign quiet_o = (state_q == READY && !plan_valid_i) || (state_q == FRAME && !sum_due && !job_ready_i) ||
                   (state_q == LINES && !rd_valid_o);

endmodule
