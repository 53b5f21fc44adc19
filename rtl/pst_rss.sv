// Receive-side scaling: Toeplitz hash of a frame's addresses and ports with the key of its context, and the context's table. Hides
// the step: 32 bits of input a cycle. Packet walk: between the filter and receive DMA, for filters that spread.
module pst_rss #(
  parameter int unsigned CONTEXT_COUNT = pst_contract_pkg::PST_LIMIT_RSS_CONTEXT_COUNT_MAX,
  localparam int unsigned CONTEXT_WIDTH = $clog2(CONTEXT_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  input  logic         cfg_valid_i,  // CFG_RSS_KEY, CFG_RSS_TABLE, which pst_rx_filter answers
  input  logic [7:0]   cfg_op_i,
  input  logic [31:0]  cfg_index_i,
  input  logic [511:0] cfg_data_i,

  // One request at a time; its inputs stay until the answer. No hash: the frame is not IP, or the context has no configuration.
  input  logic                     ask_valid_i,
  input  logic [CONTEXT_WIDTH-1:0] ask_context_i,
  input  logic                     ask_ipv4_i,
  input  logic                     ask_ipv6_i,
  input  logic                     ask_ports_i,
  input  logic [127:0]             ask_remote_address_i,  // byte 0 in bits 7..0
  input  logic [127:0]             ask_local_address_i,
  input  logic [15:0]              ask_remote_port_i,
  input  logic [15:0]              ask_local_port_i,
  output logic                     answer_valid_o,
  output logic                     answer_hash_valid_o,
  output logic [31:0]              answer_hash_o,
  output logic [15:0]              answer_vi_o
);

  function automatic logic [31:0] swap(input logic [31:0] word);
    swap = {word[7:0], word[15:8], word[23:16], word[31:24]};
  endfunction

  logic [320:0] key_mem [CONTEXT_COUNT];      // {configured, key with its first bit on the left}
  logic [511:0] table_mem [4*CONTEXT_COUNT];  // 32 entries a row
  logic [319:0] key_in;
  logic         take_key, take_table;
  always_comb begin
    key_in = '0;
    for (int i = 0; i < 10; i++) key_in[319-32*i -: 32] = swap(cfg_data_i[8+32*i +: 32]);
  end
  assign take_key = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_RSS_KEY;
  assign take_table = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_RSS_TABLE;

  localparam logic [1:0] IDLE = 2'd0, HASH = 2'd1, LOOK = 2'd2, SAY = 2'd3;
  logic [1:0]   state_q;
  logic         none_q;   // no hash
  logic [3:0]   word_q, words_q;
  logic [319:0] key_q;    // moves left
  logic [31:0]  hash_q, word, step;
  logic [320:0] key_read;
  logic [511:0] row_q;
  logic [6:0]   unused_bits;
  assign key_read = key_mem[ask_context_i];
  always_comb begin
    if (ask_ipv4_i) begin
      case (word_q)
        4'd0: word = swap(ask_remote_address_i[31:0]);
        4'd1: word = swap(ask_local_address_i[31:0]);
        default: word = {ask_remote_port_i, ask_local_port_i};
      endcase
    end else begin
      case (word_q)
        4'd0: word = swap(ask_remote_address_i[31:0]);
        4'd1: word = swap(ask_remote_address_i[63:32]);
        4'd2: word = swap(ask_remote_address_i[95:64]);
        4'd3: word = swap(ask_remote_address_i[127:96]);
        4'd4: word = swap(ask_local_address_i[31:0]);
        4'd5: word = swap(ask_local_address_i[63:32]);
        4'd6: word = swap(ask_local_address_i[95:64]);
        4'd7: word = swap(ask_local_address_i[127:96]);
        default: word = {ask_remote_port_i, ask_local_port_i};
      endcase
    end
  end
  always_comb begin
    step = 32'd0;
    if (state_q == HASH) begin
      for (int i = 0; i < 32; i++) step = step ^ (word[31-i] ? key_q[319-i -: 32] : 32'd0);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) state_q <= IDLE;
    else begin
      case (state_q)
        IDLE: if (ask_valid_i) state_q <= (ask_ipv4_i || ask_ipv6_i) && key_read[320] ? HASH : SAY;
        HASH: if (word_q == words_q) state_q <= LOOK;
        LOOK: state_q <= SAY;
        default: state_q <= IDLE;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (take_key) key_mem[cfg_index_i[CONTEXT_WIDTH-1:0]] <= {cfg_data_i[0], key_in};
    if (take_table) table_mem[cfg_index_i[CONTEXT_WIDTH+1:0]] <= cfg_data_i;
    if (state_q == IDLE && ask_valid_i) begin
      none_q <= !((ask_ipv4_i || ask_ipv6_i) && key_read[320]);
      key_q <= key_read[319:0];
      hash_q <= 32'd0;
      word_q <= 4'd0;
      words_q <= (ask_ipv4_i ? 4'd1 : 4'd7) + {3'd0, ask_ports_i};
    end
    if (state_q == HASH) begin
      hash_q <= hash_q ^ step;
      key_q <= {key_q[287:0], 32'd0};
      word_q <= word_q + 4'd1;
    end
    if (state_q == LOOK) row_q <= table_mem[{ask_context_i, hash_q[6:5]}];
  end
  assign answer_valid_o = state_q == SAY;
  assign answer_hash_valid_o = !none_q;
  assign answer_hash_o = none_q ? 32'd0 : hash_q;
  assign answer_vi_o = none_q ? pst_admin_pkg::RSS_NO_VI : row_q[{hash_q[4:0], 4'd0} +: 16];
  assign quiet_o = state_q == IDLE && !ask_valid_i && !cfg_valid_i;
  assign unused_bits = 7'(cfg_data_i[7:1]);

  logic unused;
  assign unused = &{1'b0, cfg_index_i[31:CONTEXT_WIDTH+2], unused_bits};

endmodule
