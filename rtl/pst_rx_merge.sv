// Open merges of all VIs in the order in which they began, which is that of their ends: each waits the same time. One that has
// been closed before keeps its place; its generation tells. A command closes those of a domain that are open now: it walks over
// all of them, and they keep their places too.
module pst_rx_merge #(
  parameter int unsigned DEPTH = 64,  // a power of two
  parameter int unsigned WAIT_NS = 1000,
  parameter int unsigned VI_WIDTH = 10,
  localparam int unsigned GENERATION_WIDTH = pst_rx_dma_pkg::GENERATION_WIDTH
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [63:0] time_ns_i,
  output logic [63:0] due_ns_o,

  input  logic                        open_i,
  input  logic [VI_WIDTH-1:0]         open_vi_i,
  input  logic [GENERATION_WIDTH-1:0] open_generation_i,
  output logic                        room_o,
  output logic                        over_o,  // the first one is to be closed
  output logic [VI_WIDTH-1:0]         over_vi_o,
  output logic [GENERATION_WIDTH-1:0] over_generation_o,
  input  logic                        over_taken_i,
  input  logic [15:0]                 over_domain_i,   // of the VI that was taken last
  output logic                        over_applies_o,  // time or command concern it

  input  logic        close_all_i,
  input  logic [15:0] close_domain_i,
  output logic        all_closed_o,  // those that were open then
  input  logic        all_closed_taken_i
);

  localparam int unsigned PTR_WIDTH = $clog2(DEPTH);
  localparam int unsigned ITEM_WIDTH = VI_WIDTH + GENERATION_WIDTH + 64;

  logic [ITEM_WIDTH-1:0] queue_mem [DEPTH];
  logic [PTR_WIDTH-1:0]  first_q, next_q, walk_q;
  logic [PTR_WIDTH:0]    count_q, left_q;  // left_q: where the command has not been
  logic                  closing_q, by_command_q, pops;
  logic [15:0]           domain_q;
  logic [63:0]           head_due_ns;
  assign {over_vi_o, over_generation_o, head_due_ns} = queue_mem[closing_q ? walk_q : first_q];
  assign room_o = count_q != (PTR_WIDTH + 1)'(DEPTH);
  assign due_ns_o = count_q == '0 ? 64'hffff_ffff_ffff_ffff : head_due_ns;
  assign over_o = closing_q ? left_q != '0 : count_q != '0 && time_ns_i >= head_due_ns;
  assign over_applies_o = !by_command_q || over_domain_i == domain_q;
  assign all_closed_o = closing_q && left_q == '0;
  assign pops = over_taken_i && !closing_q;
  always_ff @(posedge clk_i) begin
    if (open_i) queue_mem[next_q] <= {open_vi_i, open_generation_i, time_ns_i + 64'(WAIT_NS)};
    if (over_taken_i) by_command_q <= closing_q;
    if (close_all_i) domain_q <= close_domain_i;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      first_q <= '0;
      next_q <= '0;
      walk_q <= '0;
      count_q <= '0;
      left_q <= '0;
      closing_q <= 1'b0;
    end else begin
      if (open_i) next_q <= next_q + 1'b1;
      if (pops) first_q <= first_q + 1'b1;
      count_q <= count_q + (PTR_WIDTH + 1)'(open_i) - (PTR_WIDTH + 1)'(pops);
      if (close_all_i) begin
        closing_q <= 1'b1;
        walk_q <= pops ? first_q + 1'b1 : first_q;
        left_q <= count_q + (PTR_WIDTH + 1)'(open_i) - (PTR_WIDTH + 1)'(pops);
      end else if (over_taken_i && closing_q) begin
        walk_q <= walk_q + 1'b1;
        left_q <= left_q - 1'b1;
      end else if (all_closed_taken_i) begin
        closing_q <= 1'b0;
      end
    end
  end

endmodule
