// Which VIs run, with what options and in which domain, and the end of a life that waits for pst_rx_engine. A VI stops to run in
// the cycle in which its end is announced, or when the engine has found a reason to halt it.
module pst_rx_lives #(
  parameter int unsigned VI_COUNT = 1024,  // a power of two
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                                           start_i,
  input  logic [VI_WIDTH-1:0]                            start_vi_i,
  input  logic [pst_rx_dma_pkg::OPTIONS_WIDTH-1:0]       start_options_i,
  input  logic                                           domain_valid_i,
  input  logic [15:0]                                    domain_i,  // of start_vi_i
  input  logic                                           life_valid_i,
  input  logic                                           life_op_i,
  input  logic [VI_WIDTH-1:0]                            life_vi_i,
  output logic                                           end_valid_o,  // a life is to end
  output logic                                           end_op_o,
  output logic [VI_WIDTH-1:0]                            end_vi_o,
  input  logic                                           end_taken_i,

  input  logic                                           halt_i,
  input  logic [VI_WIDTH-1:0]                            halt_vi_i,
  input  logic                                           read_i,  // what is read comes in the next cycle, and stays
  input  logic [VI_WIDTH-1:0]                            read_vi_i,
  output logic                                           running_o,
  output logic [pst_rx_dma_pkg::OPTIONS_WIDTH-1:0]       options_o,
  output logic [15:0]                                    domain_o
);

  logic [pst_rx_dma_pkg::OPTIONS_WIDTH-1:0] options_mem [VI_COUNT];
  logic [15:0]                              domain_mem [VI_COUNT];
  logic [VI_COUNT-1:0]                      running_q;
  always_ff @(posedge clk_i) begin
    if (start_i) options_mem[start_vi_i] <= start_options_i;
    if (domain_valid_i) domain_mem[start_vi_i] <= domain_i;
    if (read_i) begin
      options_o <= options_mem[read_vi_i];
      domain_o <= domain_mem[read_vi_i];
    end
    if (life_valid_i) begin
      end_op_o <= life_op_i;
      end_vi_o <= life_vi_i;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      running_q <= '0;
      running_o <= 1'b0;
      end_valid_o <= 1'b0;
    end else begin
      if (read_i) running_o <= running_q[read_vi_i];
      if (start_i) running_q[start_vi_i] <= 1'b1;
      if (halt_i) running_q[halt_vi_i] <= 1'b0;
      if (life_valid_i) running_q[life_vi_i] <= 1'b0;
      if (life_valid_i) end_valid_o <= 1'b1;
      else if (end_taken_i) end_valid_o <= 1'b0;
    end
  end

endmodule
