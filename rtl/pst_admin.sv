// The firmware's command port: takes one command at a time, tells all blocks, and says when the block that it concerns has done
// it. What an admin command of the contract means is the firmware's to know; this block hides only that blocks empty their RAMs
// after a reset, before which no command reaches them. Packet walk: before the first packet.
module pst_admin #(
  parameter int unsigned DONE_COUNT = 8,       // blocks that do commands
  parameter int unsigned CLEAR_CYCLES = 2056,  // after reset, until RAMs of 2 x VI_COUNT_MAX entries are empty
  localparam int unsigned CLEAR_WIDTH = $clog2(CLEAR_CYCLES + 1)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,  // no register changes while the inputs stay as they are

  // Commands: CFG_ of pst_admin_pkg. fw_done_o is a pulse; the next command is taken behind it. What no block knows is done at once.
  input  logic                                   fw_valid_i,
  output logic                                   fw_ready_o,
  input  logic [7:0]                             fw_op_i,
  input  logic [31:0]                            fw_index_i,
  input  logic [pst_admin_pkg::CFG_DATA_WIDTH-1:0] fw_data_i,
  output logic                                   fw_done_o,

  // To all blocks: valid for one cycle; index and data stay until the command is done.
  output logic                                   cfg_valid_o,
  output logic [7:0]                             cfg_op_o,
  output logic [31:0]                            cfg_index_o,
  output logic [pst_admin_pkg::CFG_DATA_WIDTH-1:0] cfg_data_o,
  input  logic [DONE_COUNT-1:0]                  cfg_done_i  // pulses of the blocks
);

  logic                   waiting_q, known_q, clearing_q;
  logic [CLEAR_WIDTH-1:0] clear_count_q;
  logic                   take, known;
  always_comb begin
    case (fw_op_i)
      pst_admin_pkg::CFG_FENCE, pst_admin_pkg::CFG_VI_START, pst_admin_pkg::CFG_VI_STOP, pst_admin_pkg::CFG_EVQ_BIND,
      pst_admin_pkg::CFG_EVQ_MODERATE, pst_admin_pkg::CFG_CLOSE_MERGES, pst_admin_pkg::CFG_PORT, pst_admin_pkg::CFG_XLAT_VI,
      pst_admin_pkg::CFG_XLAT_RANGE, pst_admin_pkg::CFG_XLAT_COUNT, pst_admin_pkg::CFG_FILTER_SLOT, pst_admin_pkg::CFG_FILTER,
      pst_admin_pkg::CFG_FILTER_KINDS, pst_admin_pkg::CFG_RSS_KEY, pst_admin_pkg::CFG_RSS_TABLE, pst_admin_pkg::CFG_GRANT,
      pst_admin_pkg::CFG_RAISE, pst_admin_pkg::CFG_VI_HALT:
        known = 1'b1;
      default: known = 1'b0;
    endcase
  end
  assign fw_ready_o = !waiting_q && !clearing_q;
  assign take = fw_valid_i && fw_ready_o;
  assign fw_done_o = waiting_q && (!known_q || cfg_done_i != '0);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      waiting_q <= 1'b0;
      cfg_valid_o <= 1'b0;
      clearing_q <= 1'b1;
      clear_count_q <= '0;
    end else begin
      cfg_valid_o <= take && known;
      if (take) waiting_q <= 1'b1;
      else if (fw_done_o) waiting_q <= 1'b0;
      if (clearing_q) begin
        clear_count_q <= clear_count_q + 1'b1;
        clearing_q <= clear_count_q != CLEAR_WIDTH'(CLEAR_CYCLES - 1);
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      known_q <= known;
      cfg_op_o <= fw_op_i;
      cfg_index_o <= fw_index_i;
      cfg_data_o <= fw_data_i;
    end
  end

  assign quiet_o = !clearing_q && !take && !cfg_valid_o && !fw_done_o;

endmodule
