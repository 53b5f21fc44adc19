// The key under which a kind of filter would match a frame: what hw_model/rx_filter.cc's make_key makes of a command. Six words:
// kind and scalars, ports, local address (2), remote address (2); what takes no part is 0. Combinational.
module pst_rx_filter_key (
  input  logic                                     enable_i,  // else the key is 0
  input  logic [2:0]                               kind_i,    // FILTER_MATCH
  input  logic [pst_rx_parser_pkg::META_WIDTH-1:0] meta_i,    // meta_t
  output logic [pst_rx_filter_pkg::KEY_WIDTH-1:0]  key_o
);

  pst_rx_parser_pkg::meta_t meta;
  logic [3:0]               family;
  always_comb begin
    meta = '0;
    key_o = '0;
    family = '0;
    if (enable_i) begin
      meta = meta_i;
      family = meta.l3_class == pst_contract_pkg::PST_L3_CLASS_IPV4 ? pst_contract_pkg::PST_ADDRESS_FAMILY_IPV4
                                                                    : pst_contract_pkg::PST_ADDRESS_FAMILY_IPV6;
      key_o[3:0] = {1'b0, kind_i};
      case ({1'b0, kind_i})
        pst_contract_pkg::PST_FILTER_MATCH_CONNECTION, pst_contract_pkg::PST_FILTER_MATCH_LISTENER,
        pst_contract_pkg::PST_FILTER_MATCH_LISTENER_ANY: begin
          key_o[7:4] = family;
          key_o[15:8] = meta.ip_protocol;
          key_o[64 +: 16] = meta.local_port;
          if ({1'b0, kind_i} != pst_contract_pkg::PST_FILTER_MATCH_LISTENER_ANY) key_o[128 +: 128] = meta.local_address;
          if ({1'b0, kind_i} == pst_contract_pkg::PST_FILTER_MATCH_CONNECTION) begin
            key_o[80 +: 16] = meta.remote_port;
            key_o[256 +: 128] = meta.remote_address;
          end
        end
        pst_contract_pkg::PST_FILTER_MATCH_ETHERTYPE: key_o[31:16] = meta.ethertype;
        pst_contract_pkg::PST_FILTER_MATCH_MAC: key_o[128 +: 48] = meta.destination;
        pst_contract_pkg::PST_FILTER_MATCH_MAC_VLAN: begin
          key_o[32 +: 12] = meta.vlan_tci[11:0];
          key_o[128 +: 48] = meta.destination;
        end
        default: ;
      endcase
    end
  end

endmodule
