// Steers good frames: looks up the kinds of filters one after the other in the contract's order, a probe a cycle, and hands a copy
// of the frame to the receive DMA for each filter of what matches first and for each sniffer (R9). Commands change the table
// between two frames. Packet walk: between the receive parser and the receive DMA.
module pst_rx_filter (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  // Commands of the firmware; the next one comes after cfg_done_o. CFG_PORT is seen, pst_mac_port answers it.
  input  logic         cfg_valid_i,
  input  logic [7:0]   cfg_op_i,
  input  logic [31:0]  cfg_index_i,
  input  logic [511:0] cfg_data_i,
  output logic         cfg_done_o,

  // Parser.
  input  logic                                     pf_valid_i,
  output logic                                     pf_ready_o,
  input  logic [pst_rx_parser_pkg::META_WIDTH-1:0] pf_meta_i,  // meta_t

  // Receive buffer: for how many copies a frame stays; 0 frees it.
  output logic        hold_valid_o,
  input  logic        hold_ready_i,
  output logic [11:0] hold_frame_o,
  output logic [7:0]  hold_cells_o,
  output logic [12:0] hold_copies_o,

  // Receive DMA: one beat per copy.
  output logic        st_valid_o,
  input  logic        st_ready_i,
  output logic [15:0] st_vi_o,
  output logic [15:0] st_filter_id_o,
  output logic [11:0] st_frame_o,
  output logic [13:0] st_bytes_o,
  output logic [63:0] st_time_ns_o,
  output logic        st_hash_valid_o,
  output logic [31:0] st_hash_o,
  output logic [1:0]  st_vlan_count_o,
  output logic [15:0] st_vlan_tci_o,
  output logic [63:0] st_event_o,  // first word of the RX event
  output logic [15:0] st_id_o,

  output logic        drop_valid_o,
  output logic [3:0]  drop_reason_o,
  output logic        count_copy_o  // a copy beyond a frame's first
);

  localparam int unsigned SLOT_COUNT = 1 << pst_rx_filter_pkg::SLOT_INDEX_WIDTH;
  localparam int unsigned FILTER_COUNT = pst_contract_pkg::PST_LIMIT_FILTER_COUNT_MAX;
  localparam int unsigned ID_WIDTH = $clog2(FILTER_COUNT);
  localparam int unsigned KEY_WIDTH = pst_rx_filter_pkg::KEY_WIDTH;
  localparam logic [4:0] PROBE_MAX = 5'(pst_contract_pkg::PST_LIMIT_FILTER_PROBE_MAX);

  // Lookups of a frame, in their order: whether a MAC filter names its address, then kinds 0 to 6, then sniffers.
  localparam int unsigned OURS_MAC = 0;
  localparam int unsigned OURS_MAC_VLAN = 1;
  localparam int unsigned KINDS = 2;
  localparam int unsigned SNIFF = 9;
  localparam logic [9:0] OURS_MASK = 10'h003;
  localparam logic [9:0] KINDS_MASK = 10'h1fc;
  localparam logic [9:0] SNIFF_MASK = 10'h200;

  localparam logic [3:0] IDLE = 4'd0;    // takes a frame or a command
  localparam logic [3:0] KEY = 4'd1;     // of the next lookup; or what the lookups have come to
  localparam logic [3:0] READ = 4'd2;    // of its first slot
  localparam logic [3:0] CHECK = 4'd3;   // of a slot
  localparam logic [3:0] COUNT = 4'd4;   // of the copies: a filter
  localparam logic [3:0] HOLD = 4'd5;
  localparam logic [3:0] TARGET = 4'd6;  // of a filter
  localparam logic [3:0] SPREAD = 4'd7;
  localparam logic [3:0] COPY = 4'd8;
  logic [3:0] state_q;

  // ---- Commands wait for their turn between two frames, and for the end of the clearing of the slots.
  logic                                           cfg_wait_q, clearing_q, cfg_mine, cfg_apply;
  logic [7:0]                                     cfg_op_q;
  logic [pst_rx_filter_pkg::SLOT_INDEX_WIDTH-1:0] cfg_index_q;
  logic [511:0]                                   cfg_data_q;
  logic [pst_rx_filter_pkg::SLOT_INDEX_WIDTH-1:0] clear_slot_q;
  logic [7:0]                                     kinds_q;
  logic                                           promiscuous_q;
  logic [47:0]                                    mac_address_q;
  pst_admin_pkg::port_t                           port;
  pst_admin_pkg::filter_slot_t                    cfg_slot;
  assign port = cfg_data_i[pst_admin_pkg::PORT_WIDTH-1:0];
  assign cfg_slot = cfg_data_q[pst_admin_pkg::FILTER_SLOT_WIDTH-1:0];
  assign cfg_mine = cfg_valid_i && (cfg_op_i == pst_admin_pkg::CFG_FILTER_SLOT || cfg_op_i == pst_admin_pkg::CFG_FILTER ||
                                    cfg_op_i == pst_admin_pkg::CFG_FILTER_KINDS || cfg_op_i == pst_admin_pkg::CFG_RSS_KEY ||
                                    cfg_op_i == pst_admin_pkg::CFG_RSS_TABLE);
  assign cfg_apply = cfg_wait_q && !clearing_q && state_q == IDLE;
  assign cfg_done_o = cfg_apply;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      cfg_wait_q <= 1'b0;
      clearing_q <= 1'b1;
      clear_slot_q <= '0;
      kinds_q <= '0;
      promiscuous_q <= 1'b0;
      mac_address_q <= '0;
    end else begin
      if (cfg_mine) cfg_wait_q <= 1'b1;
      else if (cfg_apply) cfg_wait_q <= 1'b0;
      if (clearing_q) begin
        clear_slot_q <= clear_slot_q + 1'b1;
        clearing_q <= clear_slot_q != '1;
      end
      if (cfg_apply && cfg_op_q == pst_admin_pkg::CFG_FILTER_KINDS) kinds_q <= cfg_data_q[7:0];
      if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_PORT) begin
        promiscuous_q <= port.promiscuous;
        mac_address_q <= port.mac_address;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (cfg_mine) begin
      cfg_op_q <= cfg_op_i;
      cfg_index_q <= cfg_index_i[pst_rx_filter_pkg::SLOT_INDEX_WIDTH-1:0];
      cfg_data_q <= cfg_data_i;
    end
  end

  // ---- A frame and the lookups that it needs.
  pst_rx_parser_pkg::meta_t meta_q, arriving;
  logic                     foreign_seen_q;  // the port was promiscuous when the frame was taken
  logic                     take, multicast, transport, addressed;
  logic [9:0]               todo_q, todo_first, step, step_q, after_hit, after_miss;
  logic [2:0]               step_kind;
  assign pf_ready_o = state_q == IDLE && (!cfg_wait_q || clearing_q);  // without kinds nothing needs the slots
  assign take = pf_ready_o && pf_valid_i;
  always_comb begin
    arriving = '0;
    multicast = 1'b0;
    transport = 1'b0;
    addressed = 1'b0;
    todo_first = '0;
    if (take) begin
      arriving = pf_meta_i;
      multicast = arriving.destination[0];
      transport = arriving.l4_class == pst_contract_pkg::PST_L4_CLASS_TCP ||
                  arriving.l4_class == pst_contract_pkg::PST_L4_CLASS_UDP;
      addressed = multicast || arriving.destination == mac_address_q;
      todo_first = {kinds_q, 2'b00};
      if (!transport) todo_first[KINDS+2 -: 3] = '0;
      if (multicast) todo_first[KINDS+2] = 1'b0;
      if (arriving.vlan_count == 2'd0) todo_first[KINDS+5] = 1'b0;
      if (!multicast) todo_first[KINDS+6] = 1'b0;
      if (!addressed) begin
        todo_first[OURS_MAC] = todo_first[KINDS+4];
        todo_first[OURS_MAC_VLAN] = todo_first[KINDS+5];
        if ((todo_first & OURS_MASK) == '0) todo_first = promiscuous_q ? todo_first & SNIFF_MASK : '0;
      end
    end
  end
  assign step = todo_q & (~todo_q + 1'b1);
  assign after_hit = (step_q & OURS_MASK) != '0 ? todo_q & ~OURS_MASK : todo_q & ~step_q & ~KINDS_MASK;
  always_comb begin
    after_miss = todo_q & ~step_q;
    if ((step_q & OURS_MASK) != '0 && (after_miss & OURS_MASK) == '0)  // nobody here has asked for its address
      after_miss = foreign_seen_q ? after_miss & SNIFF_MASK : '0;
  end
  always_comb begin
    step_kind = 3'd0;
    if (step[OURS_MAC]) step_kind = 3'd4;
    else if (step[OURS_MAC_VLAN]) step_kind = 3'd5;
    else begin
      for (int kind = 1; kind < 8; kind++) begin
        if (step[KINDS+kind]) step_kind = 3'(kind);
      end
    end
  end

  // ---- A lookup.
  logic [1:0]                                     state_mem [SLOT_COUNT];
  logic [ID_WIDTH-1:0]                            first_mem [SLOT_COUNT];
  logic [KEY_WIDTH-1:0]                           key_mem [SLOT_COUNT];
  logic [1:0]                                     slot_state_q;
  logic [ID_WIDTH-1:0]                            slot_first_q;
  logic [KEY_WIDTH-1:0]                           slot_key_q, key_d, key_q;
  logic [pst_rx_filter_pkg::SLOT_INDEX_WIDTH-1:0] hash_slot, slot_q, slot_read;
  logic [4:0]                                     probe_q;
  logic                                           hit, miss, slot_write;
  pst_rx_filter_key u_key (.enable_i(state_q == KEY), .kind_i(step_kind), .meta_i(meta_q), .key_o(key_d));
  pst_rx_filter_hash u_hash (.enable_i(state_q == READ), .key_i(key_q), .slot_o(hash_slot));
  assign slot_read = state_q == READ ? hash_slot : slot_q;
  assign slot_write = cfg_apply && cfg_op_q == pst_admin_pkg::CFG_FILTER_SLOT;
  assign hit = state_q == CHECK && slot_state_q == pst_admin_pkg::SLOT_USED && slot_key_q == key_q;
  assign miss = state_q == CHECK && !hit && (slot_state_q == pst_admin_pkg::SLOT_NONE || probe_q == PROBE_MAX);
  always_ff @(posedge clk_i) begin
    if (clearing_q || slot_write) begin
      state_mem[clearing_q ? clear_slot_q : cfg_index_q] <=
          clearing_q ? pst_admin_pkg::SLOT_NONE : cfg_slot.state;
    end
    if (slot_write) begin
      first_mem[cfg_index_q] <= cfg_slot.first_filter[ID_WIDTH-1:0];
      key_mem[cfg_index_q] <= cfg_slot.key;
    end
    if (state_q == READ || (state_q == CHECK && !hit && !miss)) begin
      slot_state_q <= state_mem[slot_read];
      slot_first_q <= first_mem[slot_read];
      slot_key_q <= key_mem[slot_read];
      slot_q <= slot_read + 1'b1;
      probe_q <= state_q == READ ? 5'd1 : probe_q + 1'b1;
    end
    if (take) begin
      meta_q <= arriving;
      foreign_seen_q <= promiscuous_q;
    end
    if (take) todo_q <= todo_first;
    else if (hit) todo_q <= after_hit;
    else if (miss) todo_q <= after_miss;
    if (state_q == KEY && todo_q != '0) begin
      key_q <= key_d;
      step_q <= step;
    end
  end

  // ---- What has been found: first filters of what matches and of the sniffers. One walk counts them, another one copies.
  logic                   matched_q, sniffed_q, in_sniffers_q, first_copy_q;
  logic [ID_WIDTH-1:0]    match_q, sniffer_q, id_q, id_read;
  logic [12:0]            copies_q;
  pst_admin_pkg::filter_t filter_mem [FILTER_COUNT];
  pst_admin_pkg::filter_t filter_q;
  logic                   found, begin_walk, goes_on, walk_on, copy_taken;
  assign found = state_q == KEY && todo_q == '0;
  assign goes_on = filter_q.next_valid || (!in_sniffers_q && sniffed_q);
  assign begin_walk = (found && (matched_q || sniffed_q)) || (state_q == HOLD && hold_ready_i && copies_q > 13'd1);
  assign copy_taken = state_q == COPY && st_ready_i;
  assign walk_on = (state_q == COUNT || copy_taken) && goes_on;
  always_comb begin
    id_read = filter_q.next[ID_WIDTH-1:0];
    if (begin_walk) id_read = matched_q ? match_q : sniffer_q;
    else if (!filter_q.next_valid) id_read = sniffer_q;
  end
  always_ff @(posedge clk_i) begin
    if (cfg_apply && cfg_op_q == pst_admin_pkg::CFG_FILTER)
      filter_mem[cfg_index_q[ID_WIDTH-1:0]] <= cfg_data_q[pst_admin_pkg::FILTER_WIDTH-1:0];
    if (begin_walk || walk_on) begin
      filter_q <= filter_mem[id_read];
      id_q <= id_read;
      in_sniffers_q <= begin_walk ? !matched_q : in_sniffers_q || !filter_q.next_valid;
    end
    if (take) begin
      matched_q <= 1'b0;
      sniffed_q <= 1'b0;
      copies_q <= '0;
      first_copy_q <= 1'b1;
    end else begin
      if (hit && (step_q & KINDS_MASK) != '0) begin
        matched_q <= 1'b1;
        match_q <= slot_first_q;
      end
      if (hit && step_q[SNIFF]) begin
        sniffed_q <= 1'b1;
        sniffer_q <= slot_first_q;
      end
      if (state_q == COUNT) copies_q <= copies_q + 1'b1;
      if (copy_taken) first_copy_q <= 1'b0;
    end
  end

  // ---- Whom a filter means.
  logic        spread_done, spread_hash_valid, spread_idle, spreads;
  logic [15:0] spread_vi;
  logic [31:0] spread_hash;
  assign spreads = state_q == TARGET && filter_q.rss;
  pst_rss u_rss (
    .clk_i, .rst_ni, .idle_o(spread_idle),
    .key_write_i(cfg_apply && cfg_op_q == pst_admin_pkg::CFG_RSS_KEY),
    .table_write_i(cfg_apply && cfg_op_q == pst_admin_pkg::CFG_RSS_TABLE),
    .index_i(cfg_index_q[7:0]), .data_i(cfg_data_q),
    .start_i(spreads), .context_i(filter_q.rss_context[5:0]), .l3_class_i(meta_q.l3_class),
    .has_ports_i(meta_q.l4_class == pst_contract_pkg::PST_L4_CLASS_TCP || meta_q.l4_class == pst_contract_pkg::PST_L4_CLASS_UDP),
    .remote_address_i(meta_q.remote_address), .local_address_i(meta_q.local_address),
    .remote_port_i(meta_q.remote_port), .local_port_i(meta_q.local_port),
    .done_o(spread_done), .hash_valid_o(spread_hash_valid), .hash_o(spread_hash), .vi_o(spread_vi)
  );
  always_ff @(posedge clk_i) begin
    if (state_q == TARGET) begin
      st_vi_o <= filter_q.vi;
      st_hash_valid_o <= 1'b0;
      st_hash_o <= '0;
    end else if (spread_done) begin
      if (spread_vi != pst_admin_pkg::RSS_NO_VI) st_vi_o <= spread_vi;
      st_hash_valid_o <= spread_hash_valid;
      st_hash_o <= spread_hash;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= IDLE;
    end else begin
      case (state_q)
        IDLE: if (take) state_q <= KEY;
        KEY: state_q <= !found ? READ : matched_q || sniffed_q ? COUNT : HOLD;
        READ: state_q <= CHECK;
        CHECK: if (hit || miss) state_q <= KEY;
        COUNT: if (!goes_on) state_q <= HOLD;
        HOLD: if (hold_ready_i) state_q <= copies_q == '0 ? IDLE : TARGET;
        TARGET: state_q <= spreads ? SPREAD : COPY;
        SPREAD: if (spread_done) state_q <= COPY;
        COPY: if (st_ready_i) state_q <= goes_on ? TARGET : IDLE;
        default: state_q <= IDLE;
      endcase
    end
  end

  assign hold_valid_o = state_q == HOLD;
  assign hold_frame_o = meta_q.frame;
  assign hold_cells_o = 8'((meta_q.bytes + 14'd63) >> 6);
  assign hold_copies_o = copies_q;
  assign drop_valid_o = hold_valid_o && hold_ready_i && copies_q == '0;
  assign drop_reason_o = pst_contract_pkg::PST_DROP_REASON_RX_NO_FILTER;
  assign count_copy_o = copy_taken && !first_copy_q;

  assign st_valid_o = state_q == COPY;
  assign st_filter_id_o = 16'(id_q);
  assign st_frame_o = meta_q.frame;
  assign st_bytes_o = meta_q.bytes;
  assign st_time_ns_o = meta_q.time_ns;
  assign st_vlan_count_o = meta_q.vlan_count;
  assign st_vlan_tci_o = meta_q.vlan_tci;
  assign st_id_o = meta_q.id;
  always_comb begin
    st_event_o = '0;
    if (st_valid_o) begin
      st_event_o[pst_contract_pkg::PST_RX_EVENT_TYPE_LSB +: 4] = pst_contract_pkg::PST_EVENT_TYPE_RX;
      st_event_o[pst_contract_pkg::PST_RX_EVENT_CHECKSUM_L3_LSB +: 2] = meta_q.checksum_l3;
      st_event_o[pst_contract_pkg::PST_RX_EVENT_CHECKSUM_L4_LSB +: 2] = meta_q.checksum_l4;
      st_event_o[pst_contract_pkg::PST_RX_EVENT_L3_CLASS_LSB +: 2] = meta_q.l3_class;
      st_event_o[pst_contract_pkg::PST_RX_EVENT_L4_CLASS_LSB +: 2] = meta_q.l4_class;
      st_event_o[pst_contract_pkg::PST_RX_EVENT_MULTICAST_LSB] = meta_q.destination[0];
    end
  end

  assign quiet_o = !clearing_q && !cfg_valid_i && spread_idle &&
                   ((state_q == IDLE && !cfg_wait_q && !pf_valid_i) || (state_q == HOLD && !hold_ready_i) ||
                    (state_q == COPY && !st_ready_i));

endmodule
