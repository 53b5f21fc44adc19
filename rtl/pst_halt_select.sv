// One halt request out of those that several blocks offer; in turn. Combinational but for whose turn it is.
module pst_halt_select #(
  parameter int unsigned SOURCE_COUNT = 7,
  parameter int unsigned VI_WIDTH = 10
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,
  input  logic [SOURCE_COUNT-1:0]          valid_i,
  output logic [SOURCE_COUNT-1:0]          ready_o,
  input  logic [SOURCE_COUNT*VI_WIDTH-1:0] vi_i,
  input  logic [SOURCE_COUNT*4-1:0]        source_i,
  input  logic [SOURCE_COUNT*16-1:0]       code_i,
  input  logic [SOURCE_COUNT*32-1:0]       index_i,

  input  logic                taken_i,  // with any request offered: the selected one is accepted
  output logic [VI_WIDTH-1:0] vi_o,
  output logic [3:0]          source_o,
  output logic [15:0]         code_o,
  output logic [31:0]         index_o
);

  logic [SOURCE_COUNT-1:0] behind_q, first, selected;  // behind_q: those behind who came last
  assign first = (valid_i & behind_q) != '0 ? valid_i & behind_q : valid_i;
  assign selected = first & (~first + 1'b1);
  assign ready_o = taken_i ? selected : '0;
  always_comb begin
    vi_o = '0;
    source_o = '0;
    code_o = '0;
    index_o = '0;
    if (valid_i != '0) begin
      for (int i = 0; i < SOURCE_COUNT; i++) begin
        if (selected[i]) begin
          vi_o = vi_i[i*VI_WIDTH +: VI_WIDTH];
          source_o = source_i[i*4 +: 4];
          code_o = code_i[i*16 +: 16];
          index_o = index_i[i*32 +: 32];
        end
      end
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) behind_q <= '0;
    else if (taken_i && valid_i != '0) behind_q <= ~(selected | (selected - 1'b1));
  end

endmodule
