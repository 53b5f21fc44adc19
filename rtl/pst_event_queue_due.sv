// When the scan of pst_event_queue has to look at planned wakeups: which VIs have one, and a time that is not later than the first of
// them. The time may be too early, because a wakeup that is taken back leaves it; a look makes it right.
module pst_event_queue_due #(
  parameter int unsigned VI_COUNT = 1024,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [63:0]         time_ns_i,
  input  logic                op_valid_i,  // an operation leaves this VI so:
  input  logic [VI_WIDTH-1:0] op_vi_i,
  input  logic                op_armed_i,  // a wakeup is planned
  input  logic [63:0]         op_due_ns_i,
  output logic [VI_COUNT-1:0] planned_o,
  output logic                look_o,      // all of them want the scan's attention; each that is not due yet counts anew
  output logic                pending_o,   // the operation of the cycle before has not been compared yet
  output logic [63:0]         due_ns_o     // all ones: none
);

  localparam logic [63:0] NEVER = {64{1'b1}};
  logic [63:0] pending_due_ns_q;
  assign look_o = time_ns_i >= due_ns_o;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      planned_o <= '0;
      pending_o <= 1'b0;
      due_ns_o <= NEVER;
    end else begin
      if (op_valid_i) planned_o[op_vi_i] <= op_armed_i;
      pending_o <= op_valid_i && op_armed_i;
      if (look_o) due_ns_o <= pending_o ? pending_due_ns_q : NEVER;
      else if (pending_o && pending_due_ns_q < due_ns_o) due_ns_o <= pending_due_ns_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (op_valid_i && op_armed_i) pending_due_ns_q <= op_due_ns_i;
  end

endmodule
