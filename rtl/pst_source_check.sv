// The source check (R9): the addresses granted to each VI, in RAM, and their comparison with the sources of one packet, a grant a
// cycle. Ends early when every source has been found. Packet walk: a packet to send, between its headers and its verdict.
module pst_source_check #(
  parameter int unsigned VI_COUNT = 64,  // a power of two
  localparam int unsigned VI_WIDTH = $clog2(VI_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                                   write_valid_i,
  input  logic [VI_WIDTH+2:0]                    write_index_i,  // {VI, n}
  input  logic [pst_admin_pkg::GRANT_WIDTH-1:0]  write_grant_i,

  input  logic                start_i,     // the sources are there from the next cycle on, until busy_o falls
  input  logic [VI_WIDTH-1:0] vi_i,
  input  logic [47:0]         port_mac_i,  // granted to every VI
  input  logic [47:0]         mac_i,
  input  logic                arp_i,       // the sender's MAC address in an ARP packet is to be granted too
  input  logic [47:0]         arp_mac_i,
  input  logic                l3_i,        // so is an IP address
  input  logic [1:0]          l3_family_i,
  input  logic [127:0]        l3_address_i,
  output logic                busy_o,
  output logic                granted_o    // valid while not busy
);

  localparam logic [2:0] GRANT_LAST = 3'(pst_contract_pkg::PST_LIMIT_SOURCE_GRANT_MAX - 1);
  localparam logic [1:0] FAMILY_MAC = 2'(pst_contract_pkg::PST_ADDRESS_FAMILY_MAC);

  logic [pst_admin_pkg::GRANT_WIDTH-1:0] grant_mem [VI_COUNT * 8];
  logic [pst_admin_pkg::GRANT_WIDTH-1:0] grant_q;
  pst_admin_pkg::grant_t                 grant;
  logic [VI_WIDTH-1:0]                   vi_q;
  logic [2:0]                            n_q;  // grant_q is this one
  always_ff @(posedge clk_i) begin
    if (write_valid_i) grant_mem[write_index_i] <= write_grant_i;
    if (start_i) grant_q <= grant_mem[{vi_i, 3'd0}];
    else if (busy_o) grant_q <= grant_mem[{vi_q, n_q + 3'd1}];
  end
  assign grant = grant_q;

  logic is_mac, mac_q, arp_q, l3_q, mac_now, arp_now, l3_now, all_now;
  assign is_mac = grant.valid && grant.family == FAMILY_MAC && grant.address[127:48] == 80'd0;
  assign mac_now = mac_q || mac_i == port_mac_i || (is_mac && mac_i == grant.address[47:0]);
  assign arp_now = arp_q || !arp_i || arp_mac_i == port_mac_i || (is_mac && arp_mac_i == grant.address[47:0]);
  assign l3_now = l3_q || !l3_i || (grant.valid && grant.family == l3_family_i && grant.address == l3_address_i);
  assign all_now = mac_now && arp_now && l3_now;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_o <= 1'b0;
    end else if (start_i) begin
      busy_o <= 1'b1;
    end else if (busy_o) begin
      busy_o <= !all_now && n_q != GRANT_LAST;
    end
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      vi_q <= vi_i;
      n_q <= 3'd0;
      {mac_q, arp_q, l3_q} <= 3'd0;
    end else if (busy_o) begin
      n_q <= n_q + 3'd1;
      {mac_q, arp_q, l3_q} <= {mac_now, arp_now, l3_now};
      granted_o <= all_now;
    end
  end

endmodule
