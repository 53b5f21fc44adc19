// What pst_rx_engine keeps of each VI between copies: one read and one write port, emptied after reset. Knows how the end of a
// step changes it.
module pst_rx_context #(
  parameter int unsigned VI_COUNT = 1024,  // a power of two
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned ENTRY_WIDTH = pst_rx_dma_pkg::ENTRY_WIDTH
) (
  input  logic                                     clk_i,
  input  logic                                     rst_ni,
  output logic                                     clearing_o,
  input  logic                                     read_i,  // comes in the next cycle, and stays
  input  logic [VI_WIDTH-1:0]                      read_vi_i,
  output logic [pst_rx_dma_pkg::CONTEXT_WIDTH-1:0] context_o,

  input  logic                   write_i,  // the context that was read, with these changes
  input  logic [VI_WIDTH-1:0]    write_vi_i,
  input  logic                   ends_i,        // nothing is left of it
  input  logic [5:0]             held_count_i,
  input  logic [5:0]             used_count_i,  // descriptors that a frame has taken of those
  input  logic                   put_i,         // a copy waits behind the others
  input  logic [ENTRY_WIDTH-1:0] put_entry_i,
  input  logic                   unlist_i,      // the first one waits no longer
  input  logic [ENTRY_WIDTH-1:0] next_entry_i,  // ... but this one
  input  logic [13:0]            bytes_i,       // of the copy
  input  logic [7:0]             merge_frames_i,
  input  logic                   opens_i,       // a merge begins
  input  logic [15:0]            opens_length_i,
  input  logic [63:0]            opens_word_i
);

  localparam int unsigned CONTEXT_WIDTH = pst_rx_dma_pkg::CONTEXT_WIDTH;

  logic [CONTEXT_WIDTH-1:0] context_mem [VI_COUNT];
  logic [VI_WIDTH-1:0]      clear_vi_q;
  pst_rx_dma_pkg::context_t now, after;
  assign now = context_o;
  always_ff @(posedge clk_i) begin
    if (read_i) context_o <= context_mem[read_vi_i];
    if (write_i || clearing_o) begin
      context_mem[clearing_o ? clear_vi_q : write_vi_i] <= clearing_o ? {CONTEXT_WIDTH{1'b0}} : after;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_o <= 1'b1;
      clear_vi_q <= '0;
    end else if (clearing_o) begin
      clear_vi_q <= clear_vi_q + 1'b1;
      clearing_o <= clear_vi_q != VI_WIDTH'(VI_COUNT - 1);
    end
  end

  always_comb begin
    after = now;
    if (write_i) begin
      after.held_count = held_count_i - used_count_i;
      after.consumer_idx = now.consumer_idx + {26'd0, used_count_i};
      after.merge_frames = merge_frames_i;
      if (put_i) begin
        after.waits = 1'b1;
        after.wait_last = put_entry_i;
        after.wait_bytes = now.wait_bytes + {2'd0, bytes_i};
        if (!now.waits) after.wait_first = put_entry_i;
      end
      if (unlist_i) begin
        after.waits = now.wait_first != now.wait_last;
        after.wait_first = next_entry_i;
        after.wait_bytes = now.wait_bytes - {2'd0, bytes_i};
      end
      if (opens_i) begin
        after.merge_generation = now.merge_generation + 1'b1;
        after.merge_length_bytes = opens_length_i;
        after.merge_word = opens_word_i;
      end
      if (ends_i) begin
        after = '0;
        after.merge_generation = now.merge_generation;
      end
    end
  end

endmodule
