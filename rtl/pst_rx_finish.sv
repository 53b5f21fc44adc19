// The end of each copy, in order, when its payload has gone: its cells go back, its descriptors are reported as completed, then
// its event is posted into space that was kept; or it is counted as dropped. Commands end here too, behind all before them.
module pst_rx_finish #(
  parameter int unsigned DEPTH = 4,  // a power of two
  parameter int unsigned VI_WIDTH = 10
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic empty_o,

  input  logic                                    put_valid_i,
  output logic                                    put_ready_o,  // stays until something is put
  input  logic [pst_rx_dma_pkg::FINISH_WIDTH-1:0] put_i,

  output logic                release_valid_o,
  input  logic                release_ready_i,
  output logic [11:0]         release_frame_o,
  output logic                done_valid_o,
  input  logic                done_ready_i,
  output logic [VI_WIDTH-1:0] done_vi_o,
  output logic [31:0]         done_idx_o,
  output logic                ev_valid_o,  // OP_POST_RESERVED
  input  logic                ev_ready_i,
  output logic [VI_WIDTH-1:0] ev_vi_o,
  output logic [127:0]        ev_data_o,
  input  logic                ev_answer_valid_i,
  input  logic [2:0]          ev_answer_i,

  output logic                drop_valid_o,
  output logic [3:0]          drop_reason_o,
  output logic [VI_WIDTH-1:0] drop_vi_o,
  output logic                count_delivered_o,  // an event has been posted ...
  output logic [VI_WIDTH-1:0] count_vi_o,
  output logic [7:0]          count_frames_o,     // ... that announces so many frames
  output logic                life_done_o,
  output logic                cfg_done_o
);

  localparam int unsigned FINISH_WIDTH = pst_rx_dma_pkg::FINISH_WIDTH;
  localparam int unsigned PTR_WIDTH = $clog2(DEPTH);

  logic [FINISH_WIDTH-1:0] queue_mem [DEPTH];
  logic [PTR_WIDTH-1:0]    first_q, next_q;
  logic [PTR_WIDTH:0]      count_q;
  logic                    put, take, valid;
  assign put_ready_o = count_q != (PTR_WIDTH + 1)'(DEPTH);
  assign put = put_valid_i && put_ready_o;
  assign valid = count_q != '0;
  assign empty_o = !valid;
  always_ff @(posedge clk_i) begin
    if (put) queue_mem[next_q] <= put_i;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      first_q <= '0;
      next_q <= '0;
      count_q <= '0;
    end else if (put || take) begin
      if (put) next_q <= next_q + 1'b1;
      if (take) first_q <= first_q + 1'b1;
      count_q <= count_q + (PTR_WIDTH + 1)'(put) - (PTR_WIDTH + 1)'(take);
    end
  end

  // ---- What of the first has been done.
  pst_rx_dma_pkg::finish_t head;
  logic       released_q, done_q, asked_q, answered_q, lost_q;
  logic [7:0] dropped_q;
  logic       drops, wants_done;
  assign head = queue_mem[first_q];
  assign drops = head.drop || lost_q;
  assign wants_done = head.done && !done_q;
  assign take = valid && !(head.gives_back && !released_q) && !wants_done && !(head.post && !answered_q) &&
                !(drops && dropped_q != head.frames);
  assign release_valid_o = valid && head.gives_back && !released_q;
  assign done_valid_o = valid && wants_done;
  assign ev_valid_o = valid && head.post && !wants_done && !asked_q;
  assign drop_valid_o = valid && drops && dropped_q != head.frames;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      {released_q, done_q, asked_q, answered_q, lost_q} <= '0;
      dropped_q <= '0;
    end else if (take) begin
      {released_q, done_q, asked_q, answered_q, lost_q} <= '0;
      dropped_q <= '0;
    end else if (valid) begin
      if (release_valid_o && release_ready_i) released_q <= 1'b1;
      if (done_valid_o && done_ready_i) done_q <= 1'b1;
      if (ev_valid_o && ev_ready_i) asked_q <= 1'b1;
      if (ev_answer_valid_i) begin
        answered_q <= 1'b1;
        lost_q <= ev_answer_i != pst_event_queue_pkg::ANSWER_OK;
      end
      if (drop_valid_o) dropped_q <= dropped_q + 8'd1;
    end
  end

  assign release_frame_o = head.frame;
  assign done_vi_o = head.vi[VI_WIDTH-1:0];
  assign done_idx_o = head.index;
  assign ev_vi_o = head.vi[VI_WIDTH-1:0];
  always_comb begin
    ev_data_o = {64'd0, head.word};
    ev_data_o[pst_contract_pkg::PST_RX_EVENT_RX_CONSUMER_IDX_LSB +: 32] = head.index;
  end
  assign drop_reason_o = lost_q ? pst_contract_pkg::PST_DROP_REASON_RX_VI_HALTED : head.reason;
  assign drop_vi_o = head.vi[VI_WIDTH-1:0];
  assign count_delivered_o = valid && ev_answer_valid_i && ev_answer_i == pst_event_queue_pkg::ANSWER_OK;
  assign count_vi_o = head.vi[VI_WIDTH-1:0];
  assign count_frames_o = head.frames;
  assign life_done_o = take && head.life;
  assign cfg_done_o = take && head.cfg;

endmodule
