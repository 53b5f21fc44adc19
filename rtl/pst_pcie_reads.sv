// Reads of host memory: descriptors for pst_desc_fetch, whose domain addresses are translated here, and payload for
// pst_tx_dma. Gives descriptor reads their tags, and takes completions at full rate: a descriptor read is sent only when
// there is room for what it brings. Packet walk: descriptor and payload reads.
module pst_pcie_reads #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,
  parameter int unsigned SLOT_COUNT = 32,   // descriptor reads in flight; a power of two, at most 128
  parameter int unsigned BEAT_DEPTH = 128,  // completion beats of descriptor reads; a power of two, at least 64
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,
  // A pulse asks when all reads accepted before have been answered; fence_over_o is low until then. One at a time.
  input  logic fence_i,
  output logic fence_over_o,

  // pst_desc_fetch.
  input  logic                rd_valid_i,
  output logic                rd_ready_o,
  input  logic                rd_rx_i,
  input  logic [VI_WIDTH-1:0] rd_vi_i,
  input  logic [63:0]         rd_address_i,
  input  logic [7:0]          rd_count_i,  // descriptors, 1 ... 128
  output logic                rsp_valid_o,
  input  logic                rsp_ready_i,
  output logic                rsp_rx_o,
  output logic [VI_WIDTH-1:0] rsp_vi_o,
  output logic [127:0]        rsp_desc_o,
  output logic [15:0]         rsp_code_o,
  // pst_tx_dma; host addresses. Its completions are the hard block's beats.
  input  logic                pr_valid_i,
  output logic                pr_ready_o,
  input  logic [6:0]          pr_tag_i,
  input  logic [VI_WIDTH-1:0] pr_vi_i,
  input  logic [63:0]         pr_address_i,
  input  logic [16:0]         pr_bytes_i,
  input  logic [5:0]          pr_lane_i,
  output logic                pc_valid_o,

  // Lookup of a descriptor read's address.
  output logic                xl_valid_o,
  input  logic                xl_ready_i,
  output logic [VI_WIDTH-1:0] xl_vi_o,
  output logic [63:0]         xl_address_o,
  output logic [16:0]         xl_bytes_o,
  input  logic                xl_answer_valid_i,
  input  logic                xl_ok_i,
  input  logic [63:0]         xl_host_i,
  input  logic [16:0]         xl_run_i,

  output logic         dr_valid_o,
  input  logic         dr_ready_i,
  output logic [7:0]   dr_tag_o,
  output logic [15:0]  dr_vi_o,
  output logic [63:0]  dr_address_o,
  output logic [16:0]  dr_bytes_o,
  output logic [5:0]   dr_lane_o,
  input  logic         dc_valid_i,
  input  logic [7:0]   dc_tag_i,
  input  logic [511:0] dc_data_i,
  input  logic [5:0]   dc_lane_i,
  input  logic [6:0]   dc_count_i,
  input  logic         dc_last_i,
  input  logic [15:0]  dc_code_i
);

  localparam int unsigned SLOT_WIDTH = $clog2(SLOT_COUNT);
  localparam int unsigned BEAT_WIDTH = $clog2(BEAT_DEPTH);
  localparam logic [15:0] CODE_OK = pst_contract_pkg::PST_ERROR_CODE_OK;

  // ---- A descriptor read that is being translated.
  localparam logic [1:0] EMPTY = 2'd0;
  localparam logic [1:0] ASKS = 2'd1;
  localparam logic [1:0] WAITS = 2'd2;
  localparam logic [1:0] READY = 2'd3;
  logic [1:0]          fetch_q;
  logic                fetch_rx_q, take_fetch, fetch_leaves, miss, hit;
  logic [VI_WIDTH-1:0] fetch_vi_q;
  logic [63:0]         fetch_address_q;
  logic [7:0]          fetch_count_q;
  logic                miss_room;
  assign rd_ready_o = fetch_q == EMPTY;
  assign take_fetch = rd_ready_o && rd_valid_i;
  assign xl_valid_o = fetch_q == ASKS && miss_room;
  assign xl_vi_o = fetch_vi_q;
  assign xl_address_o = fetch_address_q;
  assign xl_bytes_o = {5'd0, fetch_count_q, 4'd0};
  assign hit = fetch_q == WAITS && xl_answer_valid_i && xl_ok_i && xl_run_i == xl_bytes_o;
  assign miss = fetch_q == WAITS && xl_answer_valid_i && !hit;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fetch_q <= EMPTY;
    end else begin
      case (fetch_q)
        EMPTY: if (take_fetch) fetch_q <= ASKS;
        ASKS: if (xl_valid_o && xl_ready_i) fetch_q <= WAITS;
        WAITS: if (xl_answer_valid_i) fetch_q <= hit ? READY : EMPTY;
        default: if (fetch_leaves) fetch_q <= EMPTY;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (take_fetch) {fetch_rx_q, fetch_vi_q, fetch_address_q, fetch_count_q} <= {rd_rx_i, rd_vi_i, rd_address_i, rd_count_i};
    else if (hit) fetch_address_q <= xl_host_i;
  end

  // ---- Slots: the tags of descriptor reads, and whom they belong to. A read keeps room for its beats until it is over: one
  // per four descriptors, and one in which an error may come.
  logic [SLOT_COUNT-1:0] slot_busy_q, slot_lowest;
  logic [SLOT_WIDTH-1:0] slot_free, slot_ends;
  logic [VI_WIDTH+6:0]   slot_mem [SLOT_COUNT];  // RX, VI, beats it has kept
  logic [BEAT_WIDTH:0]   room_q;
  logic [5:0]            fetch_beats, end_beats;
  logic                  read_ends;
  assign fetch_beats = 6'(({1'b0, fetch_count_q} + 9'd7) >> 2);
  assign slot_lowest = ~slot_busy_q & (slot_busy_q + 1'b1);
  always_comb begin
    slot_free = '0;
    for (int i = 0; i < SLOT_COUNT; i++) begin
      if (slot_lowest[i]) slot_free = slot_free | SLOT_WIDTH'(i);
    end
  end

  // ---- The output stage; the two take turns.
  logic stage_open, fetch_can, payload_can, fetch_last_q;
  assign stage_open = !dr_valid_o || dr_ready_i;
  assign fetch_can = fetch_q == READY && slot_lowest != '0 && room_q >= (BEAT_WIDTH + 1)'(fetch_beats);
  assign fetch_leaves = stage_open && fetch_can && !(fetch_last_q && pr_valid_i);
  assign pr_ready_o = stage_open && !fetch_leaves;
  assign payload_can = pr_ready_o && pr_valid_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      dr_valid_o <= 1'b0;
      fetch_last_q <= 1'b0;
      slot_busy_q <= '0;
      room_q <= (BEAT_WIDTH + 1)'(BEAT_DEPTH);
    end else begin
      if (stage_open) dr_valid_o <= fetch_leaves || payload_can;
      if (fetch_leaves || payload_can) fetch_last_q <= fetch_leaves;
      if (fetch_leaves || read_ends) begin
        room_q <= room_q - (fetch_leaves ? (BEAT_WIDTH + 1)'(fetch_beats) : '0) + (read_ends ? (BEAT_WIDTH + 1)'(end_beats) : '0);
      end
      if (fetch_leaves) slot_busy_q[slot_free] <= 1'b1;
      if (read_ends) slot_busy_q[slot_ends] <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (fetch_leaves) begin
      dr_tag_o <= {1'b1, 7'(slot_free)};
      dr_vi_o <= 16'(fetch_vi_q);
      dr_address_o <= fetch_address_q;
      dr_bytes_o <= {5'd0, fetch_count_q, 4'd0};
      dr_lane_o <= 6'd0;
      slot_mem[slot_free] <= {fetch_rx_q, fetch_vi_q, fetch_beats};
    end else if (payload_can) begin
      dr_tag_o <= {1'b0, pr_tag_i};
      dr_vi_o <= 16'(pr_vi_i);
      dr_address_o <= pr_address_i;
      dr_bytes_o <= pr_bytes_i;
      dr_lane_o <= pr_lane_i;
    end
  end

  // ---- Completions of descriptor reads wait in a RAM and leave one descriptor a beat.
  localparam int unsigned ENTRY_WIDTH = SLOT_WIDTH + 512 + 2 + 3 + 1 + 16;
  logic [ENTRY_WIDTH-1:0] beat_mem [BEAT_DEPTH];
  logic [BEAT_WIDTH:0]    beat_tail_q, beat_head_q;
  logic                   beat_arrives, beat_load, beat_valid_q, beat_done;
  logic [SLOT_WIDTH-1:0]  beat_slot_q;
  logic [511:0]           beat_data_q;
  logic [1:0]             beat_lane_q, desc_idx_q, desc_lane;
  logic [2:0]             beat_count_q;
  logic                   beat_last_q, beat_over;
  logic [15:0]            beat_code_q;
  assign beat_arrives = dc_valid_i && dc_tag_i[7];
  assign pc_valid_o = dc_valid_i && !dc_tag_i[7];
  assign beat_over = beat_code_q != CODE_OK || {1'b0, desc_idx_q} + 3'd1 >= beat_count_q;
  assign beat_load = beat_head_q != beat_tail_q && (!beat_valid_q || beat_done);
  always_ff @(posedge clk_i) begin
    if (beat_arrives) begin
      beat_mem[beat_tail_q[BEAT_WIDTH-1:0]] <= {dc_tag_i[SLOT_WIDTH-1:0], dc_data_i, dc_lane_i[5:4], dc_count_i[6:4], dc_last_i,
                                                dc_code_i};
    end
    if (beat_load) begin
      {beat_slot_q, beat_data_q, beat_lane_q, beat_count_q, beat_last_q, beat_code_q} <= beat_mem[beat_head_q[BEAT_WIDTH-1:0]];
    end
  end

  // ---- Responses: a missed read's, else the next descriptor of the beat.
  logic                rsp_open, rsp_from_miss, rsp_from_beat, miss_valid_q, miss_rx_q, end_rx;
  logic [VI_WIDTH-1:0] miss_vi_q, end_vi;
  assign miss_room = !miss_valid_q;
  assign rsp_open = !rsp_valid_o || rsp_ready_i;
  assign rsp_from_miss = rsp_open && miss_valid_q;
  assign rsp_from_beat = rsp_open && !miss_valid_q && beat_valid_q;
  assign beat_done = rsp_from_beat && beat_over;
  assign desc_lane = beat_lane_q + desc_idx_q;
  assign {end_rx, end_vi, end_beats} = slot_mem[beat_slot_q];
  assign slot_ends = beat_slot_q;
  assign read_ends = beat_done && (beat_last_q || beat_code_q != CODE_OK);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      beat_tail_q <= '0;
      beat_head_q <= '0;
      beat_valid_q <= 1'b0;
      desc_idx_q <= 2'd0;
      miss_valid_q <= 1'b0;
      rsp_valid_o <= 1'b0;
    end else begin
      if (beat_arrives) beat_tail_q <= beat_tail_q + 1'b1;
      if (beat_load) beat_head_q <= beat_head_q + 1'b1;
      beat_valid_q <= beat_load || (beat_valid_q && !beat_done);
      if (rsp_from_beat) desc_idx_q <= beat_over ? 2'd0 : desc_idx_q + 2'd1;
      miss_valid_q <= miss || (miss_valid_q && !rsp_from_miss);
      if (rsp_open) rsp_valid_o <= rsp_from_miss || rsp_from_beat;
    end
  end
  always_ff @(posedge clk_i) begin
    if (miss) {miss_rx_q, miss_vi_q} <= {fetch_rx_q, fetch_vi_q};
    if (rsp_from_miss) begin
      {rsp_rx_o, rsp_vi_o} <= {miss_rx_q, miss_vi_q};
      rsp_code_o <= pst_contract_pkg::PST_ERROR_CODE_DMA_FAULT;
    end else if (rsp_from_beat) begin
      {rsp_rx_o, rsp_vi_o} <= {end_rx, end_vi};
      rsp_code_o <= beat_code_q;
      rsp_desc_o <= beat_data_q[{desc_lane, 7'd0}+:128];
    end
  end

  // ---- Fence: reads in flight from before the last fence and from after it. A read of descriptors is in flight from its
  // acceptance until its last descriptor, or its error, is offered.
  logic       parity_q, payload_ends, fetch_ends, fetch_parity_q, miss_parity_q;
  logic       payload_parity_mem [128];
  logic       slot_parity_mem [SLOT_COUNT];
  logic       payload_is_old, fetch_is_old;
  logic [1:0] starts_count, old_ends_count, new_ends_count;
  logic [9:0] old_count_q, new_count_q;
  assign payload_ends = pc_valid_o && (dc_last_i || dc_code_i != CODE_OK);
  assign payload_is_old = payload_parity_mem[dc_tag_i[6:0]] != parity_q;
  assign fetch_ends = read_ends || rsp_from_miss;  // never both
  assign fetch_is_old = (rsp_from_miss ? miss_parity_q : slot_parity_mem[beat_slot_q]) != parity_q;
  assign starts_count = 2'(take_fetch) + 2'(payload_can);
  assign old_ends_count = 2'(fetch_ends && fetch_is_old) + 2'(payload_ends && payload_is_old);
  assign new_ends_count = 2'(fetch_ends && !fetch_is_old) + 2'(payload_ends && !payload_is_old);
  assign fence_over_o = old_count_q == 10'd0;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      parity_q <= 1'b0;
      old_count_q <= '0;
      new_count_q <= '0;
    end else if (fence_i) begin
      parity_q <= !parity_q;
      old_count_q <= old_count_q + new_count_q + 10'(starts_count) - 10'(old_ends_count) - 10'(new_ends_count);
      new_count_q <= '0;
    end else if (take_fetch || payload_can || fetch_ends || payload_ends) begin
      old_count_q <= old_count_q - 10'(old_ends_count);
      new_count_q <= new_count_q + 10'(starts_count) - 10'(new_ends_count);
    end
  end
  always_ff @(posedge clk_i) begin
    if (take_fetch) fetch_parity_q <= parity_q;
    if (miss) miss_parity_q <= fetch_parity_q;
    if (fetch_leaves) slot_parity_mem[slot_free] <= fetch_parity_q;
    if (payload_can) payload_parity_mem[pr_tag_i] <= parity_q;
  end

  // A read that waits for room waits for completions from outside.
  assign quiet_o = (fetch_q == EMPTY || (fetch_q == READY && !fetch_can)) && !dr_valid_o && !rsp_valid_o && !miss_valid_q &&
                   !beat_valid_q && beat_head_q == beat_tail_q && !(rd_valid_i && rd_ready_o) && !pr_valid_i && !dc_valid_i;

endmodule
