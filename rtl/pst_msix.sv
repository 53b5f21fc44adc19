// BAR4: the MSI-X table and its pending bits. A masked vector's message waits in its pending bit and goes out when the
// vector is unmasked. Table and pending bits are in RAM; an operation takes two cycles and none starts meanwhile, so each
// sees the result of the one before. Packet walk: where the device interrupts the host.
module pst_msix #(
  parameter int unsigned VECTOR_COUNT = pst_contract_pkg::PST_LIMIT_MSIX_VECTOR_COUNT,  // a power of two, at least 64
  localparam int unsigned VECTOR_WIDTH = $clog2(VECTOR_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic idle_o,   // nothing in flight
  output logic quiet_o,  // ... and no register changes while the inputs stay as they are

  // Accesses to BAR4 of 4 or 8 bytes, aligned to 4. A read answers with rd_valid_o. Any other access, or a write behind the
  // table, has no effect and counts; such a read gives 0.
  input  logic        bar_valid_i,
  output logic        bar_ready_o,
  input  logic        bar_write_i,
  input  logic [15:0] bar_offset_i,
  input  logic [3:0]  bar_bytes_i,
  input  logic [63:0] bar_data_i,
  output logic        rd_valid_o,
  output logic [63:0] rd_data_o,
  output logic        count_bad_access_o,

  // Vectors to raise. One beyond the table (VECTOR_NONE) sends nothing.
  input  logic        raise_valid_i,
  output logic        raise_ready_o,
  input  logic [15:0] raise_vector_i,
  output logic        raise_done_o,  // a raise has become a message or a pending bit

  // Messages. Whoever raises a vector has seen its event's write accepted, so the message must stay behind it (R3).
  output logic                    msg_valid_o,
  input  logic                    msg_ready_i,
  output logic [VECTOR_WIDTH-1:0] msg_vector_o,
  output logic [63:0]             msg_address_o,
  output logic [31:0]             msg_data_o
);

  localparam int unsigned PENDING_WORDS = VECTOR_COUNT / 32;
  localparam int unsigned WORD_WIDTH = $clog2(PENDING_WORDS);
  localparam logic [31:0] TABLE_BYTES = VECTOR_COUNT * 16;
  localparam logic [31:0] PENDING_BYTES = VECTOR_COUNT / 8;

  // ---- The operation: chosen in one cycle, in which the RAMs are read, done in the next. An 8-byte access is one of two.
  localparam logic [1:0] OP_RAISE = 2'd0;
  localparam logic [1:0] OP_WRITE = 2'd1;
  localparam logic [1:0] OP_READ = 2'd2;
  logic                    clearing_q, busy_q, second_q;
  logic [VECTOR_WIDTH-1:0] clear_vector_q;
  logic [1:0]              op_q;
  logic [15:0]             offset_q;  // of the word
  logic [31:0]             low_q, high_q;
  logic                    two_words_q, bad_width_q, beyond_q;
  logic [VECTOR_WIDTH-1:0] vector_q;
  logic                    can_start, take_raise, take_bar, take_second;

  // Room for a message is needed before an operation starts that may send one.
  assign can_start = !clearing_q && !busy_q && (!msg_valid_o || msg_ready_i);
  assign take_second = can_start && second_q;
  assign bar_ready_o = can_start && !second_q;
  assign raise_ready_o = can_start && !second_q && !bar_valid_i;
  assign take_bar = bar_ready_o && bar_valid_i;
  assign take_raise = raise_ready_o && raise_valid_i;

  logic [15:0]             s0_offset;
  logic [VECTOR_WIDTH-1:0] s0_vector;
  logic                    s0_valid;
  logic                    width_good;
  assign width_good = (bar_bytes_i == 4'd4 || (bar_bytes_i == 4'd8 && bar_offset_i != 16'hfffc)) && bar_offset_i[1:0] == 2'd0;
  assign s0_valid = take_second || take_bar || take_raise;
  always_comb begin
    s0_offset = second_q ? offset_q + 16'd4 : bar_offset_i;
    s0_vector = s0_offset[VECTOR_WIDTH+3:4];
    if (take_raise) begin
      s0_offset = '0;
      s0_vector = raise_vector_i[VECTOR_WIDTH-1:0];
    end
  end
  // A read of pending bits: the word's place in the array; else the word with the vector's bit.
  logic                  s0_in_pending;
  logic [31:0]           s0_pending_offset;
  logic [WORD_WIDTH-1:0] s0_pending_word;
  assign s0_pending_offset = {16'd0, s0_offset} - pst_contract_pkg::PST_MSIX_PBA_OFFSET;
  assign s0_in_pending = {16'd0, s0_offset} >= pst_contract_pkg::PST_MSIX_PBA_OFFSET && s0_pending_offset < PENDING_BYTES;
  assign s0_pending_word = s0_in_pending && !take_raise ? WORD_WIDTH'(s0_pending_offset >> 2)
                                                        : WORD_WIDTH'(s0_vector >> 5);

  // ---- RAMs: four banks of a word of each entry, and the pending bits.
  logic [31:0] address_low_mem [VECTOR_COUNT];
  logic [31:0] address_high_mem [VECTOR_COUNT];
  logic [31:0] data_mem [VECTOR_COUNT];
  logic [31:0] control_mem [VECTOR_COUNT];
  logic [31:0] pending_mem [PENDING_WORDS];
  logic [31:0] address_low_q, address_high_q, data_q, control_q, pending_q;
  logic [WORD_WIDTH-1:0] pending_word_q;
  logic                  in_pending_q;

  logic                    table_write, pending_write;
  logic [31:0]             pending_next;
  logic [VECTOR_WIDTH-1:0] write_vector;
  logic [31:0]             write_word;
  logic [3:0]              write_bank;
  logic [WORD_WIDTH-1:0]   write_pending_word;
  assign table_write = busy_q && op_q == OP_WRITE && !beyond_q && !bad_width_q;
  assign write_vector = clearing_q ? clear_vector_q : vector_q;
  assign write_word = clearing_q ? 32'd0 : low_q;
  assign write_pending_word = clearing_q ? WORD_WIDTH'(clear_vector_q >> 5) : pending_word_q;
  always_comb begin
    write_bank = 4'b0000;
    if (clearing_q) write_bank = 4'b1111;
    else if (table_write) write_bank[offset_q[3:2]] = 1'b1;
  end
  always_ff @(posedge clk_i) begin
    if (s0_valid) begin
      address_low_q <= address_low_mem[s0_vector];
      address_high_q <= address_high_mem[s0_vector];
      data_q <= data_mem[s0_vector];
      control_q <= control_mem[s0_vector];
      pending_q <= pending_mem[s0_pending_word];
      pending_word_q <= s0_pending_word;
      in_pending_q <= s0_in_pending;
    end
    if (write_bank[0]) address_low_mem[write_vector] <= write_word;
    if (write_bank[1]) address_high_mem[write_vector] <= write_word;
    if (write_bank[2]) data_mem[write_vector] <= write_word;
    if (write_bank[3]) control_mem[write_vector] <= clearing_q ? 32'd1 : write_word;  // masked after reset
    if (clearing_q || pending_write) begin
      pending_mem[write_pending_word] <= clearing_q ? 32'd0 : pending_next;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_q <= 1'b1;
      clear_vector_q <= '0;
      busy_q <= 1'b0;
      second_q <= 1'b0;
    end else begin
      if (clearing_q) begin
        clear_vector_q <= clear_vector_q + 1'b1;
        clearing_q <= clear_vector_q != VECTOR_WIDTH'(VECTOR_COUNT - 1);
      end
      busy_q <= s0_valid;
      if (take_bar) second_q <= width_good && bar_bytes_i == 4'd8;
      else if (take_second) second_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (take_bar) begin
      op_q <= bar_write_i ? OP_WRITE : OP_READ;
      low_q <= bar_data_i[31:0];
      high_q <= bar_data_i[63:32];
      two_words_q <= width_good && bar_bytes_i == 4'd8;
      bad_width_q <= !width_good;
    end else if (take_second) begin
      low_q <= high_q;
    end else if (take_raise) begin
      op_q <= OP_RAISE;
    end
    if (s0_valid) begin
      offset_q <= s0_offset;
      vector_q <= s0_vector;
      beyond_q <= take_raise ? {16'd0, raise_vector_i} >= VECTOR_COUNT : {16'd0, s0_offset} >= TABLE_BYTES;
    end
  end

  // ---- Messages.
  logic [31:0] vector_bit;
  logic        raises, unmasks, sends, waits;
  assign vector_bit = 32'd1 << vector_q[4:0];
  assign raises = busy_q && op_q == OP_RAISE && !beyond_q;
  assign unmasks = table_write && offset_q[3:2] == 2'd3 && !low_q[0] && (pending_q & vector_bit) != 32'd0;
  assign waits = raises && control_q[0];
  assign sends = (raises && !control_q[0]) || unmasks;
  assign pending_write = waits || unmasks;
  assign pending_next = waits ? pending_q | vector_bit : pending_q & ~vector_bit;
  assign raise_done_o = raises;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) msg_valid_o <= 1'b0;
    else if (sends) msg_valid_o <= 1'b1;
    else if (msg_ready_i) msg_valid_o <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (sends) begin
      msg_vector_o <= vector_q;
      msg_address_o <= {address_high_q, address_low_q[31:2], 2'b00};
      msg_data_o <= data_q;
    end
  end

  // ---- Reads.
  logic [31:0] read_word, read_first_q;
  always_comb begin
    case (offset_q[3:2])
      2'd0: read_word = address_low_q;
      2'd1: read_word = address_high_q;
      2'd2: read_word = data_q;
      default: read_word = control_q;
    endcase
    if (in_pending_q) read_word = pending_q;
    else if (beyond_q) read_word = 32'd0;
    if (bad_width_q) read_word = 32'd0;
  end
  always_ff @(posedge clk_i) begin
    if (busy_q && op_q == OP_READ) read_first_q <= read_word;
  end
  assign rd_valid_o = busy_q && op_q == OP_READ && !second_q;
  assign rd_data_o = two_words_q ? {read_word, read_first_q} : {32'd0, read_word};
  assign count_bad_access_o = busy_q && op_q == OP_WRITE && (bad_width_q || beyond_q);
  assign idle_o = !clearing_q && !busy_q && !second_q && !msg_valid_o;
  assign quiet_o = idle_o && !bar_valid_i && !raise_valid_i;

`ifdef PST_FORMAL_STEPS
  `include "pst_msix_properties.svh"
`endif

endmodule
