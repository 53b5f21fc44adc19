// Reads in flight: tags, where the bytes of each go, and per packet how many have been asked for and how many have ended.
// Counts go round and are never reset: a packet's reads have landed when both are equal.
module pst_tx_landing #(
  parameter int unsigned TAG_COUNT = 64,     // a power of two, at most 128
  parameter int unsigned CLEAR_COUNT = 128,  // cycles of clearing; a power of two, at least 128
  localparam int unsigned TAG_WIDTH = $clog2(TAG_COUNT),
  localparam int unsigned ENTRY_WIDTH = pst_tx_pkg::ENTRY_WIDTH,
  localparam int unsigned LINE_WIDTH = pst_tx_pkg::LINE_WIDTH
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  output logic                   clearing_o,  // after reset

  // A read is issued with the tag that is offered.
  output logic                   tag_valid_o,
  output logic [TAG_WIDTH-1:0]   tag_o,
  input  logic                   issue_valid_i,
  input  logic [ENTRY_WIDTH-1:0] issue_entry_i,
  input  logic [LINE_WIDTH-1:0]  issue_line_i,  // of its first byte

  // Completions, and where they go.
  input  logic                   pc_valid_i,
  input  logic [6:0]             pc_tag_i,
  input  logic                   pc_last_i,
  input  logic [15:0]            pc_code_i,
  output logic                   wr_valid_o,
  output logic [LINE_WIDTH-1:0]  wr_line_o,

  // A packet takes its entry: nothing of it has failed.
  input  logic                   take_valid_i,
  input  logic [ENTRY_WIDTH-1:0] take_entry_i,
  // What is known of two packets whose reads have all been issued.
  input  logic [ENTRY_WIDTH-1:0] hand_entry_i,
  output logic                   hand_landed_o,
  output logic                   hand_failed_o,
  output logic [15:0]            hand_code_o,  // of the first failure
  input  logic [ENTRY_WIDTH-1:0] scan_entry_i,
  output logic                   scan_landed_o
);

  localparam int unsigned ENTRY_COUNT = pst_tx_pkg::ENTRY_COUNT;

  logic [$clog2(CLEAR_COUNT)-1:0] clear_q;
  logic                   failure, ends;
  logic [TAG_WIDTH-1:0]   tag;
  logic [ENTRY_WIDTH-1:0] entry;
  assign tag = pc_tag_i[TAG_WIDTH-1:0];
  assign failure = pc_code_i != pst_contract_pkg::PST_ERROR_CODE_OK;
  assign ends = pc_valid_i && (pc_last_i || failure);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_o <= 1'b1;
      clear_q <= '0;
    end else if (clearing_o) begin
      clear_q <= clear_q + 1'b1;
      clearing_o <= !(&clear_q);
    end
  end

  // ---- Tags. beats_mem counts a tag's beats for ever; what a read's first line lies ahead of it is kept with the read.
  logic [TAG_WIDTH-1:0]              free_mem [TAG_COUNT];
  logic [TAG_WIDTH:0]                free_wr_q, free_rd_q;
  logic [ENTRY_WIDTH+LINE_WIDTH-1:0] read_mem [TAG_COUNT];
  logic [LINE_WIDTH-1:0]             beats_mem [TAG_COUNT];
  logic [LINE_WIDTH-1:0]             ahead, beats;
  assign tag_valid_o = free_wr_q != free_rd_q && !clearing_o;
  assign tag_o = free_mem[free_rd_q[TAG_WIDTH-1:0]];
  assign {entry, ahead} = read_mem[tag];
  assign beats = beats_mem[tag];
  assign wr_valid_o = pc_valid_i && !failure;
  assign wr_line_o = beats + ahead;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      free_wr_q <= (TAG_WIDTH + 1)'(TAG_COUNT);
      free_rd_q <= '0;
    end else begin
      if (ends) free_wr_q <= free_wr_q + 1'b1;
      if (issue_valid_i) free_rd_q <= free_rd_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (clearing_o || ends) begin
      free_mem[clearing_o ? clear_q[TAG_WIDTH-1:0] : free_wr_q[TAG_WIDTH-1:0]] <= clearing_o ? clear_q[TAG_WIDTH-1:0] : tag;
    end
    if (clearing_o || pc_valid_i) begin
      beats_mem[clearing_o ? clear_q[TAG_WIDTH-1:0] : tag] <= clearing_o ? '0 : beats + 1'b1;
    end
    if (issue_valid_i) read_mem[tag_o] <= {issue_entry_i, issue_line_i - beats_mem[tag_o]};
  end

  // ---- Packets.
  logic [6:0]             issued_mem [ENTRY_COUNT];
  logic [6:0]             landed_mem [ENTRY_COUNT];
  logic [15:0]            code_mem [ENTRY_COUNT];
  logic [ENTRY_COUNT-1:0] failed_q;
  always_ff @(posedge clk_i) begin
    if (clearing_o || issue_valid_i) begin
      issued_mem[clearing_o ? clear_q[ENTRY_WIDTH-1:0] : issue_entry_i] <= clearing_o ? 7'd0 : issued_mem[issue_entry_i] + 7'd1;
    end
    if (clearing_o || ends) begin
      landed_mem[clearing_o ? clear_q[ENTRY_WIDTH-1:0] : entry] <= clearing_o ? 7'd0 : landed_mem[entry] + 7'd1;
    end
    if (ends && failure && !failed_q[entry]) code_mem[entry] <= pc_code_i;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      failed_q <= '0;
    end else begin
      if (ends && failure) failed_q[entry] <= 1'b1;
      if (take_valid_i) failed_q[take_entry_i] <= 1'b0;
    end
  end
  assign hand_landed_o = issued_mem[hand_entry_i] == landed_mem[hand_entry_i];
  assign hand_failed_o = failed_q[hand_entry_i];
  assign hand_code_o = code_mem[hand_entry_i];
  assign scan_landed_o = issued_mem[scan_entry_i] == landed_mem[scan_entry_i];

endmodule
