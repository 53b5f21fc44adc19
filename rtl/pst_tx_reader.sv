// Takes a packet that is complete: translates all of its fragments before any of them is read (R8), gives it its place in
// the packet buffer and its entry among the packets on their way. A miss halts the VI and takes back what was translated.
module pst_tx_reader #(
  parameter int unsigned VI_COUNT = 64,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,
  output logic                                  quiet_o,

  input  logic                                  packet_valid_i,
  output logic                                  packet_ready_o,
  input  logic [VI_WIDTH-1:0]                   packet_vi_i,
  input  logic [pst_tx_pkg::PACKET_WIDTH-1:0]   packet_i,
  input  logic                                  list_wr_valid_i,
  input  logic [VI_WIDTH-1:0]                   list_wr_vi_i,
  input  logic [pst_tx_pkg::LIST_WIDTH-1:0]     list_wr_position_i,
  input  logic [pst_tx_pkg::FRAGMENT_WIDTH-1:0] list_wr_fragment_i,
  input  logic [VI_COUNT-1:0]                   running_i,
  output logic                                  busy_o,
  output logic [VI_WIDTH-1:0]                   busy_vi_o,

  // Translation of a read.
  output logic                                  xl_valid_o,
  input  logic                                  xl_ready_i,
  output logic [VI_WIDTH-1:0]                   xl_vi_o,
  output logic [63:0]                           xl_address_o,
  output logic [16:0]                           xl_bytes_o,
  input  logic                                  xl_answer_valid_i,
  input  logic                                  xl_ok_i,
  input  logic [63:0]                           xl_host_i,
  input  logic [16:0]                           xl_run_i,

  // Host segments of the packets that were taken and not yet asked for, in order.
  output logic                                  seg_valid_o,
  input  logic                                  seg_taken_i,
  output logic [63:0]                           seg_host_o,
  output logic [16:0]                           seg_bytes_o,

  // A packet is taken (one cycle): its entry, place and segments.
  output logic                                  take_valid_o,
  output logic [pst_tx_pkg::PACKET_WIDTH-1:0]   take_packet_o,
  output logic [pst_tx_pkg::LINE_WIDTH-1:0]     take_line_o,   // its first
  output logic [10:0]                           take_lines_o,
  output logic [6:0]                            take_segs_o,
  input  logic                                  entry_free_i,
  input  logic [10:0]                           lines_free_i,

  // A packet of busy_vi_o that was not taken.
  output logic                                  loss_valid_o,
  input  logic                                  loss_ready_i,
  output logic [3:0]                            loss_reason_o,
  output logic                                  halt_valid_o,
  input  logic                                  halt_ready_i,
  output logic [31:0]                           halt_index_o  // DMA_FAULT
);

  localparam int unsigned SEG_COUNT = 128;  // a packet has at most 80: 32 fragments, 48 ends of pages within them
  localparam int unsigned SEG_WIDTH = $clog2(SEG_COUNT);

  typedef enum logic [2:0] {IDLE, LIST, FRAGMENT, ASK, ANSWER, TAKE, LOSE, HALT} state_t;
  state_t                state_q;
  pst_tx_pkg::packet_t   packet_q, packet_new;
  logic [VI_WIDTH-1:0]   vi_q;
  logic [5:0]            index_q;  // fragment
  logic [63:0]           address_q;
  logic [16:0]           left_q;
  logic                  miss_q;
  logic [SEG_WIDTH-1:0]  seg_wr_q, seg_taken_q, seg_rd_q;  // segments from seg_taken_q on are those of packet_q
  logic [6:0]            segs;
  logic                  seg_room, last_run, last_fragment, running, room;
  assign packet_new = packet_i;
  assign running = running_i[vi_q];
  assign segs = seg_wr_q - seg_taken_q;
  assign seg_room = seg_wr_q + 1'b1 != seg_rd_q;
  assign last_run = xl_run_i == left_q;
  assign last_fragment = index_q + 6'd1 == packet_q.parts.count;

  logic [pst_tx_pkg::FRAGMENT_WIDTH-1:0] list_mem [VI_COUNT * (1 << pst_tx_pkg::LIST_WIDTH)];
  logic [pst_tx_pkg::FRAGMENT_WIDTH-1:0] fragment_q;
  logic [pst_tx_pkg::LIST_WIDTH-1:0]     position;
  assign position = packet_q.parts.position + index_q;
  always_ff @(posedge clk_i) begin
    if (list_wr_valid_i) list_mem[{list_wr_vi_i, list_wr_position_i}] <= list_wr_fragment_i;
    if (state_q == LIST) fragment_q <= list_mem[{vi_q, position}];
  end
  logic [80:0] seg_mem [SEG_COUNT];
  logic        seg_wr;
  assign seg_wr = state_q == ANSWER && xl_answer_valid_i && xl_ok_i;
  always_ff @(posedge clk_i) if (seg_wr) seg_mem[seg_wr_q] <= {xl_run_i, xl_host_i};
  assign seg_valid_o = seg_rd_q != seg_taken_q;
  assign {seg_bytes_o, seg_host_o} = seg_mem[seg_rd_q];

  // ---- Room. A packet lies in whole lines; one from the PIO page keeps its place within them.
  logic [16:0] span;
  assign span = packet_q.parts.bytes[16:0] + (packet_q.parts.pio ? {11'd0, packet_q.parts.pio_offset[5:0]} : 17'd0);
  assign take_lines_o = packet_q.drop ? 11'd0 : span[16:6] + {10'd0, span[5:0] != 6'd0};
  assign take_segs_o = segs;
  assign room = entry_free_i && lines_free_i >= take_lines_o;
  assign take_valid_o = state_q == TAKE && running && room;
  assign take_packet_o = packet_q;

  assign packet_ready_o = state_q == IDLE;
  assign busy_o = state_q != IDLE;
  assign busy_vi_o = vi_q;
  assign xl_valid_o = state_q == ASK && seg_room;
  assign xl_vi_o = vi_q;
  assign xl_address_o = address_q;
  assign xl_bytes_o = left_q;
  assign loss_valid_o = state_q == LOSE;
  assign loss_reason_o = miss_q ? pst_contract_pkg::PST_DROP_REASON_TX_DMA_FAULT :
                                             pst_contract_pkg::PST_DROP_REASON_TX_VI_HALTED;
  assign halt_valid_o = state_q == HALT;
  assign halt_index_o = packet_q.parts.first_idx;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= IDLE;
      seg_wr_q <= '0;
      seg_taken_q <= '0;
      seg_rd_q <= '0;
      take_line_o <= '0;
    end else begin
      case (state_q)
        IDLE: if (packet_valid_i) state_q <= packet_new.drop || packet_new.parts.pio ? TAKE : LIST;
        LIST: state_q <= FRAGMENT;
        FRAGMENT: state_q <= ASK;
        ASK: if (xl_valid_o && xl_ready_i) state_q <= ANSWER;
        ANSWER: begin
          if (xl_answer_valid_i) begin
            if (!xl_ok_i) state_q <= LOSE;
            else if (!last_run) state_q <= ASK;
            else state_q <= last_fragment ? TAKE : LIST;
          end
        end
        TAKE: begin
          if (!running) state_q <= LOSE;
          else if (room) state_q <= IDLE;
        end
        LOSE: if (loss_ready_i) state_q <= miss_q ? HALT : IDLE;
        HALT: if (halt_ready_i) state_q <= IDLE;
        default: state_q <= IDLE;
      endcase
      if (state_q == LOSE) seg_wr_q <= seg_taken_q;
      else if (seg_wr) seg_wr_q <= seg_wr_q + 1'b1;
      if (take_valid_o) begin
        seg_taken_q <= seg_wr_q;
        take_line_o <= take_line_o + take_lines_o[pst_tx_pkg::LINE_WIDTH-1:0];
      end
      if (seg_taken_i) seg_rd_q <= seg_rd_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (packet_ready_o && packet_valid_i) begin
      packet_q <= packet_i;
      vi_q <= packet_vi_i;
      index_q <= 6'd0;
      miss_q <= 1'b0;
    end
    if (state_q == FRAGMENT) {left_q, address_q} <= {1'b0, fragment_q};
    if (state_q == ANSWER && xl_answer_valid_i) begin
      address_q <= address_q + {47'd0, xl_run_i};
      left_q <= left_q - xl_run_i;
      index_q <= index_q + 6'(last_run);
      miss_q <= !xl_ok_i;
    end
  end

  assign quiet_o = !list_wr_valid_i && !seg_taken_i &&
                   (state_q == IDLE ? !packet_valid_i : state_q == TAKE && running && !room);

endmodule
