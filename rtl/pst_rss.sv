// Receive-side scaling: Toeplitz hash of a frame's addresses and ports with a context's key, 64 bits of input a cycle, and the
// context's table, which names the VI. The hash is the one of the published Microsoft RSS specification. Packet walk: inside the
// receive filter, for filters that spread.
module pst_rss (
  input  logic clk_i,
  input  logic rst_ni,
  output logic idle_o,

  // Commands, while idle. Layouts: pst_admin_pkg.
  input  logic         key_write_i,
  input  logic         table_write_i,
  input  logic [7:0]   index_i,  // context, or {context, block}
  input  logic [511:0] data_i,

  // A frame, while idle; its fields stay as they are until done.
  input  logic         start_i,
  input  logic [5:0]   context_i,
  input  logic [1:0]   l3_class_i,
  input  logic         has_ports_i,
  input  logic [127:0] remote_address_i,  // byte 0 in bits 7..0
  input  logic [127:0] local_address_i,
  input  logic [15:0]  remote_port_i,
  input  logic [15:0]  local_port_i,

  output logic         done_o,  // pulse, with:
  output logic         hash_valid_o,
  output logic [31:0]  hash_o,
  output logic [15:0]  vi_o  // RSS_NO_VI: the filter's own
);

  localparam int unsigned CONTEXT_COUNT = pst_contract_pkg::PST_LIMIT_RSS_CONTEXT_COUNT_MAX;
  localparam int unsigned KEY_WIDTH = 8 * pst_contract_pkg::PST_LIMIT_RSS_KEY_BYTES;
  localparam int unsigned BLOCK_ENTRIES = 32;
  localparam int unsigned BLOCK_COUNT = pst_contract_pkg::PST_LIMIT_RSS_INDIRECTION_ENTRIES / BLOCK_ENTRIES;

  localparam logic [1:0] IDLE = 2'd0;
  localparam logic [1:0] HASH = 2'd1;
  localparam logic [1:0] LOOKUP = 2'd2;
  localparam logic [1:0] DONE = 2'd3;
  logic [1:0] state_q;
  logic       spreads_q;  // the context is configured and the frame is IP
  logic [2:0] step_q, steps_q;
  logic [5:0] context_q;
  assign idle_o = state_q == IDLE;

  function automatic logic [127:0] network_order(input logic [127:0] address);
    for (int i = 0; i < 16; i++) network_order[8*(15-i) +: 8] = address[8*i +: 8];
  endfunction

  // ---- Keys, first bit highest, and tables.
  logic [CONTEXT_COUNT-1:0] configured_q;
  logic [KEY_WIDTH-1:0]     key_mem [CONTEXT_COUNT];
  logic [511:0]             table_mem [CONTEXT_COUNT * BLOCK_COUNT];
  logic [KEY_WIDTH-1:0]     key_q, key_written;
  logic [511:0]             block_q;
  always_comb begin
    key_written = '0;
    if (key_write_i) begin
      for (int i = 0; i < KEY_WIDTH / 8; i++) key_written[KEY_WIDTH-8-8*i +: 8] = data_i[8+8*i +: 8];
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) configured_q <= '0;
    else if (key_write_i) configured_q[index_i[5:0]] <= data_i[0];
  end
  always_ff @(posedge clk_i) begin
    if (key_write_i) key_mem[index_i[5:0]] <= key_written;
    if (table_write_i) table_mem[index_i] <= data_i;
    if (start_i) key_q <= key_mem[context_i];
    if (state_q == LOOKUP) block_q <= table_mem[{context_q, hash_o[6:5]}];
  end

  // ---- Input in network order, 64 bits a step: source, destination, ports.
  logic [127:0] source, destination;
  always_comb begin
    source = '0;
    destination = '0;
    if (state_q == HASH) begin
      source = network_order(remote_address_i);
      destination = network_order(local_address_i);
    end
  end
  logic        is_ipv4, is_ipv6;
  logic [63:0] piece;
  logic [94:0] window;  // of the key: each bit of the piece has the 32 bits that begin at its place
  logic [31:0] piece_hash;
  assign is_ipv4 = l3_class_i == pst_contract_pkg::PST_L3_CLASS_IPV4;
  assign is_ipv6 = l3_class_i == pst_contract_pkg::PST_L3_CLASS_IPV6;
  always_comb begin
    piece = '0;
    window = '0;
    piece_hash = '0;
    if (state_q == HASH) begin
      case (step_q)
        3'd0: window = key_q[KEY_WIDTH-1 -: 95];
        3'd1: window = key_q[KEY_WIDTH-65 -: 95];
        3'd2: window = key_q[KEY_WIDTH-129 -: 95];
        3'd3: window = key_q[KEY_WIDTH-193 -: 95];
        default: window = {key_q[63:0], 31'd0};
      endcase
      if (is_ipv4) piece = step_q == 3'd0 ? {source[127:96], destination[127:96]} : {remote_port_i, local_port_i, 32'd0};
      else begin
        case (step_q)
          3'd0: piece = source[127:64];
          3'd1: piece = source[63:0];
          3'd2: piece = destination[127:64];
          3'd3: piece = destination[63:0];
          default: piece = {remote_port_i, local_port_i, 32'd0};
        endcase
      end
      for (int i = 0; i < 64; i++) begin
        if (piece[63-i]) piece_hash = piece_hash ^ window[94-i -: 32];
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= IDLE;
    end else begin
      case (state_q)
        IDLE: if (start_i) state_q <= configured_q[context_i] && (is_ipv4 || is_ipv6) ? HASH : DONE;
        HASH: if (step_q == steps_q) state_q <= LOOKUP;
        LOOKUP: state_q <= DONE;
        default: state_q <= IDLE;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      context_q <= context_i;
      spreads_q <= configured_q[context_i] && (is_ipv4 || is_ipv6);
      hash_o <= '0;
      step_q <= '0;
      steps_q <= is_ipv4 ? {2'd0, has_ports_i} : 3'd3 + {2'd0, has_ports_i};
    end else if (state_q == HASH) begin
      hash_o <= hash_o ^ piece_hash;
      step_q <= step_q + 1'b1;
    end
  end
  assign done_o = state_q == DONE;
  assign hash_valid_o = spreads_q;
  assign vi_o = spreads_q ? block_q[{hash_o[4:0], 4'd0} +: 16] : pst_admin_pkg::RSS_NO_VI;

endmodule
