// Receive: takes each copy of a frame to the buffers that its VI has posted, writes payload and prefix, and posts the event
// behind them, one for several frames where the VI allows it. Copies wait for descriptors on their way and, under policy STALL,
// for event space; what can never be taken is dropped and counted. Packet walk: from the filter to host memory.
module pst_rx_dma #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,  // a power of two, at least 2
  parameter int unsigned VI_SHARE_BYTES = 32768,  // of the port's buffer, for the copies of one VI that wait: an eighth
  parameter int unsigned MERGE_WAIT_NS = 1000,    // how long an event that may announce several frames waits for more
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [63:0] time_ns_i,
  output logic        quiet_o,   // nothing changes before due_ns_o unless an input does
  output logic [63:0] due_ns_o,  // all ones: nothing is planned

  // Commands of the firmware: CFG_VI_START and CFG_XLAT_VI (options and domain of a VI), CFG_CLOSE_MERGES. Only the latter has a
  // done: the events of all merges that were open in the domain are accepted, and the payload of every copy whose buffers had
  // been translated by then.
  input  logic         cfg_valid_i,
  input  logic [7:0]   cfg_op_i,
  input  logic [31:0]  cfg_index_i,
  input  logic [511:0] cfg_data_i,
  output logic         cfg_done_o,
  // Ends of lives, one at a time. Done when nothing of the VI is left here but its payload's way through pst_pcie_link.
  input  logic                life_valid_i,
  input  logic                life_op_i,
  input  logic [VI_WIDTH-1:0] life_vi_i,
  output logic                life_done_o,

  // Copies from pst_rx_filter.
  input  logic        st_valid_i,
  output logic        st_ready_o,
  input  logic [15:0] st_vi_i,
  input  logic [15:0] st_filter_id_i,
  input  logic [11:0] st_frame_i,
  input  logic [13:0] st_bytes_i,
  input  logic [63:0] st_time_ns_i,
  input  logic        st_hash_valid_i,
  input  logic [31:0] st_hash_i,
  input  logic [1:0]  st_vlan_count_i,
  input  logic [15:0] st_vlan_tci_i,
  input  logic [63:0] st_event_i,
  input  logic [15:0] st_id_i,
  // Their bytes in pst_rx_buffer. What is read comes in the next cycle and stays until the next read.
  output logic         cell_rd_valid_o,
  output logic [11:0]  cell_rd_cell_o,
  input  logic [511:0] cell_data_i,
  input  logic [11:0]  cell_next_i,
  output logic         release_valid_o,
  input  logic         release_ready_i,
  output logic [11:0]  release_frame_o,

  // pst_desc_fetch, RX rings. answer_posted_i: descriptors are posted that are neither this one nor popped, or the ring has
  // stopped by itself and the VI is being halted.
  output logic                pop_valid_o,
  input  logic                pop_ready_i,
  output logic [VI_WIDTH-1:0] pop_vi_o,
  input  logic                answer_valid_i,
  input  logic                answer_rx_i,
  input  logic                answer_found_i,
  input  logic                answer_more_i,
  input  logic                answer_posted_i,
  input  logic [127:0]        answer_desc_i,
  input  logic                avail_valid_i,
  input  logic                avail_rx_i,
  input  logic [VI_WIDTH-1:0] avail_vi_i,
  output logic                done_valid_o,
  input  logic                done_ready_i,
  output logic [VI_WIDTH-1:0] done_vi_o,
  output logic [31:0]         done_idx_o,

  // pst_translation, always for writing.
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

  // Payload to pst_pcie_link: one request per piece of contiguous host memory.
  output logic                pw_valid_o,
  input  logic                pw_ready_i,
  output logic                pw_first_o,
  output logic                pw_last_o,
  output logic [VI_WIDTH-1:0] pw_vi_o,
  output logic [63:0]         pw_address_o,
  output logic [16:0]         pw_bytes_o,
  output logic [511:0]        pw_data_o,
  output logic [5:0]          pw_lane_o,
  output logic [6:0]          pw_count_o,
  output logic [15:0]         pw_id_o,

  // Events. The answer comes one cycle after the request was accepted.
  output logic                ev_valid_o,
  input  logic                ev_ready_i,
  output logic [1:0]          ev_op_o,
  output logic [VI_WIDTH-1:0] ev_vi_o,
  output logic [127:0]        ev_data_o,
  input  logic                ev_answer_valid_i,
  input  logic [2:0]          ev_answer_i,
  input  logic                space_valid_i,
  input  logic [VI_WIDTH-1:0] space_vi_i,

  // Errors that halt a VI.
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [3:0]          halt_source_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o,

  // Counting.
  output logic                drop_valid_o,
  output logic [3:0]          drop_reason_o,
  output logic                drop_vi_valid_o,
  output logic [VI_WIDTH-1:0] drop_vi_o,
  output logic                count_delivered_o,        // an event has been posted ...
  output logic [VI_WIDTH-1:0] count_vi_o,
  output logic [7:0]          count_delivered_frames_o,  // ... that announces so many frames
  output logic                count_merged_event_o,     // ... which are several
  output logic [7:0]          count_merged_frames_o
);

  localparam int unsigned ENTRY_WIDTH = pst_rx_dma_pkg::ENTRY_WIDTH;
  localparam int unsigned COPY_WIDTH = pst_rx_dma_pkg::COPY_WIDTH;
  localparam int unsigned OPTIONS_WIDTH = pst_rx_dma_pkg::OPTIONS_WIDTH;
  localparam int unsigned GENERATION_WIDTH = pst_rx_dma_pkg::GENERATION_WIDTH;

  // ---- Commands.
  pst_admin_pkg::vi_start_t start;
  logic                     is_start, is_close;
  logic [OPTIONS_WIDTH-1:0] start_options;
  assign is_start = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_VI_START;
  assign is_close = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_CLOSE_MERGES;
  assign start = cfg_data_i[pst_admin_pkg::VI_START_WIDTH-1:0];
  assign start_options = {start.rx_prefix, start.vlan_strip, start.merge_count};

  logic [COPY_WIDTH-1:0] st_copy;
  assign st_copy = {st_filter_id_i, st_frame_i, st_bytes_i, st_time_ns_i, st_hash_valid_i, st_hash_i,
                    st_vlan_count_i != 2'd0, st_vlan_tci_i, st_event_i, st_id_i};

  // ---- What is at hand.
  logic                     begins, stops, running, end_valid, end_op, end_taken;
  logic [VI_WIDTH-1:0]      begin_vi, at_vi, end_vi;
  logic [OPTIONS_WIDTH-1:0] options;
  logic [15:0]              domain;
  pst_rx_lives #(.VI_COUNT(VI_COUNT)) u_lives (
    .clk_i, .rst_ni,
    .start_i(is_start),
    .start_vi_i(cfg_index_i[VI_WIDTH-1:0]),
    .start_options_i(start_options),
    .domain_valid_i(cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_XLAT_VI),
    .domain_i(cfg_data_i[15:0]),
    .life_valid_i, .life_op_i, .life_vi_i,
    .end_valid_o(end_valid),
    .end_op_o(end_op),
    .end_vi_o(end_vi),
    .end_taken_i(end_taken),
    .halt_i(stops),
    .halt_vi_i(at_vi),
    .read_i(begins),
    .read_vi_i(begin_vi),
    .running_o(running),
    .options_o(options),
    .domain_o(domain)
  );

  logic                   free_valid, put, link, get, give, mark, mark_desc, mark_space, mark_ready;
  logic                   retry_valid, retry_taken, waiting_quiet;
  logic [ENTRY_WIDTH-1:0] free_entry, link_entry, get_entry, get_next, give_entry;
  logic [COPY_WIDTH-1:0]  put_copy, get_copy;
  logic [VI_WIDTH-1:0]    retry_vi;
  pst_rx_waiting #(.VI_COUNT(VI_COUNT)) u_waiting (
    .clk_i, .rst_ni,
    .quiet_o(waiting_quiet),
    .free_valid_o(free_valid),
    .free_entry_o(free_entry),
    .put_i(put),
    .put_copy_i(put_copy),
    .link_i(link),
    .link_entry_i(link_entry),
    .get_i(get),
    .get_entry_i(get_entry),
    .get_copy_o(get_copy),
    .get_next_o(get_next),
    .give_i(give),
    .give_entry_i(give_entry),
    .begin_i(begins),
    .begin_vi_i(begin_vi),
    .mark_i(mark),
    .mark_desc_i(mark_desc),
    .mark_space_i(mark_space),
    .mark_ready_i(mark_ready),
    .avail_valid_i(avail_valid_i && avail_rx_i),
    .avail_vi_i,
    .space_valid_i, .space_vi_i,
    .retry_valid_o(retry_valid),
    .retry_vi_o(retry_vi),
    .retry_taken_i(retry_taken)
  );

  logic                        merge_open, merge_room, over, over_taken, over_applies, all_closed, all_closed_taken;
  logic [GENERATION_WIDTH-1:0] merge_generation, over_generation;
  logic [VI_WIDTH-1:0]         over_vi;
  pst_rx_merge #(.WAIT_NS(MERGE_WAIT_NS), .VI_WIDTH(VI_WIDTH)) u_merge (
    .clk_i, .rst_ni, .time_ns_i, .due_ns_o,
    .open_i(merge_open),
    .open_vi_i(at_vi),
    .open_generation_i(merge_generation),
    .room_o(merge_room),
    .over_o(over),
    .over_vi_o(over_vi),
    .over_generation_o(over_generation),
    .over_taken_i(over_taken),
    .over_domain_i(domain),
    .over_applies_o(over_applies),
    .close_all_i(is_close),
    .close_domain_i(cfg_index_i[15:0]),
    .all_closed_o(all_closed),
    .all_closed_taken_i(all_closed_taken)
  );

  logic engine_free, any, new_taken;
  pst_rx_turn #(.VI_WIDTH(VI_WIDTH)) u_turn (
    .clk_i, .rst_ni,
    .free_i(engine_free),
    .begin_o(begins),
    .begin_vi_o(begin_vi),
    .any_o(any),
    .end_valid_i(end_valid),
    .end_vi_i(end_vi),
    .end_taken_o(end_taken),
    .over_i(over),
    .over_vi_i(over_vi),
    .over_taken_o(over_taken),
    .all_closed_i(all_closed),
    .all_closed_taken_o(all_closed_taken),
    .room_i(merge_room),
    .retry_valid_i(retry_valid),
    .retry_vi_i(retry_vi),
    .retry_taken_o(retry_taken),
    .new_valid_i(st_valid_i),
    .new_ready_o(st_ready_o),
    .new_vi_i(st_vi_i[VI_WIDTH-1:0]),
    .new_taken_o(new_taken)
  );

  // ---- The engine asks for space, pst_rx_finish posts: one port, and what is offered stays.
  logic                engine_ev, engine_ev_ready, engine_ev_answer, finish_ev, finish_ev_ready, finish_ev_answer;
  logic                ev_finish, ev_stays_q, ev_finish_q;
  logic [VI_WIDTH-1:0] finish_ev_vi;
  logic [127:0]        finish_ev_data;
  assign ev_finish = ev_stays_q ? ev_finish_q : finish_ev;
  assign ev_valid_o = engine_ev || finish_ev;
  assign ev_op_o = ev_finish ? pst_event_queue_pkg::OP_POST_RESERVED[1:0] : pst_event_queue_pkg::OP_RESERVE[1:0];
  assign ev_vi_o = ev_finish ? finish_ev_vi : at_vi;
  assign ev_data_o = finish_ev_data;
  assign engine_ev_ready = ev_ready_i && !ev_finish;
  assign finish_ev_ready = ev_ready_i && ev_finish;
  assign engine_ev_answer = ev_answer_valid_i && !ev_finish_q;
  assign finish_ev_answer = ev_answer_valid_i && ev_finish_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ev_stays_q <= 1'b0;
      ev_finish_q <= 1'b0;
    end else if (ev_valid_o || ev_stays_q) begin
      ev_stays_q <= ev_valid_o && !ev_ready_i;
      ev_finish_q <= ev_finish;
    end
  end

  logic                                     engine_idle, segment_valid, segment_ready, segment_undo, job_valid, job_ready;
  logic [pst_rx_dma_pkg::SEGMENT_WIDTH-1:0] segment;
  logic [pst_rx_dma_pkg::JOB_WIDTH-1:0]     job;
  pst_rx_engine #(.VI_COUNT(VI_COUNT), .VI_SHARE_BYTES(VI_SHARE_BYTES)) u_engine (
    .clk_i, .rst_ni,
    .idle_o(engine_idle),
    .free_o(engine_free),
    .begin_i(begins),
    .begin_vi_i(begin_vi),
    .take_end_i(end_taken),
    .take_over_i(over_taken),
    .take_all_closed_i(all_closed_taken),
    .take_retry_i(retry_taken),
    .take_new_i(new_taken),
    .end_op_i(end_op),
    .over_generation_i(over_generation),
    .over_applies_i(over_applies),
    .new_copy_i(st_copy),
    .vi_o(at_vi),
    .stop_o(stops),
    .running_i(running),
    .options_i(options),
    .free_valid_i(free_valid),
    .free_entry_i(free_entry),
    .put_o(put),
    .put_copy_o(put_copy),
    .link_o(link),
    .link_entry_o(link_entry),
    .get_o(get),
    .get_entry_o(get_entry),
    .get_copy_i(get_copy),
    .get_next_i(get_next),
    .give_o(give),
    .give_entry_o(give_entry),
    .mark_o(mark),
    .mark_desc_o(mark_desc),
    .mark_space_o(mark_space),
    .mark_ready_o(mark_ready),
    .open_o(merge_open),
    .open_generation_o(merge_generation),
    .pop_valid_o, .pop_ready_i,
    .answer_valid_i(answer_valid_i && answer_rx_i),
    .answer_found_i, .answer_more_i, .answer_posted_i, .answer_desc_i,
    .xl_valid_o, .xl_ready_i, .xl_address_o, .xl_bytes_o, .xl_answer_valid_i, .xl_ok_i, .xl_host_i, .xl_run_i,
    .ev_valid_o(engine_ev),
    .ev_ready_i(engine_ev_ready),
    .ev_answer_valid_i(engine_ev_answer),
    .ev_answer_i,
    .halt_valid_o, .halt_ready_i, .halt_vi_o, .halt_code_o, .halt_index_o,
    .segment_valid_o(segment_valid),
    .segment_ready_i(segment_ready),
    .segment_o(segment),
    .segment_undo_o(segment_undo),
    .job_valid_o(job_valid),
    .job_ready_i(job_ready),
    .job_o(job)
  );
  assign pop_vi_o = at_vi;
  assign xl_vi_o = at_vi;
  assign xl_write_o = 1'b1;
  assign halt_source_o = pst_contract_pkg::PST_ERROR_SOURCE_RX;

  // ---- What follows from it, in order.
  logic                                    scatter_empty, finish_empty, finish_valid, finish_ready;
  logic [pst_rx_dma_pkg::FINISH_WIDTH-1:0] finish;
  pst_rx_scatter #(.VI_WIDTH(VI_WIDTH)) u_scatter (
    .clk_i, .rst_ni,
    .empty_o(scatter_empty),
    .segment_valid_i(segment_valid),
    .segment_ready_o(segment_ready),
    .segment_i(segment),
    .segment_undo_i(segment_undo),
    .job_valid_i(job_valid),
    .job_ready_o(job_ready),
    .job_i(job),
    .cell_rd_valid_o, .cell_rd_cell_o, .cell_data_i, .cell_next_i,
    .pw_valid_o, .pw_ready_i, .pw_first_o, .pw_last_o, .pw_vi_o, .pw_address_o, .pw_bytes_o, .pw_data_o, .pw_lane_o,
    .pw_count_o, .pw_id_o,
    .finish_valid_o(finish_valid),
    .finish_ready_i(finish_ready),
    .finish_o(finish)
  );
  pst_rx_finish #(.VI_WIDTH(VI_WIDTH)) u_finish (
    .clk_i, .rst_ni,
    .empty_o(finish_empty),
    .put_valid_i(finish_valid),
    .put_ready_o(finish_ready),
    .put_i(finish),
    .release_valid_o, .release_ready_i, .release_frame_o, .done_valid_o, .done_ready_i, .done_vi_o, .done_idx_o,
    .ev_valid_o(finish_ev),
    .ev_ready_i(finish_ev_ready),
    .ev_vi_o(finish_ev_vi),
    .ev_data_o(finish_ev_data),
    .ev_answer_valid_i(finish_ev_answer),
    .ev_answer_i,
    .drop_valid_o, .drop_reason_o, .drop_vi_o, .count_delivered_o, .count_vi_o,
    .count_frames_o(count_delivered_frames_o),
    .life_done_o, .cfg_done_o
  );
  assign drop_vi_valid_o = 1'b1;
  assign count_merged_event_o = count_delivered_o && count_delivered_frames_o > 8'd1;
  assign count_merged_frames_o = count_delivered_frames_o;

  assign quiet_o = engine_idle && !any && waiting_quiet && scatter_empty && finish_empty && !cfg_valid_i && !life_valid_i &&
                   !avail_valid_i && !space_valid_i;

endmodule
