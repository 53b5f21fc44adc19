// Protection domains: where a VI's domain addresses are in host memory, and whether they may be written (R8). Hides the
// range tables: rows of four ranges per domain, compared in parallel, a row a cycle. Packet walk: before every DMA.
module pst_translation #(
  parameter int unsigned VI_COUNT = pst_contract_pkg::PST_LIMIT_VI_COUNT_MAX,  // a power of two, at least 2
  parameter int unsigned DOMAIN_COUNT = 64,                                    // a power of two, at least 2
  localparam int unsigned CLIENT_COUNT = 3,
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  // CFG_XLAT_VI, CFG_XLAT_RANGE, CFG_XLAT_COUNT. Done when every lookup that may have seen the old state has its answer.
  input  logic                                     cfg_valid_i,
  input  logic [7:0]                               cfg_op_i,
  input  logic [31:0]                              cfg_index_i,
  input  logic [pst_admin_pkg::CFG_DATA_WIDTH-1:0] cfg_data_i,
  output logic                                     cfg_done_o,

  // Lookups; a client waits for its answer before it asks again. run: how many of the bytes asked for, at least one, the
  // range holds behind host.
  input  logic [CLIENT_COUNT-1:0]          xl_valid_i,
  output logic [CLIENT_COUNT-1:0]          xl_ready_o,
  input  logic [CLIENT_COUNT*VI_WIDTH-1:0] xl_vi_i,
  input  logic [CLIENT_COUNT*64-1:0]       xl_address_i,
  input  logic [CLIENT_COUNT*17-1:0]       xl_bytes_i,  // at least 1
  input  logic [CLIENT_COUNT-1:0]          xl_write_i,
  output logic [CLIENT_COUNT-1:0]          xl_answer_valid_o,
  output logic                             xl_ok_o,
  output logic [63:0]                      xl_host_o,
  output logic [16:0]                      xl_run_o
);

  localparam int unsigned ROW_RANGES = 4;
  localparam int unsigned ROW_WIDTH = $clog2(pst_contract_pkg::PST_LIMIT_TRANSLATION_RANGES_MAX / ROW_RANGES);
  localparam int unsigned DOMAIN_WIDTH = $clog2(DOMAIN_COUNT);
  localparam int unsigned RANGE_WIDTH = pst_admin_pkg::XLAT_RANGE_WIDTH;
  localparam int unsigned CLEAR_COUNT = VI_COUNT > DOMAIN_COUNT ? VI_COUNT : DOMAIN_COUNT;
  localparam int unsigned CLEAR_WIDTH = $clog2(CLEAR_COUNT);

  // ---- Commands wait for the clearing after reset and then for the lookups under way; no lookup starts meanwhile.
  logic                    clearing_q;
  logic [CLEAR_WIDTH-1:0]  clear_idx_q;
  logic                    cfg_waits_q, cfg_written_q;
  logic [7:0]              cfg_op_q;
  logic [31:0]             cfg_index_q;
  logic [RANGE_WIDTH-1:0]  cfg_data_q;
  logic                    is_ours, cfg_write, lookups_over;
  assign is_ours = cfg_valid_i && (cfg_op_i == pst_admin_pkg::CFG_XLAT_VI || cfg_op_i == pst_admin_pkg::CFG_XLAT_RANGE ||
                                   cfg_op_i == pst_admin_pkg::CFG_XLAT_COUNT);
  assign cfg_write = cfg_waits_q && !cfg_written_q && !clearing_q;
  assign cfg_done_o = cfg_waits_q && cfg_written_q && lookups_over;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_q <= 1'b1;
      clear_idx_q <= '0;
      cfg_waits_q <= 1'b0;
      cfg_written_q <= 1'b0;
    end else begin
      if (clearing_q) begin
        clear_idx_q <= clear_idx_q + 1'b1;
        clearing_q <= clear_idx_q != CLEAR_WIDTH'(CLEAR_COUNT - 1);
      end
      if (is_ours) cfg_waits_q <= 1'b1;
      else if (cfg_done_o) cfg_waits_q <= 1'b0;
      cfg_written_q <= cfg_waits_q && !cfg_done_o && (cfg_written_q || cfg_write);
    end
  end
  always_ff @(posedge clk_i) begin
    if (is_ours) begin
      cfg_op_q <= cfg_op_i;
      cfg_index_q <= cfg_index_i;
      cfg_data_q <= cfg_data_i[RANGE_WIDTH-1:0];
    end
  end

  // ---- Stage 0: whose turn it is; the VI's domain is read.
  logic [CLIENT_COUNT-1:0] ask, behind_q, ask_first, grant;
  logic                    s0_open, s0_valid, s0_write;
  logic [VI_WIDTH-1:0]     s0_vi;
  logic [63:0]             s0_address;
  logic [16:0]             s0_bytes;
  assign ask = {CLIENT_COUNT{s0_open}} & xl_valid_i;
  assign ask_first = (ask & behind_q) != '0 ? ask & behind_q : ask;
  assign grant = ask_first & (~ask_first + 1'b1);
  assign xl_ready_o = grant;
  assign s0_valid = grant != '0;
  always_comb begin
    {s0_vi, s0_address, s0_bytes, s0_write} = {xl_vi_i[VI_WIDTH-1:0], xl_address_i[63:0], xl_bytes_i[16:0], xl_write_i[0]};
    if (grant[1]) begin
      {s0_vi, s0_address, s0_bytes, s0_write} =
          {xl_vi_i[VI_WIDTH+:VI_WIDTH], xl_address_i[127:64], xl_bytes_i[33:17], xl_write_i[1]};
    end
    if (grant[2]) begin
      {s0_vi, s0_address, s0_bytes, s0_write} =
          {xl_vi_i[2*VI_WIDTH+:VI_WIDTH], xl_address_i[191:128], xl_bytes_i[50:34], xl_write_i[2]};
    end
  end

  // ---- Stage 1: the domain's first row is read. Stage 2: a row is compared; on a miss the next one is read, and stage 1
  // waits.
  logic                    s1_valid_q, s2_valid_q, s1_write_q, s2_write_q, again, s1_go;
  logic [CLIENT_COUNT-1:0] s1_client_q, s2_client_q;
  logic [63:0]             s1_address_q, s2_address_q;
  logic [16:0]             s1_bytes_q, s2_bytes_q;
  logic [DOMAIN_WIDTH:0]   domain_rdata_q, s2_domain_q;  // the top bit: the VI has one
  logic [ROW_WIDTH-1:0]    s2_row_q, row_next;
  logic [6:0]              count_rdata_q;
  assign s1_go = s1_valid_q && !again;
  assign s0_open = !clearing_q && !cfg_waits_q && !(s1_valid_q && again);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s1_valid_q <= 1'b0;
      s2_valid_q <= 1'b0;
      behind_q <= '0;
    end else begin
      s1_valid_q <= s0_valid || (s1_valid_q && again);
      s2_valid_q <= s1_go || again;
      if (s0_valid) behind_q <= ~(grant | (grant - 1'b1));
    end
  end
  always_ff @(posedge clk_i) begin
    if (s0_valid) {s1_client_q, s1_address_q, s1_bytes_q, s1_write_q} <= {grant, s0_address, s0_bytes, s0_write};
    if (s1_go) begin
      {s2_client_q, s2_address_q, s2_bytes_q, s2_write_q} <= {s1_client_q, s1_address_q, s1_bytes_q, s1_write_q};
      s2_domain_q <= domain_rdata_q;
    end
    if (s1_go || again) s2_row_q <= row_next;
  end

  // ---- RAMs. A lookup that reads in the cycle of a write sees the old contents; the command's end waits for it.
  logic [DOMAIN_WIDTH:0]  domain_mem [VI_COUNT];
  logic [6:0]             count_mem [DOMAIN_COUNT];
  logic                   write_domain, write_count, write_range;
  logic [DOMAIN_WIDTH-1:0] row_domain;
  assign row_domain = again ? s2_domain_q[DOMAIN_WIDTH-1:0] : domain_rdata_q[DOMAIN_WIDTH-1:0];
  assign row_next = again ? s2_row_q + 1'b1 : '0;
  assign write_domain = cfg_write && cfg_op_q == pst_admin_pkg::CFG_XLAT_VI && cfg_index_q < VI_COUNT;
  assign write_count = cfg_write && cfg_op_q == pst_admin_pkg::CFG_XLAT_COUNT && cfg_index_q < DOMAIN_COUNT;
  assign write_range = cfg_write && cfg_op_q == pst_admin_pkg::CFG_XLAT_RANGE && cfg_index_q >> 6 < DOMAIN_COUNT;
  always_ff @(posedge clk_i) begin
    if (s0_valid) domain_rdata_q <= domain_mem[s0_vi];
    if (clearing_q || write_domain) begin
      domain_mem[clearing_q ? VI_WIDTH'(clear_idx_q) : cfg_index_q[VI_WIDTH-1:0]] <=
          clearing_q ? '0 : {{16'd0, cfg_data_q[15:0]} < DOMAIN_COUNT, cfg_data_q[DOMAIN_WIDTH-1:0]};
    end
    if (s1_go) count_rdata_q <= count_mem[row_domain];
    if (clearing_q || write_count) begin
      count_mem[clearing_q ? DOMAIN_WIDTH'(clear_idx_q) : cfg_index_q[DOMAIN_WIDTH-1:0]] <= clearing_q ? 7'd0 : cfg_data_q[6:0];
    end
  end

  // ---- The ranges of a row, one bank each.
  localparam int unsigned FOUND_WIDTH = 1 + 52 + 6;
  logic [ROW_RANGES-1:0]             hit, bank_hit;
  logic [ROW_RANGES*FOUND_WIDTH-1:0] found_each;
  for (genvar bank = 0; bank < ROW_RANGES; bank++) begin : g_bank
    pst_translation_bank #(.ROW_COUNT(DOMAIN_COUNT << ROW_WIDTH)) u_bank (
      .clk_i,
      .write_i(write_range && cfg_index_q[1:0] == 2'(bank)),
      .write_row_i(cfg_index_q[DOMAIN_WIDTH+5:2]),
      .write_range_i(cfg_data_q),
      .read_i(s1_go || again),
      .read_row_i({row_domain, row_next}),
      .page_i(s2_address_q[63:12]),
      .hit_o(bank_hit[bank]),
      .writable_o(found_each[bank*FOUND_WIDTH+58]),
      .host_page_o(found_each[bank*FOUND_WIDTH+6+:52]),
      .left_pages_o(found_each[bank*FOUND_WIDTH+:6])
    );
    assign hit[bank] = bank_hit[bank] && s2_domain_q[DOMAIN_WIDTH] && {1'b0, s2_row_q, 2'(bank)} < count_rdata_q;
  end

  // ---- The answer.
  logic                   found_writable;
  logic [51:0]            found_page;
  logic [5:0]             found_pages;
  logic [17:0]            found_bytes;
  logic                   is_over;
  assign {found_writable, found_page, found_pages} =
      ({FOUND_WIDTH{hit[0]}} & found_each[0+:FOUND_WIDTH]) | ({FOUND_WIDTH{hit[1]}} & found_each[FOUND_WIDTH+:FOUND_WIDTH]) |
      ({FOUND_WIDTH{hit[2]}} & found_each[2*FOUND_WIDTH+:FOUND_WIDTH]) |
      ({FOUND_WIDTH{hit[3]}} & found_each[3*FOUND_WIDTH+:FOUND_WIDTH]);
  assign found_bytes = {found_pages, 12'd0} - {6'd0, s2_address_q[11:0]};
  assign again = s2_valid_q && hit == '0 && s2_domain_q[DOMAIN_WIDTH] && {1'b0, s2_row_q, 2'd0} + 7'd4 < count_rdata_q;
  assign is_over = s2_valid_q && !again;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) xl_answer_valid_o <= '0;
    else xl_answer_valid_o <= is_over ? s2_client_q : '0;
  end
  always_ff @(posedge clk_i) begin
    if (is_over) begin
      xl_ok_o <= hit != '0 && (found_writable || !s2_write_q);
      xl_host_o <= {found_page, s2_address_q[11:0]};
      xl_run_o <= found_bytes < {1'b0, s2_bytes_q} ? found_bytes[16:0] : s2_bytes_q;
    end
  end

  assign lookups_over = !s1_valid_q && !s2_valid_q;
  assign quiet_o = !clearing_q && !cfg_waits_q && !cfg_valid_i && lookups_over && xl_valid_i == '0 && xl_answer_valid_o == '0;

endmodule
