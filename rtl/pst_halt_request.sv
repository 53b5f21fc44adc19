// The firmware's request to halt a VI (an error that it found itself), as one of the requesters of pst_vi_table. Its command is
// done when the request has been accepted.
module pst_halt_request #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  output logic                quiet_o,

  input  logic                cfg_valid_i,
  input  logic [7:0]          cfg_op_i,
  input  logic [31:0]         cfg_index_i,
  input  logic [511:0]        cfg_data_i,
  output logic                cfg_done_o,

  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [3:0]          halt_source_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o
);

  logic take;
  assign take = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_VI_HALT;
  assign quiet_o = !halt_valid_o;
  assign cfg_done_o = halt_valid_o && halt_ready_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) halt_valid_o <= 1'b0;
    else if (take) halt_valid_o <= 1'b1;
    else if (halt_ready_i) halt_valid_o <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      halt_vi_o <= cfg_index_i[VI_WIDTH-1:0];
      {halt_source_o, halt_code_o, halt_index_o} <= cfg_data_i[51:0];
    end
  end

  logic unused;
  assign unused = &{1'b0, cfg_index_i[31:VI_WIDTH], cfg_data_i[511:52]};

endmodule
