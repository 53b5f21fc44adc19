// Takes values out of the contract package in the ways that RTL does, so that Verilator and Yosys can be checked to agree
// with layouts typed by hand (systemverilog_package_test.sh).
module pst_contract_use (
  input  logic [127:0] desc_i,
  input  logic [511:0] command_i,
  output logic [63:0]  address_o,
  output logic [15:0]  length_o,
  output logic         option_o,
  output logic [15:0]  evq_entries_o,
  output logic [31:0]  magic_o
);
  /* verilator lint_off UNUSEDSIGNAL */  // only some members are looked at
  pst_contract_pkg::pst_tx_desc_t          desc;
  pst_contract_pkg::pst_vi_alloc_command_t command;
  /* verilator lint_on UNUSEDSIGNAL */

  assign desc    = desc_i;
  assign command = command_i;

  assign address_o     = desc.address;
  assign length_o      = desc_i[pst_contract_pkg::PST_TX_DESC_LENGTH_BYTES_LSB+:pst_contract_pkg::PST_TX_DESC_LENGTH_BYTES_WIDTH];
  assign option_o      = desc.type_ == pst_contract_pkg::PST_TX_DESC_TYPE_OPTION;
  assign evq_entries_o = command.evq_entries;
  assign magic_o       = pst_contract_pkg::PST_MAGIC;
endmodule
