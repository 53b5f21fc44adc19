// One of the banks of pst_translation: a range of each row, and whether it holds a page. Pages are compared, so nothing
// wraps at the end of the address space.
module pst_translation_bank #(
  parameter int unsigned ROW_COUNT = 1024,  // over all domains; a power of two
  localparam int unsigned ROW_WIDTH = $clog2(ROW_COUNT)
) (
  input  logic                                       clk_i,
  input  logic                                       write_i,
  input  logic [ROW_WIDTH-1:0]                       write_row_i,
  input  logic [pst_admin_pkg::XLAT_RANGE_WIDTH-1:0] write_range_i,
  input  logic                                       read_i,  // what it reads is compared from the next cycle on
  input  logic [ROW_WIDTH-1:0]                       read_row_i,

  input  logic [51:0] page_i,
  output logic        hit_o,
  output logic        writable_o,
  output logic [51:0] host_page_o,
  output logic [5:0]  left_pages_o  // the page and those behind it in the range, at most LEFT_PAGES_MAX
);

  localparam logic [51:0] LEFT_PAGES_MAX = 52'd33;  // more than the longest request can use

  logic [pst_admin_pkg::XLAT_RANGE_WIDTH-1:0] range_mem [ROW_COUNT];
  logic [pst_admin_pkg::XLAT_RANGE_WIDTH-1:0] range_rdata_q;
  pst_admin_pkg::xlat_range_t present;
  logic [51:0] offset_page, left_pages;
  always_ff @(posedge clk_i) begin
    if (read_i) range_rdata_q <= range_mem[read_row_i];
    if (write_i) range_mem[write_row_i] <= write_range_i;
  end
  assign present = range_rdata_q;
  assign offset_page = page_i - present.domain_page;
  assign left_pages = present.page_count - offset_page;
  assign hit_o = page_i >= present.domain_page && offset_page < present.page_count;
  assign writable_o = present.writable;
  assign host_page_o = present.host_page + offset_page;
  assign left_pages_o = left_pages > LEFT_PAGES_MAX ? LEFT_PAGES_MAX[5:0] : left_pages[5:0];

endmodule
