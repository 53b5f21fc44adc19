// Which VIs get a frame (R9): one open-addressed hash table for all kinds of filters, looked up kind by kind in the order of
// FILTER_MATCH, a probe every other cycle. Hides the order of lookups, chains of equal filters, sniffers and spreading (pst_rss).
// Packet walk: between the parser and receive DMA.
module pst_rx_filter #(
  parameter int unsigned FIFO_DEPTH = 32,  // frames that wait for their lookup; a power of two
  localparam int unsigned FRAME_WIDTH = pst_rx_parser_pkg::FRAME_WIDTH
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         quiet_o,

  input  logic         cfg_valid_i,  // CFG_FILTER_SLOT, CFG_FILTER, CFG_FILTER_KINDS, CFG_RSS_KEY, CFG_RSS_TABLE; sees CFG_PORT
  input  logic [7:0]   cfg_op_i,
  input  logic [31:0]  cfg_index_i,
  input  logic [511:0] cfg_data_i,
  output logic         cfg_done_o,

  input  logic                   frame_valid_i,
  input  logic [FRAME_WIDTH-1:0] frame_i,
  output logic                   frame_room_o,

  // pst_rx_buffer: a user more, and the filter's own use is over.
  output logic        add_valid_o,
  input  logic        add_ready_i,
  output logic [11:0] add_frame_o,
  output logic        own_valid_o,
  input  logic        own_ready_i,
  output logic [11:0] own_frame_o,

  // Copies for pst_rx_dma.
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
  output logic [63:0] st_event_o,
  output logic [15:0] st_id_o,

  output logic       drop_valid_o,
  output logic [3:0] drop_reason_o,
  output logic       count_copy_o  // a copy beyond a frame's first
);

  localparam int unsigned SLOT_WIDTH = pst_rx_filter_pkg::SLOT_WIDTH;
  localparam int unsigned FIFO_WIDTH = $clog2(FIFO_DEPTH);
  localparam int unsigned ID_WIDTH = $clog2(pst_contract_pkg::PST_LIMIT_FILTER_COUNT_MAX);
  localparam logic [3:0]  PROBE_LAST = 4'(pst_contract_pkg::PST_LIMIT_FILTER_PROBE_MAX - 1);

  // ---- Tables. The slots are emptied one by one after reset.
  logic [pst_admin_pkg::FILTER_SLOT_WIDTH-1:0] slot_mem [1 << SLOT_WIDTH];
  logic [pst_admin_pkg::FILTER_WIDTH-1:0]      filter_mem [1 << ID_WIDTH];
  logic                  clearing_q;
  logic [SLOT_WIDTH-1:0] clear_slot_q;
  logic                  take_slot, take_filter, mine;
  logic [7:0]            kinds_q;
  logic                  promiscuous_q;
  logic [47:0]           mac_q;
  pst_admin_pkg::port_t  port;
  assign port = cfg_data_i[pst_admin_pkg::PORT_WIDTH-1:0];
  assign take_slot = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_FILTER_SLOT;
  assign take_filter = cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_FILTER;
  assign mine = take_slot || take_filter || (cfg_valid_i && (cfg_op_i == pst_admin_pkg::CFG_FILTER_KINDS ||
                cfg_op_i == pst_admin_pkg::CFG_RSS_KEY || cfg_op_i == pst_admin_pkg::CFG_RSS_TABLE));
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_q <= 1'b1;
      clear_slot_q <= '0;
      kinds_q <= 8'd0;
      promiscuous_q <= 1'b0;
      mac_q <= 48'd0;
      cfg_done_o <= 1'b0;
    end else begin
      if (clearing_q) clear_slot_q <= clear_slot_q + 1'b1;
      if (clear_slot_q == '1) clearing_q <= 1'b0;
      cfg_done_o <= mine;
      if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_FILTER_KINDS) kinds_q <= cfg_data_i[7:0];
      if (cfg_valid_i && cfg_op_i == pst_admin_pkg::CFG_PORT) begin
        promiscuous_q <= port.promiscuous;
        mac_q <= port.mac_address;
      end
    end
  end

  // ---- Frames that wait.
  logic [FRAME_WIDTH-1:0] fifo_mem [FIFO_DEPTH];
  logic [FIFO_WIDTH:0]    head_q, tail_q;
  logic                   pop;
  assign frame_room_o = !clearing_q && (tail_q - head_q) != (FIFO_WIDTH + 1)'(FIFO_DEPTH);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q <= '0;
      tail_q <= '0;
    end else begin
      if (frame_valid_i) tail_q <= tail_q + 1'b1;
      if (pop) head_q <= head_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (frame_valid_i) fifo_mem[tail_q[FIFO_WIDTH-1:0]] <= frame_i;
  end

  // ---- One frame at a time. ASK chooses the next kind and makes its key, READ its slot, COMPARE looks at it; NEXT walks the chain of
  // what matched, SPREAD waits for pst_rss, GIVE hands a copy over.
  localparam logic [2:0] IDLE = 3'd0, ASK = 3'd1, READ = 3'd2, COMPARE = 3'd3, NEXT = 3'd4, SPREAD = 3'd5, GIVE = 3'd6, OVER = 3'd7;
  logic [2:0]                     state_q;
  pst_rx_parser_pkg::frame_t      frame_q;
  logic [7:0]                     left_q;      // kinds still to be looked up, by FILTER_MATCH
  logic                           ours_q;      // known to be for this port
  logic                           testing_q;   // left_q are the kinds that would make it so
  logic [7:0]                     later_q;     // kinds to look up behind the test
  logic                           sniffed_q;   // sniffers have had their turn, or have none
  logic                           given_q;     // a copy has gone
  logic [2:0]                     kind;
  logic [383:0]                   key, key_q;
  logic [SLOT_WIDTH-1:0]          slot_q;
  logic [3:0]                     probe_q;
  pst_admin_pkg::filter_slot_t    slot;
  pst_admin_pkg::filter_t         filter_q;
  logic [ID_WIDTH-1:0]            id_q;

  logic multicast;
  assign multicast = frame_q.destination[0];
  always_comb begin
    kind = 3'd7;
    for (int i = 6; i >= 0; i--) if (left_q[i]) kind = 3'(i);
  end
  pst_rx_key u_key (.kind_i(kind), .frame_i(frame_q), .key_o(key));
  logic [SLOT_WIDTH-1:0] slot_of_key;
  pst_rx_hash u_hash (.enable_i(state_q == READ && probe_q == 4'd0), .key_i(key_q), .slot_o(slot_of_key));

  logic hit, miss;
  assign hit = slot.state == pst_admin_pkg::SLOT_USED && slot.key == key_q;
  assign miss = !hit && (slot.state == pst_admin_pkg::SLOT_NONE || probe_q == PROBE_LAST);

  // The kinds to look up for a new frame.
  pst_rx_parser_pkg::frame_t next_frame;
  logic [7:0] next_kinds;
  logic       next_ports;
  assign next_frame = fifo_mem[head_q[FIFO_WIDTH-1:0]];
  assign next_ports = next_frame.l4_class == 2'(pst_contract_pkg::PST_L4_CLASS_TCP) ||
                      next_frame.l4_class == 2'(pst_contract_pkg::PST_L4_CLASS_UDP);
  always_comb begin
    next_kinds = kinds_q;
    next_kinds[7] = 1'b0;
    if (!next_ports) next_kinds[2:0] = 3'd0;
    if (next_frame.destination[0]) next_kinds[2] = 1'b0;
    else next_kinds[6] = 1'b0;
    if (next_frame.vlan_count == 2'd0) next_kinds[5] = 1'b0;
  end

  logic        rss_answer, rss_hash_valid, rss_quiet;
  logic [31:0] rss_hash;
  logic [15:0] rss_vi;
  logic        sniff_now, added_q, copy_done;
  assign pop = state_q == IDLE && head_q != tail_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) state_q <= IDLE;
    else begin
      case (state_q)
        IDLE: if (pop) state_q <= ASK;
        ASK: begin
          if (left_q != 8'd0) state_q <= READ;
          else if (!sniff_now) state_q <= OVER;
        end
        READ: state_q <= COMPARE;
        COMPARE: begin
          if (hit) state_q <= testing_q ? ASK : NEXT;
          else if (miss) state_q <= ASK;
          else state_q <= READ;
        end
        NEXT: state_q <= SPREAD;
        SPREAD: if (!filter_q.rss || rss_answer) state_q <= GIVE;
        GIVE: if (copy_done) state_q <= filter_q.next_valid ? NEXT : ASK;
        default: if (own_ready_i) state_q <= IDLE;
      endcase
    end
  end

  // A unicast frame for another address than the port's is this port's if a filter of kind MAC or MAC_VLAN names its address. That is
  // looked up first, and these lookups count again in their turn.
  assign sniff_now = !sniffed_q && kinds_q[7] && ((ours_q && !testing_q) || promiscuous_q);
  assign add_valid_o = state_q == GIVE && !added_q;
  assign st_valid_o = state_q == GIVE && added_q;
  assign copy_done = st_valid_o && st_ready_i;
  always_ff @(posedge clk_i) begin
    if (clearing_q || take_slot) begin
      slot_mem[clearing_q ? clear_slot_q : cfg_index_i[SLOT_WIDTH-1:0]] <=
          clearing_q ? '0 : cfg_data_i[pst_admin_pkg::FILTER_SLOT_WIDTH-1:0];
    end
    if (take_filter) filter_mem[cfg_index_i[ID_WIDTH-1:0]] <= cfg_data_i[pst_admin_pkg::FILTER_WIDTH-1:0];
    case (state_q)
      IDLE: begin
        if (pop) begin
          frame_q <= next_frame;
          ours_q <= next_frame.destination[0] || next_frame.destination == mac_q;
          testing_q <= !(next_frame.destination[0] || next_frame.destination == mac_q);
          later_q <= next_kinds;
          left_q <= next_frame.destination[0] || next_frame.destination == mac_q ? next_kinds : next_kinds & 8'h30;
          given_q <= 1'b0;
          sniffed_q <= 1'b0;
        end
      end
      ASK: begin
        key_q <= key;
        probe_q <= 4'd0;
        left_q[kind] <= 1'b0;
        if (left_q == 8'd0) begin
          testing_q <= 1'b0;
          sniffed_q <= 1'b1;
          if (sniff_now) left_q <= 8'h80;
        end
      end
      READ: begin
        slot <= slot_mem[probe_q == 4'd0 ? slot_of_key : slot_q];
        slot_q <= (probe_q == 4'd0 ? slot_of_key : slot_q) + 1'b1;
      end
      COMPARE: begin
        probe_q <= probe_q + 4'd1;
        if (hit && testing_q) begin
          testing_q <= 1'b0;
          ours_q <= 1'b1;
          left_q <= later_q;
        end else if (hit) begin
          id_q <= slot.first_filter[ID_WIDTH-1:0];
          left_q <= 8'd0;
        end
      end
      NEXT: begin
        filter_q <= filter_mem[id_q];
        added_q <= 1'b0;
      end
      GIVE: begin
        if (add_ready_i) added_q <= 1'b1;
        if (copy_done) begin
          added_q <= 1'b0;
          given_q <= 1'b1;
          id_q <= filter_q.next[ID_WIDTH-1:0];
        end
      end
      default: ;
    endcase
  end

  pst_rss u_rss (
    .clk_i(clk_i), .rst_ni(rst_ni), .quiet_o(rss_quiet), .cfg_valid_i(cfg_valid_i), .cfg_op_i(cfg_op_i), .cfg_index_i(cfg_index_i),
    .cfg_data_i(cfg_data_i), .ask_valid_i(state_q == SPREAD && filter_q.rss), .ask_context_i(filter_q.rss_context[5:0]),
    .ask_ipv4_i(frame_q.l3_class == 2'(pst_contract_pkg::PST_L3_CLASS_IPV4)),
    .ask_ipv6_i(frame_q.l3_class == 2'(pst_contract_pkg::PST_L3_CLASS_IPV6)),
    .ask_ports_i(frame_q.l4_class == 2'(pst_contract_pkg::PST_L4_CLASS_TCP) ||
                 frame_q.l4_class == 2'(pst_contract_pkg::PST_L4_CLASS_UDP)),
    .ask_remote_address_i(frame_q.remote_address), .ask_local_address_i(frame_q.local_address),
    .ask_remote_port_i(frame_q.remote_port), .ask_local_port_i(frame_q.local_port),
    .answer_valid_o(rss_answer), .answer_hash_valid_o(rss_hash_valid), .answer_hash_o(rss_hash), .answer_vi_o(rss_vi)
  );
  logic        hash_valid_q;
  logic [31:0] hash_q;
  logic [15:0] vi_q;
  always_ff @(posedge clk_i) begin
    if (state_q == SPREAD) begin
      hash_valid_q <= filter_q.rss && rss_hash_valid;
      hash_q <= filter_q.rss ? rss_hash : 32'd0;
      vi_q <= filter_q.rss && rss_vi != pst_admin_pkg::RSS_NO_VI ? rss_vi : filter_q.vi;
    end
  end

  assign add_frame_o = frame_q.frame;
  assign own_valid_o = state_q == OVER;
  assign own_frame_o = frame_q.frame;
  assign drop_valid_o = state_q == OVER && own_ready_i && !given_q;
  assign drop_reason_o = 4'(pst_contract_pkg::PST_DROP_REASON_RX_NO_FILTER);
  assign count_copy_o = copy_done && given_q;
  assign st_vi_o = vi_q;
  assign st_filter_id_o = {{(16 - ID_WIDTH){1'b0}}, id_q};
  assign st_frame_o = frame_q.frame;
  assign st_bytes_o = frame_q.bytes;
  assign st_time_ns_o = frame_q.time_ns;
  assign st_hash_valid_o = hash_valid_q;
  assign st_hash_o = hash_q;
  assign st_vlan_count_o = frame_q.vlan_count;
  assign st_vlan_tci_o = frame_q.vlan_tci;
  assign st_id_o = frame_q.id;
  always_comb begin
    st_event_o = '0;
    st_event_o[pst_contract_pkg::PST_RX_EVENT_TYPE_LSB +: pst_contract_pkg::PST_RX_EVENT_TYPE_WIDTH] =
        4'(pst_contract_pkg::PST_EVENT_TYPE_RX);
    st_event_o[pst_contract_pkg::PST_RX_EVENT_CHECKSUM_L3_LSB +: 2] = frame_q.checksum_l3;
    st_event_o[pst_contract_pkg::PST_RX_EVENT_CHECKSUM_L4_LSB +: 2] = frame_q.checksum_l4;
    st_event_o[pst_contract_pkg::PST_RX_EVENT_L3_CLASS_LSB +: 2] = frame_q.l3_class;
    st_event_o[pst_contract_pkg::PST_RX_EVENT_L4_CLASS_LSB +: 2] = frame_q.l4_class;
    st_event_o[pst_contract_pkg::PST_RX_EVENT_MULTICAST_LSB] = multicast;
  end
  assign quiet_o = !clearing_q && state_q == IDLE && head_q == tail_q && !frame_valid_i && !mine && !cfg_done_o && rss_quiet;

  logic unused;
  assign unused = &{1'b0, port, cfg_index_i, slot.first_filter, filter_q.next, filter_q.rss_context};

endmodule
