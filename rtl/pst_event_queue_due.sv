// When the scan of pst_event_queue has to look at planned wakeups: which VIs have one, and a time that is not later than the first of
// them. The time may be too early, because a wakeup that is taken back leaves it; a look makes it right.
module pst_event_queue_due #(
  parameter int unsigned VI_COUNT = 1024,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [63:0]         time_ns_i,
  input  logic                op_valid_i,  // an operation leaves this VI so: a wakeup is planned, or none
  input  logic [VI_WIDTH-1:0] op_vi_i,
  input  logic                op_armed_i,
  input  logic                new_valid_i,  // what the operation before has planned
  input  logic [63:0]         new_due_ns_i,
  output logic [VI_COUNT-1:0] planned_o,
  output logic                look_o,      // all of them want the scan's attention; each that is not due yet is planned anew
  output logic [63:0]         due_ns_o     // all ones: none
);

  localparam logic [63:0] NEVER = {64{1'b1}};
  assign look_o = time_ns_i >= due_ns_o;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      planned_o <= '0;
      due_ns_o <= NEVER;
    end else begin
      if (op_valid_i) planned_o[op_vi_i] <= op_armed_i;
      if (look_o) due_ns_o <= new_valid_i ? new_due_ns_i : NEVER;
      else if (new_valid_i && new_due_ns_i < due_ns_o) due_ns_o <= new_due_ns_i;
    end
  end

endmodule
