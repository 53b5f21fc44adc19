// One descriptor joins its packet: the checks of the contract on descriptors, and what the packet is when all have come.
// Combinational; pst_tx_turn keeps the packet. Packet walk: descriptors in the NIC, before the payload is read.
module pst_tx_gather (
  input  logic                                valid_i,   // a descriptor has come
  input  logic [pst_tx_pkg::GATHER_WIDTH-1:0] gather_i,
  input  logic [31:0]                         idx_i,
  input  logic [127:0]                        desc_i,
  input  logic                                pio_i,
  input  logic                                any_source_i,
  input  logic [15:0]                         mtu_bytes_i,

  output logic [pst_tx_pkg::GATHER_WIDTH-1:0] gather_o,
  output logic                                store_o,  // a fragment, unless bad
  output logic                                last_o,   // ends its packet, be it good or bad
  output logic                                bad_o,    // BAD_DESCRIPTOR
  // Of the packet before the descriptor, if that is complete.
  output logic [pst_tx_pkg::PACKET_WIDTH-1:0] packet_o
);

  pst_tx_pkg::gather_t now, after;
  assign now = gather_i;
  assign gather_o = after;

  logic [15:0] length_bytes;
  logic        is_data, is_option, first, bad_option, bad_data;
  assign length_bytes = desc_i[pst_contract_pkg::PST_TX_DESC_LENGTH_BYTES_LSB +: 16];
  assign is_data = desc_i[pst_contract_pkg::PST_TX_DESC_TYPE_LSB +: 2] == pst_contract_pkg::PST_TX_DESC_TYPE_DATA;
  assign is_option = !now.started &&
                     desc_i[pst_contract_pkg::PST_TX_DESC_TYPE_LSB +: 2] == pst_contract_pkg::PST_TX_DESC_TYPE_OPTION;
  assign first = now.count == 6'd0;
  assign bad_option = desc_i[pst_contract_pkg::PST_TX_OPTION_DESC_RESERVED0_LSB +: 31] != 31'd0 ||
                      desc_i[pst_contract_pkg::PST_TX_OPTION_DESC_RESERVED1_LSB +: 16] != 16'd0 ||
                      desc_i[pst_contract_pkg::PST_TX_OPTION_DESC_RESERVED2_LSB +: 46] != 46'd0;
  assign bad_data = !is_data || length_bytes == 16'd0 ||
                    desc_i[pst_contract_pkg::PST_TX_DESC_RESERVED_LSB +: 40] != 40'd0 ||
                    now.count == 6'(pst_contract_pkg::PST_LIMIT_TX_FRAGMENTS_MAX) ||
                    (first && desc_i[pst_contract_pkg::PST_TX_DESC_SEGMENT_LSB] && now.mss == 16'd0);
  assign bad_o = is_option ? bad_option : bad_data;
  assign store_o = !is_option;
  assign last_o = is_data && desc_i[pst_contract_pkg::PST_TX_DESC_END_OF_PACKET_LSB];

  always_comb begin
    after = now;
    after.started = now.started || valid_i;
    if (valid_i && !now.started) begin
      after.first_idx = idx_i;
      after.mss = 16'd0;
      after.vlan_insert = 1'b0;
    end
    if (valid_i) after.end_idx = idx_i + 32'd1;
    if (valid_i && is_option) begin
      after.mss = desc_i[pst_contract_pkg::PST_TX_OPTION_DESC_MSS_BYTES_LSB +: 16];
      after.vlan_tci = desc_i[pst_contract_pkg::PST_TX_OPTION_DESC_VLAN_TCI_LSB +: 16];
      after.vlan_insert = desc_i[pst_contract_pkg::PST_TX_OPTION_DESC_VLAN_INSERT_LSB];
    end else if (valid_i) begin
      after.count = now.count + 6'd1;
      after.bytes = now.bytes + {6'd0, length_bytes};
    end
    if (valid_i && !is_option && first) begin
      after.pio = pio_i;
      after.pio_offset = desc_i[pst_contract_pkg::PST_TX_DESC_ADDRESS_LSB +: 12];
      after.l3 = desc_i[pst_contract_pkg::PST_TX_DESC_CHECKSUM_L3_LSB];
      after.l4 = desc_i[pst_contract_pkg::PST_TX_DESC_CHECKSUM_L4_LSB];
      after.segment = desc_i[pst_contract_pkg::PST_TX_DESC_SEGMENT_LSB];
      after.timestamp = desc_i[pst_contract_pkg::PST_TX_DESC_TIMESTAMP_LSB];
      after.complete = desc_i[pst_contract_pkg::PST_TX_DESC_COMPLETE_LSB];
    end
  end

  // Tags inside the frame are known only when it has been fetched: pst_tx_packet checks the length exactly.
  localparam logic [21:0] HEADER_BYTES = 22'd14;
  localparam logic [21:0] HEADER_TAGS_BYTES = 22'd22;
  logic [21:0]         frame_max;
  logic                bad_length, bad_segment;
  pst_tx_pkg::packet_t packet;
  assign frame_max = {6'd0, mtu_bytes_i} + HEADER_TAGS_BYTES < 22'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MAX) ?
                     {6'd0, mtu_bytes_i} + HEADER_TAGS_BYTES : 22'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MAX);
  assign bad_length = now.bytes < HEADER_BYTES || (!now.segment && now.bytes > frame_max);
  assign bad_segment = now.segment && now.bytes > 22'(pst_contract_pkg::PST_LIMIT_TSO_BYTES_MAX);
  always_comb begin
    packet.any_source = any_source_i;
    packet.drop = bad_length || bad_segment;
    packet.reason = bad_length ? pst_contract_pkg::PST_DROP_REASON_TX_BAD_LENGTH :
                                 pst_contract_pkg::PST_DROP_REASON_TX_BAD_SEGMENT;
    packet.parts = now;
  end
  assign packet_o = packet;

endmodule
