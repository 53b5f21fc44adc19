// The Ethernet port between the NIC's blocks and the wire side that paces: frames out in turn with the port's own pause
// frames, loopback of frames to the port's own address, and in: pause frames taken out, damaged frames dropped. Packet
// walk: the last step out and the first step in.
module pst_mac_port #(
  parameter int unsigned FLIGHT_DEPTH = 64  // frames taken by the wire side that have not left; a power of two
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [63:0] time_ns_i,  // device clock
  output logic        quiet_o,    // but for what due_ns_o plans
  output logic [63:0] due_ns_o,

  input  logic                                     cfg_valid_i,  // CFG_PORT
  input  logic [7:0]                               cfg_op_i,
  input  logic [pst_admin_pkg::CFG_DATA_WIDTH-1:0] cfg_data_i,
  output logic                                     cfg_done_o,

  // Frames to send (pst_tx_dma), without FCS, at least 60 bytes; all beats but the last are full.
  input  logic         fr_valid_i,
  output logic         fr_ready_o,
  input  logic [511:0] fr_data_i,
  input  logic [6:0]   fr_bytes_i,
  input  logic         fr_last_i,
  input  logic [15:0]  fr_vi_i,
  input  logic [31:0]  fr_end_idx_i,
  output logic         left_valid_o,  // the next of them has left the wire side
  output logic         left_lost_o,   // there was no link
  output logic [63:0]  left_time_ns_o,

  // Wire side, sending. wl_ tells of each frame, in order.
  output logic         wt_valid_o,
  input  logic         wt_ready_i,
  output logic [511:0] wt_data_o,
  output logic [6:0]   wt_bytes_o,
  output logic         wt_last_o,
  output logic         wt_loop_o,  // comes back instead of leaving
  output logic [15:0]  wt_vi_o,
  output logic [31:0]  wt_end_idx_o,
  output logic         wt_pause_o,  // a pause frame of the port's own
  input  logic         wl_valid_i,
  input  logic         wl_lost_i,
  input  logic [63:0]  wl_time_ns_i,

  // Wire side, receiving; bad, looped and time with the last beat.
  input  logic         wr_valid_i,
  input  logic [511:0] wr_data_i,
  input  logic [6:0]   wr_bytes_i,
  input  logic         wr_last_i,
  input  logic         wr_bad_i,
  input  logic         wr_looped_i,
  input  logic [63:0]  wr_time_ns_i,
  input  logic [15:0]  wr_id_i,

  // To pst_rx_parser; drop with the last beat: not to be received, and counted here.
  output logic         rx_valid_o,
  output logic [511:0] rx_data_o,
  output logic [6:0]   rx_bytes_o,
  output logic         rx_last_o,
  output logic         rx_drop_o,
  output logic [63:0]  rx_time_ns_o,
  output logic [15:0]  rx_id_o,
  input  logic [31:0]  level_bytes_i,  // of pst_rx_buffer

  output logic        drop_valid_o,
  output logic [3:0]  drop_reason_o,
  output logic        count_rx_frame_o,  // damaged ones too
  output logic [13:0] count_rx_bytes_o,
  output logic        count_rx_pause_o,
  output logic        count_tx_frame_o,  // left, neither looped nor lost
  output logic [13:0] count_tx_bytes_o,
  output logic        count_tx_loop_o,
  output logic        count_tx_pause_o
);

  // ---- Settings. Those of the sending side change between frames.
  pst_admin_pkg::port_t cfg, cfg_q;
  logic                 is_ours, cfg_waits_q, between_frames, apply;
  logic                 link_up_q, loopback_q, pause_q;
  logic [47:0]          address_q;
  assign cfg = cfg_data_i[pst_admin_pkg::PORT_WIDTH-1:0];
  assign is_ours = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_PORT;
  assign apply = cfg_waits_q && between_frames && !own_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cfg_waits_q <= 1'b0;
      link_up_q <= 1'b0;
      loopback_q <= 1'b0;
      pause_q <= 1'b0;
      address_q <= '0;
    end else begin
      if (is_ours) cfg_waits_q <= 1'b1;
      else if (apply) cfg_waits_q <= 1'b0;
      if (apply) begin
        link_up_q <= cfg_q.link_up;
        loopback_q <= cfg_q.loopback;
        pause_q <= cfg_q.pause;
        address_q <= cfg_q.mac_address;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (is_ours) cfg_q <= cfg;
  end

  // ---- Pause.
  logic        hold, ask_valid, ask_taken, pause_quiet;
  logic [15:0] ask_quanta;
  logic        rx_is_pause, obey_q;
  logic [15:0] obey_quanta_q;
  logic [63:0] pause_due_ns;
  pst_pause u_pause (
    .clk_i, .rst_ni, .time_ns_i,
    .quiet_o(pause_quiet),
    .due_ns_o(pause_due_ns),
    .cfg_valid_i(apply),
    .cfg_pause_i(cfg_q.pause),
    .cfg_ps_per_byte_i(cfg_q.ps_per_byte[19:0]),
    .cfg_quanta_i(cfg_q.pause_quanta),
    .cfg_high_bytes_i(cfg_q.pause_high_bytes),
    .cfg_low_bytes_i(cfg_q.pause_low_bytes),
    .done_o(cfg_done_o),
    .rx_valid_i(obey_q),
    .rx_quanta_i(obey_quanta_q),
    .hold_o(hold),
    .level_bytes_i,
    .ask_valid_o(ask_valid),
    .ask_taken_i(ask_taken),
    .ask_quanta_o(ask_quanta)
  );

  // ---- Sending: whose frame is next is decided where one may begin. What has been offered stays: a frame whose first beat
  // the wire side has not taken yet (held), and a pause frame of the port's own (own), which goes as it was when it was due.
  logic        inside_q, held_q, held_loop_q, own_q;
  logic [15:0] own_quanta_q;
  logic        fr_offered, fr_taken, fr_loop, flight_full;
  logic [13:0] tx_bytes_q, tx_bytes;
  assign between_frames = !inside_q && !held_q;
  assign ask_taken = ask_valid && between_frames && !own_q && !flight_full && !cfg_waits_q;
  assign fr_offered = fr_valid_i && !own_q && (!between_frames || (!hold && !ask_valid && !flight_full && !cfg_waits_q));
  assign fr_loop = between_frames ? loopback_q && fr_data_i[47:0] == address_q : held_loop_q;
  assign fr_ready_o = fr_offered && wt_ready_i;
  assign fr_taken = fr_ready_o;
  assign tx_bytes = (inside_q ? tx_bytes_q : 14'd0) + {7'd0, fr_bytes_i};
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      inside_q <= 1'b0;
      held_q <= 1'b0;
      held_loop_q <= 1'b0;
      own_q <= 1'b0;
    end else begin
      if (fr_offered) begin
        held_q <= !wt_ready_i && !inside_q;
        held_loop_q <= fr_loop;
        if (wt_ready_i) inside_q <= !fr_last_i;
      end
      own_q <= ask_taken || (own_q && !wt_ready_i);
    end
  end
  always_ff @(posedge clk_i) begin
    if (ask_taken) own_quanta_q <= ask_quanta;
    if (fr_taken) tx_bytes_q <= tx_bytes;
  end
  // A pause frame, its first byte last.
  logic [511:0] own_frame;
  assign own_frame = {368'd0, own_quanta_q[7:0], own_quanta_q[15:8], 16'h0100, 16'h0888, address_q, 48'h010000c28001};
  assign wt_valid_o = fr_offered || own_q;
  assign wt_data_o = own_q ? own_frame : fr_data_i;
  assign wt_bytes_o = own_q ? 7'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MIN) : fr_bytes_i;
  assign wt_last_o = own_q || fr_last_i;
  assign wt_loop_o = !own_q && fr_loop;
  assign wt_vi_o = own_q ? 16'hffff : fr_vi_i;
  assign wt_end_idx_o = fr_end_idx_i;
  assign wt_pause_o = own_q;

  // ---- Frames that have been handed over and have not left.
  localparam int unsigned FLIGHT_WIDTH = $clog2(FLIGHT_DEPTH);
  logic [15:0]           flight_mem [FLIGHT_DEPTH];  // own, looped, bytes
  logic [FLIGHT_WIDTH:0] flight_head_q, flight_tail_q, flight_count;
  logic                  flight_push, left_own, left_loop, left_lost;
  logic [13:0]           left_bytes;
  assign flight_push = (fr_taken && fr_last_i) || (own_q && wt_ready_i);
  assign flight_count = flight_tail_q - flight_head_q;
  assign flight_full = flight_count >= (FLIGHT_WIDTH + 1)'(FLIGHT_DEPTH);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      flight_head_q <= '0;
      flight_tail_q <= '0;
    end else begin
      if (flight_push) flight_tail_q <= flight_tail_q + 1'b1;
      if (wl_valid_i) flight_head_q <= flight_head_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (flight_push) flight_mem[flight_tail_q[FLIGHT_WIDTH-1:0]] <= {own_q, wt_loop_o, tx_bytes};
  end
  assign {left_own, left_loop, left_bytes} = flight_mem[flight_head_q[FLIGHT_WIDTH-1:0]];
  assign left_lost = !left_loop && (wl_lost_i || !link_up_q);
  assign left_valid_o = wl_valid_i && !left_own;
  assign left_lost_o = left_lost;
  assign left_time_ns_o = wl_time_ns_i;
  assign count_tx_frame_o = left_valid_o && !left_loop && !left_lost;
  assign count_tx_bytes_o = left_bytes;
  assign count_tx_loop_o = left_valid_o && left_loop;
  assign count_tx_pause_o = wl_valid_i && left_own && !left_lost;

  // ---- Receiving. A frame is known as a pause frame by its first beat, but is one only at its end.
  logic        rx_inside_q, rx_candidate_q, rx_candidate, first_candidate, rx_ends, rx_arrives;
  logic [13:0] rx_bytes_q, rx_bytes;
  logic [14:0] rx_sum;
  logic [15:0] rx_quanta_q, first_quanta;
  localparam logic [47:0] PAUSE_ADDRESS = 48'h010000c28001;
  assign first_candidate = wr_data_i[127:96] == 32'h0100_0888 &&
                           (wr_data_i[47:0] == PAUSE_ADDRESS || wr_data_i[47:0] == address_q);
  assign first_quanta = {wr_data_i[135:128], wr_data_i[143:136]};
  assign rx_candidate = rx_inside_q ? rx_candidate_q : first_candidate;
  assign rx_sum = (rx_inside_q ? {1'b0, rx_bytes_q} : 15'd0) + {8'd0, wr_bytes_i};
  assign rx_bytes = rx_sum[14] ? '1 : rx_sum[13:0];
  assign rx_ends = wr_valid_i && wr_last_i;
  assign rx_arrives = rx_ends && (link_up_q || wr_looped_i);
  assign rx_is_pause = rx_arrives && rx_candidate && !wr_bad_i &&
                       rx_bytes >= 14'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MIN);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rx_inside_q <= 1'b0;
      obey_q <= 1'b0;
    end else begin
      if (wr_valid_i) rx_inside_q <= !wr_last_i;
      obey_q <= rx_is_pause && pause_q && !wr_looped_i;
    end
  end
  always_ff @(posedge clk_i) begin
    if (wr_valid_i) rx_bytes_q <= rx_bytes;
    if (wr_valid_i && !rx_inside_q) {rx_candidate_q, rx_quanta_q} <= {first_candidate, first_quanta};
    if (rx_is_pause) obey_quanta_q <= rx_inside_q ? rx_quanta_q : first_quanta;
  end
  assign rx_valid_o = wr_valid_i;
  assign rx_data_o = wr_data_i;
  assign rx_bytes_o = wr_bytes_i;
  assign rx_last_o = wr_last_i;
  assign rx_drop_o = rx_ends && (!rx_arrives || rx_is_pause || wr_bad_i);
  assign rx_time_ns_o = wr_time_ns_i;
  assign rx_id_o = wr_id_i;
  assign drop_valid_o = rx_arrives && wr_bad_i;
  assign drop_reason_o = pst_contract_pkg::PST_DROP_REASON_RX_BAD_FCS;
  assign count_rx_frame_o = rx_arrives && !rx_is_pause;
  assign count_rx_bytes_o = rx_bytes;
  assign count_rx_pause_o = rx_is_pause;

  // ---- A frame that the peer has paused waits for its time; one for which there is no place, or that is offered, waits for
  // the wire side.
  logic offer_rests;
  assign offer_rests = own_q ? !wt_ready_i : !fr_offered || (!wt_ready_i && !between_frames);
  assign due_ns_o = pause_due_ns;
  assign quiet_o = pause_quiet && !cfg_valid_i && !cfg_waits_q && offer_rests && !ask_taken &&
                   !wl_valid_i && !wr_valid_i && !obey_q;

endmodule
