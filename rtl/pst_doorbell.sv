// BAR2: the windows of all VIs. Keeps the last value of each doorbell register (R1), leaves out repeated writes (R2) and tells the
// block that a doorbell is for, in the order in which they were written. Holds the PIO pages. Hides that registers and pages are in
// RAM: a bit for each says whether it has been written in this life. Packet walk: where a send reaches the device.
module pst_doorbell #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,  // a power of two, at least 2
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,  // no register changes while the inputs stay as they are

  // Lives of VIs. CFG_VI_START clears and opens a window; LIFE_HALT leaves only the doorbells of the event queue, LIFE_STOP none.
  // life_done_o: no doorbell that was accepted before is still in here.
  input  logic                                     cfg_valid_i,
  input  logic [7:0]                               cfg_op_i,
  input  logic [31:0]                              cfg_index_i,
  input  logic [pst_admin_pkg::CFG_DATA_WIDTH-1:0] cfg_data_i,
  input  logic                                     life_valid_i,
  input  logic                                     life_op_i,
  input  logic [VI_WIDTH-1:0]                      life_vi_i,
  output logic                                     life_done_o,

  // Accesses of the host, in their order: 4 or 8 bytes to a register, up to 64 of one line to a PIO page. A read of at most 8 bytes
  // is answered with rd_valid; what reaches nothing reads as 0.
  input  logic         dbm_valid_i,
  output logic         dbm_ready_o,
  input  logic         dbm_write_i,
  input  logic [23:0]  dbm_offset_i,
  input  logic [6:0]   dbm_bytes_i,
  input  logic [511:0] dbm_data_i,
  output logic         dbm_rd_valid_o,
  output logic [63:0]  dbm_rd_data_o,

  // To pst_desc_fetch (its db_).
  output logic                ring_valid_o,
  input  logic                ring_ready_i,
  output logic [1:0]          ring_op_o,
  output logic                ring_rx_o,
  output logic [VI_WIDTH-1:0] ring_vi_o,
  output logic [31:0]         ring_producer_idx_o,
  output logic [127:0]        ring_desc_o,
  // To pst_event_queue (its db_).
  output logic                evq_valid_o,
  input  logic                evq_ready_i,
  output logic                evq_prime_o,
  output logic [VI_WIDTH-1:0] evq_vi_o,
  output logic [31:0]         evq_consumer_idx_o,
  output logic [15:0]         evq_sequence_o,
  // To pst_timer.
  output logic                arm_valid_o,
  input  logic                arm_ready_i,
  output logic [VI_WIDTH-1:0] arm_vi_o,
  output logic [31:0]         arm_delay_ns_o,
  output logic [15:0]         arm_sequence_o,
  // A doorbell that is not offered halts its VI: UNSUPPORTED, index is the producer index.
  output logic                halt_valid_o,
  input  logic                halt_ready_i,
  output logic [VI_WIDTH-1:0] halt_vi_o,
  output logic [3:0]          halt_source_o,
  output logic [15:0]         halt_code_o,
  output logic [31:0]         halt_index_o,

  // PIO pages for pst_tx_dma: the line comes one cycle later.
  input  logic                pio_rd_valid_i,
  input  logic [VI_WIDTH-1:0] pio_rd_vi_i,
  input  logic [5:0]          pio_rd_line_i,
  output logic [511:0]        pio_rd_data_o,

  output logic count_bad_access_o,
  output logic count_ignored_o  // a doorbell or a write to the page of a VI that does not run
);

  localparam logic [3:0] REG_RX = pst_contract_pkg::PST_VI_RX_DOORBELL_OFFSET[6:3];
  localparam logic [3:0] REG_TX = pst_contract_pkg::PST_VI_TX_DOORBELL_OFFSET[6:3];
  localparam logic [3:0] REG_CONSUMER = pst_contract_pkg::PST_VI_EVQ_CONSUMER_OFFSET[6:3];
  localparam logic [3:0] REG_PRIME = pst_contract_pkg::PST_VI_EVQ_PRIME_OFFSET[6:3];
  localparam logic [3:0] REG_TIMER = pst_contract_pkg::PST_VI_TIMER_OFFSET[6:3];
  localparam logic [3:0] REG_PIO = pst_contract_pkg::PST_VI_PIO_DOORBELL_OFFSET[6:3];
  localparam logic [3:0] REG_PUSH_LO = pst_contract_pkg::PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET[6:3];
  localparam logic [3:0] REG_PUSH_HI = pst_contract_pkg::PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET[6:3];
  localparam logic [3:0] REG_PUSH = pst_contract_pkg::PST_VI_TX_PUSH_DOORBELL_OFFSET[6:3];

  localparam logic [1:0] LIFE_FREE = 2'd0;
  localparam logic [1:0] LIFE_RUNNING = 2'd1;
  localparam logic [1:0] LIFE_HALTED = 2'd2;
  typedef struct packed {
    logic [1:0]  life;
    logic        push_offered;
    logic        pio_offered;
    logic [15:0] written;  // registers that do not read as 0
  } window_t;
  localparam int unsigned WINDOW_WIDTH = 20;

  // ---- An access is read from the RAMs in one cycle and done in the next, in which none starts; a push needs two more.
  localparam logic [2:0] ST_IDLE = 3'd0;
  localparam logic [2:0] ST_ACCESS = 3'd1;
  localparam logic [2:0] ST_PUSH_LO = 3'd2;
  localparam logic [2:0] ST_PUSH_HI = 3'd3;
  localparam logic [2:0] ST_LIFE = 3'd4;
  logic [2:0]          state_q;
  logic                clearing_q;  // after reset each window is closed
  logic [VI_WIDTH-1:0] clear_vi_q;
  logic                write_q, exists_q, beyond_q;
  logic [VI_WIDTH-1:0] vi_q;
  logic [12:0]         offset_q;
  logic [6:0]          bytes_q;
  logic [511:0]        data_q;
  logic                life_q, life_op_q, open_q;
  logic [VI_WIDTH-1:0] life_vi_q, open_vi_q;
  logic [1:0]          open_offered_q;
  logic                take, take_life, s0_pio, out_valid_q, out_free, stall, done;

  assign s0_pio = dbm_offset_i[12];
  assign take_life = state_q == ST_IDLE && life_q && !out_valid_q && !clearing_q;
  assign dbm_ready_o = state_q == ST_IDLE && !clearing_q && !life_q && !(s0_pio && pio_rd_valid_i);
  assign take = dbm_ready_o && dbm_valid_i;

  // ---- RAMs: the window's state, its registers, its PIO page.
  logic [WINDOW_WIDTH-1:0] window_mem [VI_COUNT];
  logic [WINDOW_WIDTH-1:0] window_rdata_q;
  logic [63:0]             register_mem [VI_COUNT * 16];
  logic [63:0]             register_q, register_after;
  logic [511:0]            pio_line;
  window_t                 window, window_after;
  logic                    window_write, register_write, pio_write, open_now, register_read;
  logic [VI_WIDTH+3:0]     register_address;
  assign window = window_rdata_q;
  assign open_now = open_q && !window_write;
  always_comb begin
    register_read = take;
    register_address = {dbm_offset_i[13 +: VI_WIDTH], dbm_offset_i[6:3]};
    if (state_q == ST_ACCESS) begin
      register_read = 1'b1;
      register_address = {vi_q, REG_PUSH_LO};
    end else if (state_q == ST_PUSH_LO) begin
      register_read = 1'b1;
      register_address = {vi_q, REG_PUSH_HI};
    end
  end
  always_ff @(posedge clk_i) begin
    if (take || take_life) window_rdata_q <= window_mem[take ? dbm_offset_i[13 +: VI_WIDTH] : life_vi_q];
    if (clearing_q) window_mem[clear_vi_q] <= '0;
    else if (window_write) window_mem[vi_q] <= window_after;
    else if (open_now) window_mem[open_vi_q] <= {LIFE_RUNNING, open_offered_q, 16'd0};
    if (register_read && !stall) register_q <= register_mem[register_address];
    if (register_write) register_mem[{vi_q, offset_q[6:3]}] <= register_after;
  end
  pst_pio_page #(.VI_COUNT(VI_COUNT)) u_page (
    .clk_i,
    .clear_valid_i(clearing_q || open_now),
    .clear_vi_i(clearing_q ? clear_vi_q : open_vi_q),
    .read_valid_i(pio_rd_valid_i || (take && s0_pio)),
    .read_vi_i(pio_rd_valid_i ? pio_rd_vi_i : dbm_offset_i[13 +: VI_WIDTH]),
    .read_line_i(pio_rd_valid_i ? pio_rd_line_i : dbm_offset_i[11:6]),
    .line_o(pio_line),
    .write_valid_i(pio_write),
    .write_lane_i(offset_q[5:0]),
    .write_bytes_i(bytes_q),
    .write_data_i(data_q)
  );
  assign pio_rd_data_o = pio_line;

  always_ff @(posedge clk_i) begin
    if (take) begin
      write_q <= dbm_write_i;
      exists_q <= 32'(dbm_offset_i[22:13]) < VI_COUNT;
      beyond_q <= 32'(dbm_offset_i) >= pst_contract_pkg::PST_BAR_VI_SIZE;
      vi_q <= dbm_offset_i[13 +: VI_WIDTH];
      offset_q <= dbm_offset_i[12:0];
      bytes_q <= dbm_bytes_i;
      if (dbm_write_i && s0_pio) data_q <= dbm_data_i;
      else data_q[63:0] <= dbm_data_i[63:0];
    end else if (take_life) begin
      vi_q <= life_vi_q;
    end
  end

  // ---- What the access means.
  logic        bad, is_pio, rings, access, write_good, active, passes, effect, unsupported, is_push, needs_out;
  logic [3:0]  register_idx;
  logic [63:0] register_before, register_read_value;
  assign register_before = exists_q && window.written[offset_q[6:3]] ? register_q : 64'd0;
  pst_doorbell_check u_check (
    .offset_i(offset_q),
    .bytes_i(bytes_q),
    .data_i(data_q[63:0]),
    .before_i(register_before),
    .bad_o(bad),
    .pio_o(is_pio),
    .after_o(register_after),
    .rings_o(rings),
    .register_o(register_idx),
    .read_o(register_read_value)
  );
  assign access = state_q == ST_ACCESS;
  assign active = exists_q && window.life != LIFE_FREE;
  assign write_good = access && write_q && !beyond_q && !bad && active;
  assign passes = window.life == LIFE_RUNNING || register_idx == REG_CONSUMER || register_idx == REG_PRIME;
  assign effect = write_good && !is_pio && rings && passes && register_idx != REG_PUSH_LO && register_idx != REG_PUSH_HI;
  assign is_push = register_idx == REG_PUSH;
  assign unsupported = (is_push && !window.push_offered) || (register_idx == REG_PIO && !window.pio_offered);
  assign out_free = !out_valid_q || (ring_valid_o && ring_ready_i) || (evq_valid_o && evq_ready_i) ||
                    (arm_valid_o && arm_ready_i) || (halt_valid_o && halt_ready_i);
  assign needs_out = (effect && !(is_push && !unsupported)) || state_q == ST_PUSH_HI;
  assign stall = needs_out && !out_free;
  assign done = access && !stall;

  assign register_write = write_good && !is_pio && !stall;
  assign pio_write = write_good && is_pio;
  assign window_write = register_write || pio_write || state_q == ST_LIFE;
  always_comb begin
    window_after = window;
    if (state_q == ST_LIFE) begin
      if (life_op_q == pst_admin_pkg::LIFE_STOP) window_after.life = LIFE_FREE;
      else if (window.life == LIFE_RUNNING) window_after.life = LIFE_HALTED;
    end else if (!is_pio) begin
      window_after.written[offset_q[6:3]] = 1'b1;
    end
  end
  assign count_bad_access_o = access && write_q && (beyond_q || bad);
  assign count_ignored_o = done && write_q && !beyond_q && !bad && (!active || (!is_pio && rings && !passes));
  assign life_done_o = state_q == ST_LIFE;

  // ---- Reads.
  logic [63:0] pio_word, pio_next_word, pio_value;
  assign pio_next_word = offset_q[5:3] == 3'd7 ? 64'd0 : pio_line[{offset_q[5:3] + 3'd1, 6'd0} +: 64];
  assign pio_word = 64'({pio_next_word, pio_line[{offset_q[5:3], 6'd0} +: 64]} >> {offset_q[2:0], 3'd0});
  always_comb begin
    case (bytes_q)
      7'd1: pio_value = {56'd0, pio_word[7:0]};
      7'd2: pio_value = {48'd0, pio_word[15:0]};
      7'd4: pio_value = {32'd0, pio_word[31:0]};
      7'd8: pio_value = pio_word;
      default: pio_value = 64'd0;
    endcase
  end
  assign dbm_rd_valid_o = access && !write_q;
  always_comb begin
    dbm_rd_data_o = 64'd0;
    if (dbm_rd_valid_o && exists_q && !beyond_q) dbm_rd_data_o = !is_pio ? register_read_value : bad ? 64'd0 : pio_value;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= ST_IDLE;
      clearing_q <= 1'b1;
      clear_vi_q <= '0;
    end else begin
      if (clearing_q) begin
        clear_vi_q <= clear_vi_q + 1'b1;
        clearing_q <= clear_vi_q != VI_WIDTH'(VI_COUNT - 1);
      end
      case (state_q)
        ST_IDLE: if (take_life) state_q <= ST_LIFE;
                 else if (take) state_q <= ST_ACCESS;
        ST_ACCESS: if (!stall) state_q <= effect && is_push && !unsupported ? ST_PUSH_LO : ST_IDLE;
        ST_PUSH_LO: state_q <= ST_PUSH_HI;
        ST_PUSH_HI: if (!stall) state_q <= ST_IDLE;
        default: state_q <= ST_IDLE;
      endcase
    end
  end

  // ---- What leaves: one doorbell, to one of four.
  localparam logic [1:0] TO_RINGS = 2'd0;
  localparam logic [1:0] TO_EVQ = 2'd1;
  localparam logic [1:0] TO_TIMER = 2'd2;
  localparam logic [1:0] TO_HALT = 2'd3;
  logic [1:0]          out_to_q, out_op_q, out_to;
  logic [VI_WIDTH-1:0] out_vi_q;
  logic                out_flag_q;  // an RX ring; a prime
  logic [31:0]         out_idx_q;
  logic [127:0]        out_data_q;  // descriptor; sequence in the low bits
  logic [63:0]         push_lo_q;
  logic [127:0]        pio_desc;
  always_comb begin
    case (register_idx)
      REG_CONSUMER, REG_PRIME: out_to = TO_EVQ;
      REG_TIMER: out_to = TO_TIMER;
      default: out_to = unsupported ? TO_HALT : TO_RINGS;
    endcase
  end
  // The descriptor that the frame stands for carries its place in the page instead of an address.
  always_comb begin
    pio_desc = '0;
    pio_desc[pst_contract_pkg::PST_TX_DESC_ADDRESS_LSB +: 64] = {52'd0,
        register_after[pst_contract_pkg::PST_VI_PIO_DOORBELL_OFFSET_BYTES_LSB +: 12]};
    pio_desc[pst_contract_pkg::PST_TX_DESC_LENGTH_BYTES_LSB +: 16] = {2'd0,
        register_after[pst_contract_pkg::PST_VI_PIO_DOORBELL_LENGTH_BYTES_LSB +: 14]};
    pio_desc[pst_contract_pkg::PST_TX_DESC_END_OF_PACKET_LSB] = 1'b1;
    pio_desc[pst_contract_pkg::PST_TX_DESC_CHECKSUM_L3_LSB] = register_after[pst_contract_pkg::PST_VI_PIO_DOORBELL_CHECKSUM_L3_LSB];
    pio_desc[pst_contract_pkg::PST_TX_DESC_CHECKSUM_L4_LSB] = register_after[pst_contract_pkg::PST_VI_PIO_DOORBELL_CHECKSUM_L4_LSB];
    pio_desc[pst_contract_pkg::PST_TX_DESC_COMPLETE_LSB] = register_after[pst_contract_pkg::PST_VI_PIO_DOORBELL_COMPLETE_LSB];
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) out_valid_q <= 1'b0;
    else if (needs_out && !stall) out_valid_q <= 1'b1;
    else if (out_free) out_valid_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (state_q == ST_PUSH_LO) push_lo_q <= window.written[REG_PUSH_LO] ? register_q : 64'd0;
    if (needs_out && !stall) begin
      out_to_q <= out_to;
      out_vi_q <= vi_q;
      out_idx_q <= data_q[31:0];
      out_op_q <= is_push ? 2'(pst_desc_fetch_pkg::OP_PUSH) : register_idx == REG_PIO ? 2'(pst_desc_fetch_pkg::OP_PIO)
                                                                                    : 2'(pst_desc_fetch_pkg::OP_DOORBELL);
      out_flag_q <= register_idx == REG_RX || register_idx == REG_PRIME;
      if (register_idx != REG_RX && register_idx != REG_TX && register_idx != REG_CONSUMER) begin
        out_idx_q <= is_push ? data_q[31:0] : register_after[31:0];
        if (is_push) out_data_q <= {window.written[REG_PUSH_HI] ? register_q : 64'd0, push_lo_q};
        else out_data_q <= register_idx == REG_PIO ? pio_desc : {112'd0, register_after[47:32]};
      end
    end
  end
  assign ring_valid_o = out_valid_q && out_to_q == TO_RINGS;
  assign ring_op_o = out_op_q;
  assign ring_rx_o = out_flag_q;
  assign ring_vi_o = out_vi_q;
  assign ring_producer_idx_o = out_idx_q;
  assign ring_desc_o = out_data_q;
  assign evq_valid_o = out_valid_q && out_to_q == TO_EVQ;
  assign evq_prime_o = out_flag_q;
  assign evq_vi_o = out_vi_q;
  assign evq_consumer_idx_o = out_idx_q;
  assign evq_sequence_o = out_data_q[15:0];
  assign arm_valid_o = out_valid_q && out_to_q == TO_TIMER;
  assign arm_vi_o = out_vi_q;
  assign arm_delay_ns_o = out_idx_q;
  assign arm_sequence_o = out_data_q[15:0];
  assign halt_valid_o = out_valid_q && out_to_q == TO_HALT;
  assign halt_vi_o = out_vi_q;
  assign halt_source_o = pst_contract_pkg::PST_ERROR_SOURCE_DOORBELL;
  assign halt_code_o = pst_contract_pkg::PST_ERROR_CODE_UNSUPPORTED;
  assign halt_index_o = out_idx_q;

  // ---- Lives.
  pst_admin_pkg::vi_start_t start;
  logic                     starts;
  assign start = cfg_data_i[pst_admin_pkg::VI_START_WIDTH-1:0];
  assign starts = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_VI_START;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      life_q <= 1'b0;
      open_q <= 1'b0;
    end else begin
      if (life_valid_i) life_q <= 1'b1;
      else if (take_life) life_q <= 1'b0;
      if (starts) open_q <= 1'b1;
      else if (open_now) open_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (starts) begin
      open_vi_q <= cfg_index_i[VI_WIDTH-1:0];
      open_offered_q <= {start.push_offered, start.pio_offered};
    end
    if (life_valid_i) begin
      life_vi_q <= life_vi_i;
      life_op_q <= life_op_i;
    end
  end

  assign quiet_o = state_q == ST_IDLE && !clearing_q && !out_valid_q && !life_q && !open_q && !dbm_valid_i && !cfg_valid_i &&
                   !life_valid_i && !pio_rd_valid_i;

endmodule
