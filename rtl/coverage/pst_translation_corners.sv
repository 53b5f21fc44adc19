// Corner cases of pst_translation (docs/coverage.md). Bound to the block in coverage builds only; ports are named as what they
// watch.
`include "corner.svh"

module pst_translation_corners (
  input logic        clk_i,
  input logic        rst_ni,
  input logic        is_over,
  input logic        again,
  input logic        hits,
  input logic        has_domain,
  input logic        found_writable,
  input logic [17:0] found_bytes,
  input logic [16:0] s2_bytes_q,
  input logic        s2_write_q,
  input logic        s1_valid_q,
  input logic        cfg_waits_q,
  input logic        cfg_written_q,
  input logic        lookups_over,
  input logic [2:0]  xl_valid_i
);

  `PST_CORNER(range_is_in_a_later_row, again)
  `PST_CORNER(fault_page_is_not_mapped, is_over && has_domain && !hits)
  `PST_CORNER(fault_vi_has_no_domain, is_over && !has_domain)
  `PST_CORNER(fault_range_is_read_only, is_over && hits && s2_write_q && !found_writable)
  `PST_CORNER(answer_ends_with_its_range, is_over && hits && found_bytes < {1'b0, s2_bytes_q})
  `PST_CORNER(all_clients_ask_at_once, xl_valid_i == 3'b111)
  `PST_CORNER(command_waits_for_lookups_under_way, cfg_waits_q && cfg_written_q && !lookups_over)
  `PST_CORNER(lookup_waits_for_the_one_before, s1_valid_q && again)

endmodule

bind pst_translation pst_translation_corners u_corners (.hits(hit != '0), .has_domain(s2_domain_q[DOMAIN_WIDTH]), .*);
