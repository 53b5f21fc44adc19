// Copies that wait for descriptors or event space: one linked list per VI, whose ends pst_rx_engine keeps with the VI, in a
// memory that all VIs share; and which VI is to be tried again, because what it waits for has come.
module pst_rx_waiting #(
  parameter int unsigned VI_COUNT = 1024,  // a power of two, at least 2
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT),
  localparam int unsigned ENTRY_WIDTH = pst_rx_dma_pkg::ENTRY_WIDTH,
  localparam int unsigned COPY_WIDTH = pst_rx_dma_pkg::COPY_WIDTH
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  // A copy goes into the free entry, which becomes the one behind link_entry_i.
  output logic                   free_valid_o,
  output logic [ENTRY_WIDTH-1:0] free_entry_o,
  input  logic                   put_i,
  input  logic [COPY_WIDTH-1:0]  put_copy_i,
  input  logic                   link_i,
  input  logic [ENTRY_WIDTH-1:0] link_entry_i,
  input  logic                   get_i,  // its copy and the entry behind it come in the next cycle, and stay
  input  logic [ENTRY_WIDTH-1:0] get_entry_i,
  output logic [COPY_WIDTH-1:0]  get_copy_o,
  output logic [ENTRY_WIDTH-1:0] get_next_o,
  input  logic                   give_i,  // not in the cycle of put_i
  input  logic [ENTRY_WIDTH-1:0] give_entry_i,

  // What comes for the VI between begin_i and mark_i counts for what mark_i then says that it waits for.
  input  logic                begin_i,
  input  logic [VI_WIDTH-1:0] begin_vi_i,
  input  logic                mark_i,
  input  logic                mark_desc_i,   // it waits for descriptors
  input  logic                mark_space_i,  // it waits for event space
  input  logic                mark_ready_i,  // it waits only for its turn
  input  logic                avail_valid_i,
  input  logic [VI_WIDTH-1:0] avail_vi_i,
  input  logic                space_valid_i,
  input  logic [VI_WIDTH-1:0] space_vi_i,
  output logic                retry_valid_o,
  output logic [VI_WIDTH-1:0] retry_vi_o,
  input  logic                retry_taken_i
);

  localparam int unsigned WAIT_COUNT = pst_rx_dma_pkg::WAIT_COUNT;
  localparam int unsigned SCAN_WIDTH = VI_COUNT < 32 ? VI_COUNT : 32;

  // ---- Entries. Those never used come from a counter, then those given back, the last one first.
  logic [COPY_WIDTH-1:0]  copy_mem [WAIT_COUNT];
  logic [ENTRY_WIDTH-1:0] next_mem [WAIT_COUNT];
  logic [ENTRY_WIDTH-1:0] free_mem [WAIT_COUNT];
  logic [ENTRY_WIDTH:0]   fresh_q, free_count_q;
  logic [ENTRY_WIDTH-1:0] free_top;
  logic                   reuses;
  assign reuses = free_count_q != '0;
  assign free_top = free_count_q[ENTRY_WIDTH-1:0] - 1'b1;
  assign free_valid_o = reuses || !fresh_q[ENTRY_WIDTH];
  assign free_entry_o = reuses ? free_mem[free_top] : fresh_q[ENTRY_WIDTH-1:0];
  always_ff @(posedge clk_i) begin
    if (put_i) copy_mem[free_entry_o] <= put_copy_i;
    if (link_i) next_mem[link_entry_i] <= free_entry_o;
    if (give_i) free_mem[free_count_q[ENTRY_WIDTH-1:0]] <= give_entry_i;
    if (get_i) begin
      get_copy_o <= copy_mem[get_entry_i];
      get_next_o <= next_mem[get_entry_i];
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fresh_q <= '0;
      free_count_q <= '0;
    end else begin
      if (put_i && !reuses) fresh_q <= fresh_q + 1'b1;
      if (put_i && reuses) free_count_q <= free_count_q - 1'b1;
      else if (give_i) free_count_q <= free_count_q + 1'b1;
    end
  end

  // ---- Who waits for what, and who is to be tried again.
  logic                clearing_q;  // after reset nobody waits
  logic [VI_WIDTH-1:0] clear_vi_q;
  logic                for_desc_mem [VI_COUNT];
  logic                for_space_mem [VI_COUNT];
  logic [VI_COUNT-1:0] ready_q;
  logic [VI_WIDTH-1:0] vi_q;
  logic                seen_desc_q, seen_space_q, desc_now, space_now;
  assign desc_now = avail_valid_i && avail_vi_i == vi_q;
  assign space_now = space_valid_i && space_vi_i == vi_q;
  always_ff @(posedge clk_i) begin
    if (clearing_q || mark_i) begin
      for_desc_mem[clearing_q ? clear_vi_q : vi_q] <= !clearing_q && mark_desc_i;
      for_space_mem[clearing_q ? clear_vi_q : vi_q] <= !clearing_q && mark_space_i;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_q <= 1'b1;
      clear_vi_q <= '0;
      ready_q <= '0;
      vi_q <= '0;
      seen_desc_q <= 1'b0;
      seen_space_q <= 1'b0;
    end else begin
      if (clearing_q) begin
        clear_vi_q <= clear_vi_q + 1'b1;
        clearing_q <= clear_vi_q != VI_WIDTH'(VI_COUNT - 1);
      end
      if (avail_valid_i && !clearing_q && for_desc_mem[avail_vi_i]) ready_q[avail_vi_i] <= 1'b1;
      if (space_valid_i && !clearing_q && for_space_mem[space_vi_i]) ready_q[space_vi_i] <= 1'b1;
      if (begin_i) begin
        vi_q <= begin_vi_i;
        seen_desc_q <= avail_valid_i && avail_vi_i == begin_vi_i;
        seen_space_q <= space_valid_i && space_vi_i == begin_vi_i;
      end else begin
        if (desc_now) seen_desc_q <= 1'b1;
        if (space_now) seen_space_q <= 1'b1;
      end
      if (mark_i) begin
        ready_q[vi_q] <= mark_ready_i || (mark_desc_i && (seen_desc_q || desc_now)) ||
                         (mark_space_i && (seen_space_q || space_now));
      end
    end
  end
  pst_event_queue_scan #(.VI_COUNT(VI_COUNT), .SCAN_WIDTH(SCAN_WIDTH), .WORD_COUNT(VI_COUNT / SCAN_WIDTH),
                         .BIT_WIDTH($clog2(SCAN_WIDTH))) u_scan (
    .clk_i, .rst_ni,
    .attention_i(ready_q),
    .valid_o(retry_valid_o),
    .vi_o(retry_vi_o),
    .taken_i(retry_taken_i)
  );
  assign quiet_o = ready_q == '0 && !clearing_q;

endmodule
