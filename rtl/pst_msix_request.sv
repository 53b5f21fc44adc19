// Who raises MSI-X vectors: wakeups of event queues, and the firmware (admin completions), whose command is done when the
// vector has been accepted. Wakeups go first. Holds the firmware's one request.
module pst_msix_request (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         quiet_o,

  input  logic         cfg_valid_i,
  input  logic [7:0]   cfg_op_i,
  input  logic [31:0]  cfg_index_i,
  output logic         cfg_done_o,

  input  logic         wake_valid_i,
  output logic         wake_ready_o,
  input  logic [15:0]  wake_vector_i,

  output logic         raise_valid_o,
  input  logic         raise_ready_i,
  output logic [15:0]  raise_vector_o
);

  logic        held_q;  // the firmware's
  logic [15:0] vector_q;
  logic        lent_q;  // its vector is offered and may not change
  assign quiet_o = !held_q;
  assign raise_valid_o = wake_valid_i || held_q;
  assign raise_vector_o = wake_valid_i && !lent_q ? wake_vector_i : vector_q;
  assign wake_ready_o = raise_ready_i && !lent_q;
  assign cfg_done_o = held_q && raise_ready_i && (lent_q || !wake_valid_i);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      held_q <= 1'b0;
      lent_q <= 1'b0;
    end else begin
      if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_RAISE) held_q <= 1'b1;
      else if (cfg_done_o) held_q <= 1'b0;
      lent_q <= held_q && !raise_ready_i && (lent_q || !wake_valid_i);
    end
  end
  always_ff @(posedge clk_i) begin
    if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_RAISE) vector_q <= cfg_index_i[15:0];
  end

  logic unused;
  assign unused = &{1'b0, cfg_index_i[31:16]};

endmodule
