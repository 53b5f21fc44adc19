// The key under which a frame is looked up for one kind of filter. Fields that take no part are 0. Combinational; the layout is the
// firmware's (hw_model/rx_filter.cc): kind and scalars, ports, local address, remote address.
module pst_rx_key (
  input  logic [2:0]                                kind_i,  // FILTER_MATCH
  input  logic [pst_rx_parser_pkg::FRAME_WIDTH-1:0] frame_i,
  output logic [383:0]                              key_o
);

  pst_rx_parser_pkg::frame_t frame;
  logic [7:0]                family_and_kind;
  assign frame = frame_i;
  assign family_and_kind = {2'd0, frame.l3_class == 2'(pst_contract_pkg::PST_L3_CLASS_IPV4)
                                      ? 2'(pst_contract_pkg::PST_ADDRESS_FAMILY_IPV4) : 2'(pst_contract_pkg::PST_ADDRESS_FAMILY_IPV6),
                            1'b0, kind_i};
  always_comb begin
    key_o = '0;
    key_o[2:0] = kind_i;
    case ({1'b0, kind_i})
      4'(pst_contract_pkg::PST_FILTER_MATCH_CONNECTION),
      4'(pst_contract_pkg::PST_FILTER_MATCH_LISTENER),
      4'(pst_contract_pkg::PST_FILTER_MATCH_LISTENER_ANY): begin
        key_o[15:0] = {frame.protocol, family_and_kind};
        key_o[79:64] = frame.local_port;
        if (kind_i != 3'(pst_contract_pkg::PST_FILTER_MATCH_LISTENER_ANY)) key_o[255:128] = frame.local_address;
        if (kind_i == 3'(pst_contract_pkg::PST_FILTER_MATCH_CONNECTION)) begin
          key_o[95:80] = frame.remote_port;
          key_o[383:256] = frame.remote_address;
        end
      end
      4'(pst_contract_pkg::PST_FILTER_MATCH_ETHERTYPE): key_o[31:16] = frame.ethertype;
      4'(pst_contract_pkg::PST_FILTER_MATCH_MAC): key_o[175:128] = frame.destination;
      4'(pst_contract_pkg::PST_FILTER_MATCH_MAC_VLAN): begin
        key_o[43:32] = frame.vlan_tci[11:0];
        key_o[175:128] = frame.destination;
      end
      default: ;
    endcase
  end

  logic unused;
  assign unused = &{1'b0, frame};

endmodule
