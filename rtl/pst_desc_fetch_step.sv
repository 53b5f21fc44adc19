// One operation on one descriptor ring: context before it in, context after it and what is to be done out. Combinational;
// pst_desc_fetch keeps contexts and cache. Rules R2 and R12, and the doorbells RX, TX, TX_PUSH and PIO of the contract.
module pst_desc_fetch_step #(
  parameter int unsigned CACHE_DEPTH = 64,
  parameter int unsigned TX_BATCH = 16,
  parameter int unsigned RX_BATCH = 32
) (
  input  logic [3:0]                                   op_i,
  input  logic                                         rx_i,  // an RX ring
  input  logic [pst_desc_fetch_pkg::PAYLOAD_WIDTH-1:0] payload_i,
  input  logic [pst_desc_fetch_pkg::CONTEXT_WIDTH-1:0] context_i,

  output logic [pst_desc_fetch_pkg::CONTEXT_WIDTH-1:0] context_o,
  output logic                                         read_o,   // read count_o descriptors from context_i.fetch_idx on
  output logic [63:0]                                  read_address_o,
  output logic [7:0]                                   read_count_o,
  output logic                                         store_o,  // put the payload's descriptor into the cache
  output logic [31:0]                                  store_idx_o,
  output logic                                         found_o,  // OP_POP: the descriptor at context_i.head_idx
  output logic                                         more_o,   // ... and there is another one behind it
  output logic                                         posted_o, // OP_POP: none here, but some have been posted
  output logic                                         halt_o,
  output logic [3:0]                                   halt_source_o,
  output logic [15:0]                                  halt_code_o,
  output logic [31:0]                                  halt_index_o,
  output logic                                         stopped_o,  // nothing of the ring is in flight any more
  output logic                                         ignored_o,  // a doorbell of a ring that does not run
  output logic                                         visit_o     // OP_FETCH is to have a look
);

  pst_desc_fetch_pkg::context_t now, after;
  assign now = context_i;
  assign context_o = after;

  logic [31:0] index;
  logic [15:0] code;
  logic [11:0] pio_offset;
  logic [15:0] pio_bytes;
  assign index = payload_i[159:128];
  assign code = payload_i[143:128];
  assign pio_offset = payload_i[pst_contract_pkg::PST_TX_DESC_ADDRESS_LSB +: 12];
  assign pio_bytes = payload_i[pst_contract_pkg::PST_TX_DESC_LENGTH_BYTES_LSB +: 16];

  logic [31:0] entries, used, posted, arrived_idx, arrived_count;
  logic        fresh;  // what the read in flight brings is this life's
  assign entries = 32'd1 << now.entries_log2;
  assign used = index - now.consumer_idx;
  assign posted = now.producer_idx - now.consumer_idx;
  assign fresh = now.running && !now.stale;
  assign arrived_idx = now.stale ? now.fetch_idx : now.fetch_idx - {24'd0, now.pending_count};
  assign arrived_count = arrived_idx - now.head_idx;

  // Doorbells. Push and PIO: one packet ahead of a ring whose packets are all completed.
  logic repeated, next_is_free, beyond_page, plain_good, push_good;
  assign repeated = index == now.producer_idx;
  assign next_is_free = posted == 32'd0 && used == 32'd1;
  assign beyond_page = {20'd0, pio_offset} + {16'd0, pio_bytes} > 32'(pst_contract_pkg::PST_LIMIT_PIO_BYTES);
  assign plain_good = used <= entries && used >= posted;
  assign push_good = next_is_free && payload_i[pst_contract_pkg::PST_TX_DESC_END_OF_PACKET_LSB] &&
                     !(op_i == pst_desc_fetch_pkg::OP_PIO && beyond_page);

  // A read: what is posted, up to a batch, and not across the end of a page or of the ring. It waits for room rather than
  // fetch crumbs, but never while the cache may hold less than one whole packet.
  logic [31:0] available, wanted, cached, space, span, to_end, count;
  logic        reads;
  assign available = now.producer_idx - now.fetch_idx;
  assign cached = now.fetch_idx - now.head_idx;
  assign space = CACHE_DEPTH - cached;
  assign span = now.entries_log2 > 4'd8 ? 32'd256 : entries;  // descriptors of a page
  assign to_end = span - (now.fetch_idx & (span - 32'd1));
  always_comb begin
    wanted = rx_i ? RX_BATCH : TX_BATCH;
    if (available < wanted) wanted = available;
    count = wanted;
    if (space < count) count = space;
    if (to_end < count) count = to_end;
    reads = now.running && now.pending_count == 8'd0 && count != 32'd0 &&
            !(space < wanted && cached > 32'(pst_contract_pkg::PST_LIMIT_TX_FRAGMENTS_MAX) + 32'd1);
  end
  assign read_address_o = now.address + {28'd0, now.fetch_idx & (entries - 32'd1), 4'd0};
  assign read_count_o = count[7:0];

  always_comb begin
    after = now;
    read_o = 1'b0;
    store_o = 1'b0;
    store_idx_o = arrived_idx;
    found_o = 1'b0;
    halt_o = 1'b0;
    halt_source_o = pst_contract_pkg::PST_ERROR_SOURCE_DOORBELL;
    halt_code_o = pst_contract_pkg::PST_ERROR_CODE_BAD_DOORBELL;
    halt_index_o = index;
    stopped_o = 1'b0;
    ignored_o = 1'b0;
    case (op_i)
      pst_desc_fetch_pkg::OP_DOORBELL: begin
        ignored_o = !now.running;
        halt_o = now.running && !plain_good;
        if (now.running && plain_good) after.producer_idx = index;
      end
      pst_desc_fetch_pkg::OP_PUSH, pst_desc_fetch_pkg::OP_PIO: begin
        ignored_o = !now.running;
        halt_o = now.running && !repeated && !push_good;
        store_o = now.running && !repeated && push_good;
        if (store_o) begin
          after.producer_idx = index;
          after.fetch_idx = index;
        end
      end
      pst_desc_fetch_pkg::OP_RESPONSE: begin
        if (now.pending_count != 8'd0) begin
          after.pending_count = code != 16'd0 ? 8'd0 : now.pending_count - 8'd1;
          store_o = fresh && code == 16'd0;
          halt_o = fresh && code != 16'd0;
          halt_source_o = rx_i ? pst_contract_pkg::PST_ERROR_SOURCE_RX : pst_contract_pkg::PST_ERROR_SOURCE_TX;
          halt_code_o = code;
          halt_index_o = arrived_idx;
          if (after.pending_count == 8'd0) begin
            after.stale = 1'b0;
            after.stop_owed = 1'b0;
            stopped_o = now.stop_owed;
          end
        end
      end
      pst_desc_fetch_pkg::OP_POP: begin
        found_o = now.running && arrived_count != 32'd0;
        if (found_o) after.head_idx = now.head_idx + 32'd1;
      end
      pst_desc_fetch_pkg::OP_DONE: begin
        if (now.running && used <= now.head_idx - now.consumer_idx) after.consumer_idx = index;
      end
      pst_desc_fetch_pkg::OP_FETCH: begin
        read_o = reads;
        if (reads) begin
          after.fetch_idx = now.fetch_idx + count;
          after.pending_count = count[7:0];
        end
      end
      pst_desc_fetch_pkg::OP_START: begin
        after.address = payload_i[63:0];
        after.entries_log2 = payload_i[67:64];
        after.running = 1'b1;
        after.producer_idx = 32'd0;
        after.consumer_idx = 32'd0;
        after.head_idx = 32'd0;
        after.fetch_idx = 32'd0;
        after.stale = now.pending_count != 8'd0;
      end
      pst_desc_fetch_pkg::OP_STOP: begin
        after.running = 1'b0;
        stopped_o = now.pending_count == 8'd0;
        after.stop_owed = now.pending_count != 8'd0;
      end
      default: ;
    endcase
    if (halt_o) after.running = 1'b0;
  end
  assign more_o = arrived_count > 32'd1;
  assign posted_o = now.running && arrived_count == 32'd0 && now.producer_idx != now.head_idx;
  assign visit_o = op_i != pst_desc_fetch_pkg::OP_FETCH && after.running && after.pending_count == 8'd0 &&
                   after.fetch_idx != after.producer_idx;

endmodule
