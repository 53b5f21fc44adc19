// Writes of the NIC towards the host, in an order that keeps R3. Payload goes straight into the one output stage; events and
// MSI-X messages pass one queue, events with a place before it in which their address is translated. So what was accepted as
// payload leaves before an event that is accepted later, and an event before a message that is. Packet walk: where a frame and
// its event leave.
module pst_pcie_writes #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,
  parameter int unsigned VECTOR_COUNT = pst_contract_pkg::PST_LIMIT_MSIX_VECTOR_COUNT,
  localparam int unsigned VECTOR_WIDTH = $clog2(VECTOR_COUNT),
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,
  // A pulse asks when all that has been accepted before is out; fence_over_o is low until then.
  input  logic fence_i,
  output logic fence_over_o,

  // Payload with host addresses, in beats (pst_rx_dma).
  input  logic                pw_valid_i,
  output logic                pw_ready_o,
  input  logic                pw_first_i,
  input  logic                pw_last_i,
  input  logic [VI_WIDTH-1:0] pw_vi_i,
  input  logic [63:0]         pw_address_i,
  input  logic [16:0]         pw_bytes_i,
  input  logic [511:0]        pw_data_i,
  input  logic [5:0]          pw_lane_i,
  input  logic [6:0]          pw_count_i,
  input  logic [15:0]         pw_id_i,
  // Events with domain addresses (pst_event_queue).
  input  logic                wr_valid_i,
  output logic                wr_ready_o,
  input  logic [VI_WIDTH-1:0] wr_vi_i,
  input  logic [63:0]         wr_address_i,
  input  logic [31:0]         wr_idx_i,
  input  logic [127:0]        wr_data_i,
  // Messages (pst_msix).
  input  logic                    msg_valid_i,
  output logic                    msg_ready_o,
  input  logic [VECTOR_WIDTH-1:0] msg_vector_i,
  input  logic [63:0]             msg_address_i,
  input  logic [31:0]             msg_data_i,

  // Lookup of an event's address; 16 bytes, written.
  output logic                xl_valid_o,
  input  logic                xl_ready_i,
  output logic [VI_WIDTH-1:0] xl_vi_o,
  output logic [63:0]         xl_address_o,
  input  logic                xl_answer_valid_i,
  input  logic                xl_ok_i,
  input  logic [63:0]         xl_host_i,
  // An event out of reach is lost, and its VI halts; but nobody can be told that the error event is.
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [31:0]         halt_index_o,
  output logic                count_event_lost_o,
  output logic [VI_WIDTH-1:0] count_vi_o,

  // Requests to the hard block; bytes, address, kind and id are the same in all beats of one.
  output logic         dw_valid_o,
  input  logic         dw_ready_i,
  output logic         dw_first_o,
  output logic         dw_last_o,
  output logic [1:0]   dw_kind_o,
  output logic [15:0]  dw_vi_o,
  output logic [63:0]  dw_address_o,
  output logic [16:0]  dw_bytes_o,
  output logic [511:0] dw_data_o,
  output logic [5:0]   dw_lane_o,
  output logic [6:0]   dw_count_o,
  output logic [31:0]  dw_id_o
);

  localparam logic [1:0] KIND_PAYLOAD = 2'd0;
  localparam logic [1:0] KIND_EVENT = 2'd1;
  localparam logic [1:0] KIND_MESSAGE = 2'd2;
  localparam logic [15:0] NO_VI = 16'hffff;  // a message is of no VI

  // ---- The place in which an event gets its host address; behind it a queue for events and messages, whose room is kept before
  // anything is accepted. A long payload holds up several, which then leave behind each other.
  localparam int unsigned POST_COUNT = 4;  // a power of two
  localparam int unsigned POST_WIDTH = $clog2(POST_COUNT);
  localparam logic [1:0] EMPTY = 2'd0;
  localparam logic [1:0] ASKS = 2'd1;    // for its translation
  localparam logic [1:0] WAITS = 2'd2;   // for the answer
  localparam logic [1:0] MISSED = 2'd3;  // the halt is not accepted yet
  logic [1:0]   place_q;
  logic         place_open, take_message, take_event, found, miss, miss_is_error, place_fails;
  logic [VI_WIDTH-1:0] place_vi_q;
  logic [63:0]  place_address_q;
  logic [127:0] place_data_q;
  logic [31:0]  place_id_q;
  logic [POST_WIDTH:0] post_count_q;
  assign place_open = place_q == EMPTY && post_count_q != (POST_WIDTH + 1)'(POST_COUNT);
  assign msg_ready_o = place_open;
  assign take_message = place_open && msg_valid_i;
  assign wr_ready_o = place_open && !msg_valid_i;
  assign take_event = wr_ready_o && wr_valid_i;
  assign xl_valid_o = place_q == ASKS;
  assign xl_vi_o = place_vi_q;
  assign xl_address_o = place_address_q;
  assign found = place_q == WAITS && xl_answer_valid_i && xl_ok_i;
  assign miss = place_q == WAITS && xl_answer_valid_i && !xl_ok_i;
  assign miss_is_error = place_data_q[pst_contract_pkg::PST_ERROR_EVENT_TYPE_LSB +: pst_contract_pkg::PST_ERROR_EVENT_TYPE_WIDTH] ==
                         pst_contract_pkg::PST_EVENT_TYPE_ERROR;
  assign place_fails = place_q == MISSED ? halt_ready_i : miss && miss_is_error;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      place_q <= EMPTY;
    end else begin
      case (place_q)
        EMPTY: if (take_event) place_q <= ASKS;
        ASKS: if (xl_ready_i) place_q <= WAITS;
        WAITS: if (xl_answer_valid_i) place_q <= miss && !miss_is_error ? MISSED : EMPTY;
        MISSED: if (halt_ready_i) place_q <= EMPTY;
        default: place_q <= EMPTY;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (take_event) begin
      place_vi_q <= wr_vi_i;
      place_address_q <= wr_address_i;
      place_data_q <= wr_data_i;
      place_id_q <= wr_idx_i;
    end
  end
  assign halt_valid_o = place_q == MISSED;
  assign halt_vi_o = place_vi_q;
  assign halt_index_o = place_id_q;
  assign count_event_lost_o = miss;
  assign count_vi_o = place_vi_q;

  typedef struct packed {
    logic         is_message;
    logic [15:0]  vi;
    logic [63:0]  address;
    logic [127:0] data;
    logic [31:0]  id;
  } post_t;
  localparam int unsigned POST_BITS = 241;
  logic [POST_BITS-1:0]  post_mem [POST_COUNT];
  logic [POST_WIDTH-1:0] post_first_q, post_next_q;
  logic                  post_put, post_leaves;
  post_t                 post_new, post;
  assign post_put = take_message || found;
  assign post_new.is_message = take_message;
  assign post_new.vi = take_message ? NO_VI : 16'(place_vi_q);
  assign post_new.address = take_message ? msg_address_i : xl_host_i;
  assign post_new.data = take_message ? {96'd0, msg_data_i} : place_data_q;
  assign post_new.id = take_message ? 32'(msg_vector_i) : place_id_q;
  assign post = post_mem[post_first_q];
  always_ff @(posedge clk_i) if (post_put) post_mem[post_next_q] <= post_new;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      post_first_q <= '0;
      post_next_q <= '0;
      post_count_q <= '0;
    end else if (post_put || post_leaves) begin
      if (post_put) post_next_q <= post_next_q + 1'b1;
      if (post_leaves) post_first_q <= post_first_q + 1'b1;
      post_count_q <= post_count_q + (POST_WIDTH + 1)'(post_put) - (POST_WIDTH + 1)'(post_leaves);
    end
  end

  // ---- The output stage. Between payload requests go the events and messages that are ready, but no more than the queue holds.
  logic stage_open, payload_goes, in_payload_q;
  logic [POST_WIDTH:0] run_q;  // events and messages since the last payload
  assign stage_open = !dw_valid_o || dw_ready_i;
  assign post_leaves = stage_open && post_count_q != '0 && !in_payload_q &&
                       !(run_q == (POST_WIDTH + 1)'(POST_COUNT) && pw_valid_i);
  assign pw_ready_o = stage_open && !post_leaves;
  assign payload_goes = pw_ready_o && pw_valid_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      dw_valid_o <= 1'b0;
      in_payload_q <= 1'b0;
      run_q <= '0;
    end else begin
      if (stage_open) dw_valid_o <= payload_goes || post_leaves;
      if (payload_goes) in_payload_q <= !pw_last_i;
      if (payload_goes) run_q <= '0;
      else if (post_leaves && run_q != (POST_WIDTH + 1)'(POST_COUNT)) run_q <= run_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (post_leaves) begin
      dw_first_o <= 1'b1;
      dw_last_o <= 1'b1;
      dw_kind_o <= post.is_message ? KIND_MESSAGE : KIND_EVENT;
      dw_vi_o <= post.vi;
      dw_address_o <= post.address;
      dw_bytes_o <= post.is_message ? 17'd4 : 17'd16;
      dw_data_o[127:0] <= post.data;
      dw_lane_o <= 6'd0;
      dw_count_o <= post.is_message ? 7'd4 : 7'd16;
      dw_id_o <= post.id;
    end else if (payload_goes) begin
      dw_first_o <= pw_first_i;
      dw_last_o <= pw_last_i;
      dw_kind_o <= KIND_PAYLOAD;
      dw_vi_o <= 16'(pw_vi_i);
      dw_address_o <= pw_address_i;
      dw_bytes_o <= pw_bytes_i;
      dw_data_o <= pw_data_i;
      dw_lane_o <= pw_lane_i;
      dw_count_o <= pw_count_i;
      dw_id_o <= {16'd0, pw_id_i};
    end
  end

  // ---- Fence: what was in the queue and the place, then the rest of a payload that had begun, then what is in the output stage.
  localparam int unsigned FENCE_WIDTH = POST_WIDTH + 2;
  logic                   fence_payload_q, fence_stage_q, fence_inside;
  logic [FENCE_WIDTH-1:0] fence_posts_q, posts_now;  // the oldest of those that are there
  assign posts_now = FENCE_WIDTH'(post_count_q) + FENCE_WIDTH'(place_q != EMPTY);
  assign fence_inside = fence_posts_q != '0 || fence_payload_q;
  assign fence_over_o = !fence_inside && !fence_stage_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fence_posts_q <= '0;
      fence_payload_q <= 1'b0;
      fence_stage_q <= 1'b0;
    end else if (fence_i) begin
      fence_posts_q <= posts_now + FENCE_WIDTH'(take_message || take_event) - FENCE_WIDTH'(post_leaves) -
                       FENCE_WIDTH'(place_fails);
      fence_payload_q <= payload_goes ? !pw_last_i : in_payload_q;
      fence_stage_q <= 1'b1;
    end else begin
      if (fence_posts_q != '0) begin
        fence_posts_q <= fence_posts_q - FENCE_WIDTH'(post_leaves) -
                         FENCE_WIDTH'(place_fails && fence_posts_q > FENCE_WIDTH'(post_count_q));
      end
      if (!in_payload_q || (payload_goes && pw_last_i)) fence_payload_q <= 1'b0;
      // What comes last may have entered the stage in the cycle before.
      if (!fence_inside && stage_open) fence_stage_q <= 1'b0;
    end
  end

  assign quiet_o = place_q == EMPTY && post_count_q == '0 && !dw_valid_o && fence_over_o && !pw_valid_i && !wr_valid_i &&
                   !msg_valid_i;

endmodule
