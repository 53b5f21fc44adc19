// Writes of the NIC towards the host, in an order that keeps R3. Payload goes straight into the one output stage; events and
// MSI-X messages pass one place, in which an event's address is translated. So what was accepted as payload leaves before
// an event that is accepted later, and an event before a message that is. Packet walk: where a frame and its event leave.
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

  // ---- The place for an event or a message.
  localparam logic [2:0] EMPTY = 3'd0;
  localparam logic [2:0] ASKS = 3'd1;     // for its translation
  localparam logic [2:0] WAITS = 3'd2;    // for the answer
  localparam logic [2:0] READY = 3'd3;    // has a host address
  localparam logic [2:0] MISSED = 3'd4;   // the halt is not accepted yet
  logic [2:0]   place_q;
  logic         place_open, take_message, take_event, place_leaves, place_is_message_q, miss;
  logic [VI_WIDTH-1:0] place_vi_q;
  logic [63:0]  place_address_q;
  logic [127:0] place_data_q;
  logic [31:0]  place_id_q;
  logic         miss_is_error;
  assign place_open = place_q == EMPTY || place_leaves;
  assign msg_ready_o = place_open;
  assign take_message = place_open && msg_valid_i;
  assign wr_ready_o = place_open && !msg_valid_i;
  assign take_event = wr_ready_o && wr_valid_i;
  assign xl_valid_o = place_q == ASKS;
  assign xl_vi_o = place_vi_q;
  assign xl_address_o = place_address_q;
  assign miss = place_q == WAITS && xl_answer_valid_i && !xl_ok_i;
  assign miss_is_error = place_data_q[pst_contract_pkg::PST_ERROR_EVENT_TYPE_LSB +: pst_contract_pkg::PST_ERROR_EVENT_TYPE_WIDTH] ==
                         pst_contract_pkg::PST_EVENT_TYPE_ERROR;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      place_q <= EMPTY;
    end else if (take_message) begin
      place_q <= READY;
    end else if (take_event) begin
      place_q <= ASKS;
    end else begin
      case (place_q)
        ASKS: if (xl_ready_i) place_q <= WAITS;
        WAITS: begin
          if (miss) place_q <= miss_is_error ? EMPTY : MISSED;
          else if (xl_answer_valid_i) place_q <= READY;
        end
        READY: if (place_leaves) place_q <= EMPTY;
        MISSED: if (halt_ready_i) place_q <= EMPTY;
        default: ;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (take_message) begin
      place_is_message_q <= 1'b1;
      place_address_q <= msg_address_i;
      place_data_q <= {96'd0, msg_data_i};
      place_id_q <= 32'(msg_vector_i);
    end else if (take_event) begin
      place_is_message_q <= 1'b0;
      place_vi_q <= wr_vi_i;
      place_address_q <= wr_address_i;
      place_data_q <= wr_data_i;
      place_id_q <= wr_idx_i;
    end else if (place_q == WAITS && xl_answer_valid_i) begin
      place_address_q <= xl_host_i;
    end
  end
  assign halt_valid_o = place_q == MISSED;
  assign halt_vi_o = place_vi_q;
  assign halt_index_o = place_id_q;
  assign count_event_lost_o = miss;
  assign count_vi_o = place_vi_q;

  // ---- The output stage. Between requests the two sides take turns.
  logic stage_open, payload_goes, in_payload_q, place_last_q;
  assign stage_open = !dw_valid_o || dw_ready_i;
  assign place_leaves = stage_open && place_q == READY && !in_payload_q && !(place_last_q && pw_valid_i);
  assign pw_ready_o = stage_open && !place_leaves;
  assign payload_goes = pw_ready_o && pw_valid_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      dw_valid_o <= 1'b0;
      in_payload_q <= 1'b0;
      place_last_q <= 1'b0;
    end else begin
      if (stage_open) dw_valid_o <= payload_goes || place_leaves;
      if (payload_goes) in_payload_q <= !pw_last_i;
      if (payload_goes || place_leaves) place_last_q <= place_leaves;
    end
  end
  always_ff @(posedge clk_i) begin
    if (place_leaves) begin
      dw_first_o <= 1'b1;
      dw_last_o <= 1'b1;
      dw_kind_o <= place_is_message_q ? KIND_MESSAGE : KIND_EVENT;
      dw_vi_o <= place_is_message_q ? NO_VI : 16'(place_vi_q);
      dw_address_o <= place_address_q;
      dw_bytes_o <= place_is_message_q ? 17'd4 : 17'd16;
      dw_data_o[127:0] <= place_data_q;
      dw_lane_o <= 6'd0;
      dw_count_o <= place_is_message_q ? 7'd4 : 7'd16;
      dw_id_o <= place_id_q;
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

  // ---- Fence: what was in the place, then the rest of a payload that had begun, then what is in the output stage.
  logic fence_place_q, fence_payload_q, fence_stage_q, fence_inside;
  assign fence_inside = fence_place_q || fence_payload_q;
  assign fence_over_o = !fence_inside && !fence_stage_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fence_place_q <= 1'b0;
      fence_payload_q <= 1'b0;
      fence_stage_q <= 1'b0;
    end else if (fence_i) begin
      fence_place_q <= take_message || take_event || (place_q != EMPTY && !place_leaves);
      fence_payload_q <= payload_goes ? !pw_last_i : in_payload_q;
      fence_stage_q <= 1'b1;
    end else begin
      if (place_leaves || place_q == EMPTY) fence_place_q <= 1'b0;
      if (!in_payload_q || (payload_goes && pw_last_i)) fence_payload_q <= 1'b0;
      // What comes last may have entered the stage in the cycle before.
      if (!fence_inside && stage_open) fence_stage_q <= 1'b0;
    end
  end

  assign quiet_o = place_q == EMPTY && !dw_valid_o && fence_over_o && !pw_valid_i && !wr_valid_i && !msg_valid_i;

endmodule
