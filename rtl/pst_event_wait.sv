// Events that are posted for many VIs by one requester: which VIs have one to post, which of them wait until their queue has space
// again, and the one that is being posted. The owner keeps the events themselves, at most one per VI, and hands one over when its
// VI is picked. Hides answers and the return of space of pst_event_queue. Packet walk: where the device tells the host.
module pst_event_wait #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,  // a power of two, at least 2
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,  // no register changes while the inputs stay as they are

  input  logic                post_valid_i,  // the VI has an event to post
  input  logic [VI_WIDTH-1:0] post_vi_i,
  input  logic                drop_valid_i,  // the VI has none any more
  input  logic [VI_WIDTH-1:0] drop_vi_i,

  // A VI whose event the owner shall fetch; taken: it will come with load_valid_i. Of a VI picked, busy_o holds until its event
  // has been answered.
  output logic                pick_valid_o,
  output logic [VI_WIDTH-1:0] pick_vi_o,
  input  logic                pick_taken_i,
  input  logic                load_valid_i,
  input  logic [127:0]        load_data_i,
  output logic                busy_o,
  output logic [VI_WIDTH-1:0] busy_vi_o,

  // To pst_event_request: OP_POST.
  output logic                ev_valid_o,
  input  logic                ev_ready_i,
  output logic [VI_WIDTH-1:0] ev_vi_o,
  output logic [127:0]        ev_data_o,
  input  logic                answer_valid_i,
  input  logic [2:0]          answer_i,
  input  logic                space_valid_i,
  input  logic [VI_WIDTH-1:0] space_vi_i
);

  localparam int unsigned SCAN_WIDTH = VI_COUNT < 32 ? VI_COUNT : 32;

  logic [VI_COUNT-1:0] wanted_q;   // has an event to offer
  logic [VI_COUNT-1:0] stalled_q;  // was told STALL
  logic                forget_q;  // the VI that is busy has none any more
  logic                scan_valid, stalls, returns;
  logic [VI_WIDTH-1:0] scan_vi;
  assign stalls = busy_o && answer_valid_i && answer_i == pst_event_queue_pkg::ANSWER_STALL && !forget_q &&
                  !(drop_valid_i && drop_vi_i == busy_vi_o);
  assign returns = space_valid_i && stalled_q[space_vi_i];
  assign pick_valid_o = scan_valid && !busy_o;
  assign pick_vi_o = scan_vi;
  assign ev_vi_o = busy_vi_o;

  // What comes later in this list counts: a VI that is picked asks again anyhow, and one that is to post has an event.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wanted_q <= '0;
      stalled_q <= '0;
    end else begin
      if (stalls) stalled_q[busy_vi_o] <= 1'b1;
      if (returns) begin
        wanted_q[space_vi_i] <= 1'b1;
        stalled_q[space_vi_i] <= 1'b0;
      end
      if (pick_taken_i) begin
        wanted_q[pick_vi_o] <= 1'b0;
        stalled_q[pick_vi_o] <= 1'b0;
      end
      if (drop_valid_i) begin
        wanted_q[drop_vi_i] <= 1'b0;
        stalled_q[drop_vi_i] <= 1'b0;
      end
      if (post_valid_i) wanted_q[post_vi_i] <= 1'b1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_o <= 1'b0;
      ev_valid_o <= 1'b0;
      forget_q <= 1'b0;
    end else begin
      if (pick_taken_i) busy_o <= 1'b1;
      else if (answer_valid_i) busy_o <= 1'b0;
      if (load_valid_i) ev_valid_o <= 1'b1;
      else if (ev_ready_i) ev_valid_o <= 1'b0;
      if (pick_taken_i) forget_q <= drop_valid_i && drop_vi_i == pick_vi_o;
      else if (drop_valid_i && drop_vi_i == busy_vi_o) forget_q <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (pick_taken_i) busy_vi_o <= pick_vi_o;
    if (load_valid_i) ev_data_o <= load_data_i;
  end

  pst_event_queue_scan #(.VI_COUNT(VI_COUNT), .SCAN_WIDTH(SCAN_WIDTH), .WORD_COUNT(VI_COUNT / SCAN_WIDTH),
                         .BIT_WIDTH($clog2(SCAN_WIDTH))) u_scan (
    .clk_i, .rst_ni,
    .attention_i(wanted_q),
    .valid_o(scan_valid),
    .vi_o(scan_vi),
    .taken_i(pick_taken_i)
  );

  assign quiet_o = wanted_q == '0 && !busy_o && !post_valid_i && !drop_valid_i && !returns;

endmodule
