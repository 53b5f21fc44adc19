// Fetches the bytes of the packets that were taken, one packet after the other: a read per host segment, or line by line
// from the PIO page. A read's bytes come in the lanes in which they lie in the packet buffer.
module pst_tx_issue #(
  parameter int unsigned VI_COUNT = 64,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned ENTRY_WIDTH = pst_tx_pkg::ENTRY_WIDTH,
  localparam int unsigned LINE_WIDTH = pst_tx_pkg::LINE_WIDTH
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  output logic                   quiet_o,

  input  logic                   take_valid_i,
  input  logic [ENTRY_WIDTH-1:0] take_entry_i,  // the packet's, or the next packet's
  input  logic [VI_WIDTH-1:0]    take_vi_i,
  input  logic [pst_tx_pkg::PACKET_WIDTH-1:0] take_packet_i,
  input  logic [LINE_WIDTH-1:0]  take_line_i,
  input  logic [6:0]             take_lines_i,  // of a packet from the PIO page
  input  logic [6:0]             take_segs_i,
  output logic [ENTRY_WIDTH-1:0] entry_o,  // all before it have been asked for; those from the PIO page are here

  input  logic                   seg_valid_i,
  output logic                   seg_taken_o,
  input  logic [63:0]            seg_host_i,
  input  logic [16:0]            seg_bytes_i,
  input  logic                   tag_valid_i,
  output logic                   pr_valid_o,
  input  logic                   pr_ready_i,
  output logic [VI_WIDTH-1:0]    pr_vi_o,
  output logic [63:0]            pr_address_o,
  output logic [16:0]            pr_bytes_o,
  output logic [5:0]             pr_lane_o,
  output logic [LINE_WIDTH-1:0]  pr_line_o,

  output logic                   pio_rd_valid_o,
  output logic [VI_WIDTH-1:0]    pio_rd_vi_o,
  output logic [5:0]             pio_rd_line_o,
  output logic                   copy_valid_o,  // the line that the PIO page gave, or what the buffer has not taken yet
  input  logic                   copy_ready_i,
  output logic                   copy_held_o,   // the latter: it is not on the PIO page's port any more
  output logic [LINE_WIDTH-1:0]  copy_line_o
);

  localparam int unsigned JOB_WIDTH = 1 + 6 + VI_WIDTH + LINE_WIDTH + 7 + 7;
  typedef enum logic [2:0] {IDLE, FETCH, READ, COPY, TAKE} state_t;
  state_t                 state_q;
  logic [ENTRY_WIDTH-1:0] entry_q;
  pst_tx_pkg::packet_t    packet;
  assign packet = take_packet_i;

  logic [JOB_WIDTH-1:0] job_mem [pst_tx_pkg::ENTRY_COUNT];
  logic [JOB_WIDTH-1:0] job_q;
  logic                 job_pio;
  logic [5:0]           job_pio_line;
  logic [VI_WIDTH-1:0]  job_vi;
  logic [LINE_WIDTH-1:0] job_line;
  logic [6:0]           job_lines, job_segs;  // lines: of the PIO page
  always_ff @(posedge clk_i) begin
    if (take_valid_i) begin
      job_mem[take_entry_i] <= {packet.parts.pio && !packet.drop, packet.parts.pio_offset[11:6], take_vi_i, take_line_i,
                                take_lines_i, packet.drop ? 7'd0 : take_segs_i};
    end
    if (state_q == IDLE) job_q <= job_mem[entry_q];
  end
  assign {job_pio, job_pio_line, job_vi, job_line, job_lines, job_segs} = job_q;

  logic [15:0] place_q;  // READ: byte within the packet
  logic [6:0]  done_q;   // segments or lines
  logic        held_q;
  logic        read_taken, copy_taken;
  assign read_taken = pr_valid_o && pr_ready_i;
  assign copy_taken = copy_valid_o && copy_ready_i;
  assign pr_valid_o = state_q == READ && done_q != job_segs && seg_valid_i && tag_valid_i;
  assign seg_taken_o = read_taken;
  assign pr_vi_o = job_vi;
  assign pr_address_o = seg_host_i;
  assign pr_bytes_o = seg_bytes_i;
  assign pr_lane_o = place_q[5:0];
  assign pr_line_o = job_line + place_q[15:6];
  assign pio_rd_valid_o = state_q == COPY;
  assign pio_rd_vi_o = job_vi;
  assign pio_rd_line_o = job_pio_line + done_q[5:0];
  assign copy_valid_o = state_q == TAKE;
  assign copy_held_o = held_q;
  assign copy_line_o = job_line + {3'd0, done_q};
  assign entry_o = entry_q;

  logic ended;
  assign ended = (state_q == READ && done_q == job_segs) || (copy_taken && done_q + 7'd1 == job_lines);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= IDLE;
      entry_q <= '0;
    end else begin
      case (state_q)
        IDLE: if (entry_q != take_entry_i) state_q <= FETCH;
        FETCH: state_q <= job_pio ? COPY : READ;
        READ: if (ended) state_q <= IDLE;
        COPY: state_q <= TAKE;
        TAKE: if (copy_taken) state_q <= ended ? IDLE : COPY;
        default: state_q <= IDLE;
      endcase
      if (ended) entry_q <= entry_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (state_q == FETCH) begin
      place_q <= 16'd0;
      done_q <= 7'd0;
      held_q <= 1'b0;
    end else if (read_taken) begin
      place_q <= place_q + seg_bytes_i[15:0];
      done_q <= done_q + 7'd1;
    end else if (state_q == TAKE) begin
      held_q <= !copy_taken;
      if (copy_taken) done_q <= done_q + 7'd1;
    end
  end

  // A job is written in the cycle before take_entry_i moves past it.
  assign quiet_o = !take_valid_i && (state_q == IDLE ? entry_q == take_entry_i :
                                     state_q == READ && done_q != job_segs && !read_taken);

endmodule
