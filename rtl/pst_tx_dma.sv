// Transmit: takes packets from the descriptor caches in the scheduler's order, fetches their bytes into the packet buffer,
// hands them in order to pst_tx_packet, which makes frames of them, and reports completions. Store and forward. This module
// connects the parts and says which VIs run. Packet walk: from descriptors to the frame on the wire.
module pst_tx_dma #(
  parameter int unsigned VI_COUNT = 64,            // a power of two, at least 2
  parameter int unsigned TAG_COUNT = 64,           // reads in flight; a power of two, at most 128
  parameter int unsigned CACHE_DEPTH = 64,         // of pst_desc_fetch
  parameter int unsigned QUANTUM_BYTES = 1514,     // what a VI of weight 1 may send in a turn
  parameter int unsigned COMPLETION_BATCH = 16,    // packets per TX event at most, up to 64
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [63:0]         time_ns_i,
  output logic                quiet_o,
  output logic [63:0]         due_ns_o,

  // Configuration (CFG_VI_START, CFG_PORT; done is their owners') and lives of VIs.
  input  logic                cfg_valid_i,
  input  logic [7:0]          cfg_op_i,
  input  logic [31:0]         cfg_index_i,
  input  logic [511:0]        cfg_data_i,
  input  logic                life_valid_i,
  input  logic                life_op_i,
  input  logic [VI_WIDTH-1:0] life_vi_i,
  output logic                life_done_o,

  // pst_desc_fetch: the TX side of pops, and completions. answer_posted_i: when nothing was found, descriptors are on their
  // way.
  input  logic                avail_valid_i,
  input  logic                avail_rx_i,
  input  logic [VI_WIDTH-1:0] avail_vi_i,
  output logic                pop_valid_o,
  input  logic                pop_ready_i,
  output logic [VI_WIDTH-1:0] pop_vi_o,
  input  logic                answer_valid_i,
  input  logic                answer_rx_i,
  input  logic                answer_found_i,
  input  logic                answer_posted_i,
  input  logic                answer_pio_i,
  input  logic [31:0]         answer_idx_i,
  input  logic [127:0]        answer_desc_i,
  output logic                done_valid_o,
  input  logic                done_ready_i,
  output logic [VI_WIDTH-1:0] done_vi_o,
  output logic [31:0]         done_idx_o,

  // pst_translation, for reads.
  output logic                xl_valid_o,
  input  logic                xl_ready_i,
  output logic [VI_WIDTH-1:0] xl_vi_o,
  output logic [63:0]         xl_address_o,
  output logic [16:0]         xl_bytes_o,
  output logic                xl_write_o,
  input  logic                xl_answer_valid_i,
  input  logic                xl_ok_i,
  input  logic [63:0]         xl_host_i,
  input  logic [16:0]         xl_run_i,

  // pst_pcie_link: reads and their completions, which are always taken.
  output logic                pr_valid_o,
  input  logic                pr_ready_i,
  output logic [6:0]          pr_tag_o,
  output logic [VI_WIDTH-1:0] pr_vi_o,
  output logic [63:0]         pr_address_o,
  output logic [16:0]         pr_bytes_o,
  output logic [5:0]          pr_lane_o,
  input  logic                pc_valid_i,
  input  logic [6:0]          pc_tag_i,
  input  logic [511:0]        pc_data_i,
  input  logic [5:0]          pc_lane_i,
  input  logic [6:0]          pc_count_i,
  input  logic                pc_last_i,
  input  logic [15:0]         pc_code_i,

  // PIO page of a VI; data comes a cycle later.
  output logic                pio_rd_valid_o,
  output logic [VI_WIDTH-1:0] pio_rd_vi_o,
  output logic [5:0]          pio_rd_line_o,
  input  logic [511:0]        pio_rd_data_i,

  // pst_tx_packet: packets in order; then for each, in the same order, a verdict and when its place may be used again.
  output logic                pk_valid_o,
  input  logic                pk_ready_i,
  output logic [15:0]         pk_vi_o,
  output logic [15:0]         pk_first_o,
  output logic [16:0]         pk_bytes_o,
  output logic                pk_drop_o,
  output logic [3:0]          pk_drop_reason_o,
  output logic                pk_l3_o,
  output logic                pk_l4_o,
  output logic                pk_segment_o,
  output logic [15:0]         pk_mss_o,
  output logic                pk_vlan_insert_o,
  output logic [15:0]         pk_vlan_tci_o,
  output logic                pk_any_source_o,
  output logic [31:0]         pk_end_idx_o,
  input  logic                verdict_valid_i,
  input  logic                verdict_drop_i,
  input  logic [3:0]          verdict_reason_i,
  input  logic [15:0]         verdict_frames_i,
  input  logic [23:0]         verdict_extra_bytes_i,  // headers of all frames but the first, to be charged to the VI
  input  logic                pk_done_i,
  input  logic                tb_rd0_valid_i,  // data come a cycle later
  input  logic [9:0]          tb_rd0_line_i,
  output logic [511:0]        tb_rd0_data_o,
  input  logic                tb_rd1_valid_i,
  input  logic [9:0]          tb_rd1_line_i,
  output logic [511:0]        tb_rd1_data_o,

  // pst_mac_port: a frame has left.
  input  logic                left_valid_i,
  input  logic                left_lost_i,
  input  logic [63:0]         left_time_ns_i,

  // TX events.
  output logic                ev_valid_o,
  input  logic                ev_ready_i,
  output logic [3:0]          ev_op_o,
  output logic [VI_WIDTH-1:0] ev_vi_o,
  output logic [127:0]        ev_data_o,
  input  logic                ev_answer_valid_i,
  input  logic [2:0]          ev_answer_i,
  input  logic                space_valid_i,
  input  logic [VI_WIDTH-1:0] space_vi_i,

  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [3:0]          halt_source_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o,
  output logic                drop_valid_o,
  output logic [3:0]          drop_reason_o,
  output logic                drop_vi_valid_o,
  output logic [VI_WIDTH-1:0] drop_vi_o,
  output logic                count_packet_o,  // a packet was taken, or dropped instead
  output logic [VI_WIDTH-1:0] count_packet_vi_o,
  output logic                count_sent_o,    // all of a packet is here and passes
  output logic [VI_WIDTH-1:0] count_sent_vi_o
);

  localparam int unsigned ENTRY_WIDTH = pst_tx_pkg::ENTRY_WIDTH;
  localparam int unsigned LINE_WIDTH = pst_tx_pkg::LINE_WIDTH;
  localparam int unsigned PACKET_WIDTH = pst_tx_pkg::PACKET_WIDTH;

  // ---- Lives. A VI whose packets are taken runs; one that has had an error lives until vi_table halts it.
  logic                      start;
  logic [VI_WIDTH-1:0]       start_vi;
  pst_admin_pkg::vi_start_t  start_data;
  pst_admin_pkg::port_t      port_data;
  logic [15:0]               mtu_bytes_q;
  logic [VI_COUNT-1:0]       alive_q, running_q;
  assign start = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_VI_START;
  assign start_vi = cfg_index_i[VI_WIDTH-1:0];
  assign start_data = cfg_data_i[pst_admin_pkg::VI_START_WIDTH-1:0];
  assign port_data = cfg_data_i[pst_admin_pkg::PORT_WIDTH-1:0];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      mtu_bytes_q <= 16'd1500;
      alive_q <= '0;
      running_q <= '0;
    end else begin
      if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_PORT) mtu_bytes_q <= port_data.mtu_bytes;
      if (halt_valid_o && halt_ready_i) running_q[halt_vi_o] <= 1'b0;
      if (life_valid_i) begin
        alive_q[life_vi_i] <= 1'b0;
        running_q[life_vi_i] <= 1'b0;
      end
      if (start) begin
        alive_q[start_vi] <= 1'b1;
        running_q[start_vi] <= 1'b1;
      end
    end
  end

  // ---- Turns and scheduling.
  logic                    sched_quiet, turn_quiet, next_valid, next_taken, again_valid, wait_valid, seen_valid;
  logic [VI_WIDTH-1:0]     next_vi, turn_vi, life_vi;
  logic [63:0]             wait_ns;
  logic                    turn_busy, turn_popping, turn_pop, life_hold, life_pop, answer_valid;
  logic                    list_wr_valid, packet_valid, packet_ready;
  logic [pst_tx_pkg::LIST_WIDTH-1:0]     list_wr_position;
  logic [pst_tx_pkg::FRAGMENT_WIDTH-1:0] list_wr_fragment;
  logic [PACKET_WIDTH-1:0] packet;
  logic                    turn_loss, turn_loss_ready, turn_halt, turn_halt_ready;
  logic [31:0]             turn_halt_index;
  logic                    extra_valid, extra_taken;
  logic [VI_WIDTH-1:0]     extra_vi;
  logic [23:0]             extra_bytes;
  assign seen_valid = turn_pop && pop_ready_i;
  assign pop_valid_o = turn_pop || life_pop;
  assign pop_vi_o = life_pop ? life_vi : turn_vi;
  assign answer_valid = answer_valid_i && !answer_rx_i;
  pst_tx_scheduler #(.VI_COUNT(VI_COUNT)) u_scheduler (
    .clk_i, .rst_ni, .time_ns_i,
    .quiet_o(sched_quiet),
    .due_ns_o,
    .avail_valid_i(avail_valid_i && !avail_rx_i && running_q[avail_vi_i]), .avail_vi_i,
    .again_valid_i(again_valid), .again_vi_i(turn_vi),
    .seen_valid_i(seen_valid), .seen_vi_i(turn_vi),
    .wait_valid_i(wait_valid), .wait_vi_i(turn_vi), .wait_ns_i(wait_ns),
    .clear_valid_i(life_valid_i || start), .clear_vi_i(life_valid_i ? life_vi_i : start_vi),
    .next_valid_o(next_valid), .next_vi_o(next_vi), .next_taken_i(next_taken)
  );
  pst_tx_turn #(.VI_COUNT(VI_COUNT), .QUANTUM_BYTES(QUANTUM_BYTES), .CACHE_DEPTH(CACHE_DEPTH)) u_turn (
    .clk_i, .rst_ni, .time_ns_i,
    .quiet_o(turn_quiet),
    .start_valid_i(start), .start_vi_i(start_vi),
    .start_any_source_i(start_data.any_source),
    .start_weight_i(start_data.weight),
    .start_rate_mbps_i(start_data.rate_limit_mbps),
    .mtu_bytes_i(mtu_bytes_q),
    .running_i(running_q),
    .hold_i(life_hold),
    .popping_o(turn_popping),
    .busy_o(turn_busy), .busy_vi_o(turn_vi),
    .next_valid_i(next_valid), .next_vi_i(next_vi), .next_taken_o(next_taken),
    .again_valid_o(again_valid),
    .wait_valid_o(wait_valid), .wait_ns_o(wait_ns),
    .extra_valid_i(extra_valid), .extra_taken_o(extra_taken), .extra_vi_i(extra_vi), .extra_bytes_i(extra_bytes),
    .pop_valid_o(turn_pop), .pop_ready_i,
    .answer_valid_i(answer_valid),
    .answer_found_i, .answer_posted_i, .answer_pio_i, .answer_idx_i, .answer_desc_i,
    .list_wr_valid_o(list_wr_valid), .list_wr_position_o(list_wr_position), .list_wr_fragment_o(list_wr_fragment),
    .packet_valid_o(packet_valid), .packet_ready_i(packet_ready), .packet_o(packet),
    .loss_valid_o(turn_loss), .loss_ready_i(turn_loss_ready),
    .halt_valid_o(turn_halt), .halt_ready_i(turn_halt_ready), .halt_index_o(turn_halt_index)
  );

  // ---- Packets are taken, and their bytes asked for.
  logic                    reader_quiet, clearing, reader_busy, seg_valid, seg_taken, take_valid, entry_free;
  logic [VI_WIDTH-1:0]     reader_vi;
  logic [63:0]             seg_host;
  logic [16:0]             seg_bytes;
  logic [PACKET_WIDTH-1:0] take_packet;
  logic [LINE_WIDTH-1:0]   take_line;
  logic [10:0]             take_lines, lines_free;
  logic [6:0]              take_segs;
  logic                    reader_loss, reader_loss_ready, reader_halt, reader_halt_ready;
  logic [3:0]              reader_loss_reason;
  logic [31:0]             reader_halt_index;
  logic [ENTRY_WIDTH-1:0]  tail, issued;
  assign xl_write_o = 1'b0;
  pst_tx_reader #(.VI_COUNT(VI_COUNT)) u_reader (
    .clk_i, .rst_ni,
    .quiet_o(reader_quiet),
    .packet_valid_i(packet_valid), .packet_ready_o(packet_ready), .packet_vi_i(turn_vi), .packet_i(packet),
    .list_wr_valid_i(list_wr_valid), .list_wr_vi_i(turn_vi), .list_wr_position_i(list_wr_position),
    .list_wr_fragment_i(list_wr_fragment),
    .running_i(running_q),
    .busy_o(reader_busy), .busy_vi_o(reader_vi),
    .xl_valid_o, .xl_ready_i, .xl_vi_o, .xl_address_o, .xl_bytes_o, .xl_answer_valid_i, .xl_ok_i, .xl_host_i, .xl_run_i,
    .seg_valid_o(seg_valid), .seg_taken_i(seg_taken), .seg_host_o(seg_host), .seg_bytes_o(seg_bytes),
    .take_valid_o(take_valid), .take_packet_o(take_packet), .take_line_o(take_line), .take_lines_o(take_lines),
    .take_segs_o(take_segs),
    .entry_free_i(entry_free && !clearing),
    .lines_free_i(lines_free),
    .loss_valid_o(reader_loss), .loss_ready_i(reader_loss_ready), .loss_reason_o(reader_loss_reason),
    .halt_valid_o(reader_halt), .halt_ready_i(reader_halt_ready), .halt_index_o(reader_halt_index)
  );
  logic                    fetch_quiet, hand_landed, hand_failed, scan_landed;
  logic [15:0]             hand_code;
  logic [ENTRY_WIDTH-1:0]  hand, scan_entry;
  pst_tx_fetch #(.VI_COUNT(VI_COUNT), .TAG_COUNT(TAG_COUNT)) u_fetch (
    .clk_i, .rst_ni,
    .quiet_o(fetch_quiet), .clearing_o(clearing),
    .take_valid_i(take_valid), .take_entry_i(tail), .take_vi_i(reader_vi), .take_packet_i(take_packet),
    .take_line_i(take_line), .take_lines_i(take_lines[6:0]), .take_segs_i(take_segs),
    .issued_o(issued),
    .seg_valid_i(seg_valid), .seg_taken_o(seg_taken), .seg_host_i(seg_host), .seg_bytes_i(seg_bytes),
    .pr_valid_o, .pr_ready_i, .pr_tag_o, .pr_vi_o, .pr_address_o, .pr_bytes_o, .pr_lane_o,
    .pc_valid_i, .pc_tag_i, .pc_data_i, .pc_lane_i, .pc_count_i, .pc_last_i, .pc_code_i,
    .pio_rd_valid_o, .pio_rd_vi_o, .pio_rd_line_o, .pio_rd_data_i,
    .tb_rd0_valid_i, .tb_rd0_line_i, .tb_rd0_data_o, .tb_rd1_valid_i, .tb_rd1_line_i, .tb_rd1_data_o,
    .hand_entry_i(hand), .hand_landed_o(hand_landed), .hand_failed_o(hand_failed), .hand_code_o(hand_code),
    .scan_entry_i(scan_entry), .scan_landed_o(scan_landed)
  );

  // ---- In their order.
  logic                    order_quiet, order_drop, order_halt, order_halt_ready, scan_mark, scan_match, scan_issued;
  logic                    complete_dead, verdict_dead;
  logic [VI_WIDTH-1:0]     pk_vi, verdict_vi, order_halt_vi;
  logic [PACKET_WIDTH-1:0] pk_packet;
  logic [3:0]              order_drop_reason;
  logic [ENTRY_WIDTH-1:0]  verdict, complete;
  logic [15:0]             order_halt_code;
  logic [31:0]             order_halt_index;
  pst_tx_pkg::packet_t     pk;
  assign pk = pk_packet;
  assign pk_vi_o = 16'(pk_vi);
  assign pk_bytes_o = pk.parts.bytes[16:0];
  assign pk_l3_o = pk.parts.l3;
  assign pk_l4_o = pk.parts.l4;
  assign pk_segment_o = pk.parts.segment;
  assign pk_mss_o = pk.parts.mss;
  assign pk_vlan_insert_o = pk.parts.vlan_insert;
  assign pk_vlan_tci_o = pk.parts.vlan_tci;
  assign pk_any_source_o = pk.any_source;
  assign pk_end_idx_o = pk.parts.end_idx;
  pst_tx_order #(.VI_COUNT(VI_COUNT)) u_order (
    .clk_i, .rst_ni,
    .quiet_o(order_quiet),
    .take_valid_i(take_valid), .take_vi_i(reader_vi), .take_packet_i(take_packet), .take_line_i(take_line),
    .take_lines_i(take_lines),
    .tail_o(tail),
    .entry_free_o(entry_free),
    .lines_free_o(lines_free),
    .running_i(running_q),
    .issued_i(issued),
    .hand_o(hand),
    .landed_i(hand_landed),
    .failed_i(hand_failed),
    .code_i(hand_code),
    .pk_valid_o, .pk_ready_i,
    .pk_vi_o(pk_vi),
    .pk_first_o, .pk_drop_o, .pk_drop_reason_o,
    .pk_packet_o(pk_packet),
    .verdict_valid_i, .verdict_drop_i, .verdict_reason_i, .pk_done_i,
    .drop_valid_o(order_drop), .drop_reason_o(order_drop_reason),
    .verdict_vi_o(verdict_vi), .verdict_dead_o(verdict_dead), .verdict_o(verdict),
    .halt_valid_o(order_halt), .halt_ready_i(order_halt_ready), .halt_vi_o(order_halt_vi), .halt_code_o(order_halt_code),
    .halt_index_o(order_halt_index),
    .scan_mark_i(scan_mark), .scan_entry_i(scan_entry), .scan_vi_i(life_vi), .scan_match_o(scan_match),
    .scan_issued_o(scan_issued),
    .complete_i(complete), .complete_dead_o(complete_dead)
  );
  logic                completion_quiet, lost, lost_ready, flush_valid, flush_done, flush_report;
  logic [VI_WIDTH-1:0] completion_vi;
  assign done_vi_o = completion_vi;
  assign ev_vi_o = completion_vi;
  assign ev_op_o = pst_event_queue_pkg::OP_POST;
  pst_tx_completion #(.VI_COUNT(VI_COUNT), .BATCH(COMPLETION_BATCH)) u_completion (
    .clk_i, .rst_ni,
    .quiet_o(completion_quiet),
    .take_valid_i(take_valid), .take_entry_i(tail), .take_vi_i(reader_vi), .take_packet_i(take_packet),
    .start_valid_i(start), .start_vi_i(start_vi),
    .alive_i(alive_q),
    .verdict_valid_i, .verdict_i(verdict), .verdict_frames_i(order_drop ? 16'd0 : verdict_frames_i),
    .left_valid_i, .left_lost_i, .left_time_ns_i,
    .complete_o(complete),
    .dead_i(complete_dead),
    .loss_valid_o(lost), .loss_ready_i(lost_ready),
    .vi_o(completion_vi),
    .done_valid_o, .done_ready_i, .done_idx_o,
    .ev_valid_o, .ev_ready_i, .ev_data_o,
    .answer_valid_i(ev_answer_valid_i), .answer_i(ev_answer_i),
    .space_valid_i, .space_vi_i,
    .flush_valid_i(flush_valid), .flush_done_o(flush_done), .flush_vi_i(life_vi), .flush_report_i(flush_report)
  );
  logic life_quiet, life_loss, life_loss_ready;
  pst_tx_life #(.VI_COUNT(VI_COUNT), .CACHE_DEPTH(CACHE_DEPTH)) u_life (
    .clk_i, .rst_ni,
    .quiet_o(life_quiet),
    .life_valid_i, .life_op_i, .life_vi_i, .life_done_o,
    .vi_o(life_vi),
    .held_i((turn_busy && turn_vi == life_vi) || (reader_busy && reader_vi == life_vi) ||
            (order_halt && order_halt_vi == life_vi)),
    .hold_o(life_hold),
    .popping_i(turn_popping),
    .pop_valid_o(life_pop), .pop_ready_i,
    .answer_valid_i(answer_valid), .answer_found_i,
    .answer_last_i(answer_desc_i[pst_contract_pkg::PST_TX_DESC_TYPE_LSB +: 2] == pst_contract_pkg::PST_TX_DESC_TYPE_DATA &&
                   answer_desc_i[pst_contract_pkg::PST_TX_DESC_END_OF_PACKET_LSB]),
    .loss_valid_o(life_loss), .loss_ready_i(life_loss_ready),
    .scan_mark_o(scan_mark), .scan_entry_o(scan_entry), .scan_match_i(scan_match),
    .scan_landed_i(scan_issued && scan_landed),
    .flush_valid_o(flush_valid), .flush_report_o(flush_report), .flush_done_i(flush_done)
  );

  // ---- What is told outside.
  logic report_quiet;
  assign drop_vi_valid_o = drop_valid_o;
  pst_tx_report #(.VI_COUNT(VI_COUNT)) u_report (
    .clk_i, .rst_ni,
    .quiet_o(report_quiet),
    .verdict_valid_i, .verdict_drop_i(order_drop), .verdict_reason_i(order_drop_reason), .verdict_vi_i(verdict_vi),
    .verdict_dead_i(verdict_dead), .verdict_extra_bytes_i,
    .take_valid_i(take_valid), .take_vi_i(reader_vi),
    .loss_valid_i({life_loss, turn_loss, reader_loss, lost}),
    .loss_ready_o({life_loss_ready, turn_loss_ready, reader_loss_ready, lost_ready}),
    .lost_vi_i(completion_vi),
    .reader_vi_i(reader_vi), .reader_reason_i(reader_loss_reason),
    .turn_vi_i(turn_vi),
    .life_vi_i(life_vi),
    .extra_valid_o(extra_valid), .extra_taken_i(extra_taken), .extra_vi_o(extra_vi), .extra_bytes_o(extra_bytes),
    .drop_valid_o, .drop_reason_o, .drop_vi_o, .count_packet_o, .count_packet_vi_o, .count_sent_o, .count_sent_vi_o,
    .error_valid_i({turn_halt, reader_halt, order_halt}),
    .error_ready_o({turn_halt_ready, reader_halt_ready, order_halt_ready}),
    .read_vi_i(order_halt_vi), .read_code_i(order_halt_code), .read_index_i(order_halt_index),
    .reader_index_i(reader_halt_index),
    .turn_index_i(turn_halt_index),
    .halt_valid_o, .halt_ready_i, .halt_vi_o, .halt_source_o, .halt_code_o, .halt_index_o
  );

  assign quiet_o = !clearing && !cfg_valid_i && sched_quiet && turn_quiet && reader_quiet &&
                   fetch_quiet && order_quiet && completion_quiet && life_quiet && report_quiet;

endmodule
