// Sums of the bytes that L4 checksums cover, a line of the buffer a cycle, in the order in which pst_segmentation asks for them.
// The TCP header of a packet to segment is summed once and added to the sum of each segment's payload. Holds two results.
module pst_tx_sum (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  input  logic         line_valid_i,  // its data come in the next cycle
  input  logic [6:0]   line_first_i,
  input  logic [6:0]   line_end_i,
  input  logic         line_start_i,
  input  logic         line_last_i,
  input  logic         line_swap_i,
  input  logic         line_header_i,
  input  logic         line_partial_i,
  input  logic [511:0] data_i,

  output logic         sum_valid_o,
  input  logic         sum_take_i,
  output logic [15:0]  sum_o
);

  // ---- The line's sum. Its words are those of the line; an odd first byte is the high half of one.
  logic        line_q, word_q;
  logic [6:0]  first_q, end_q;
  logic [4:0]  flags_q, word_flags_q;
  logic [15:0] line_sum, odd_byte, word_sum_q, odd_byte_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      line_q <= 1'b0;
      word_q <= 1'b0;
      first_q <= 7'd0;
      end_q <= 7'd0;
    end else begin
      line_q <= line_valid_i;
      word_q <= line_q;
      if (line_valid_i) {first_q, end_q} <= {line_first_i, line_end_i};
      else end_q <= 7'd0;
    end
  end
  pst_checksum u_checksum (
    .data_i,
    .first_i(first_q + {6'd0, first_q[0]}),
    .end_i(end_q),
    .sum_o(line_sum)
  );
  assign odd_byte = first_q[0] ? {data_i[{first_q[5:0], 3'b000} +: 8], 8'd0} : 16'd0;
  always_ff @(posedge clk_i) begin
    if (line_valid_i) flags_q <= {line_start_i, line_last_i, line_swap_i, line_header_i, line_partial_i};
    if (line_q) begin
      word_flags_q <= flags_q;
      word_sum_q <= line_sum;
      odd_byte_q <= odd_byte;
    end
  end

  // ---- The run's sum.
  logic        start, last, swap, header, partial, push;
  logic [15:0] total_q, total, turned, header_q, result;
  assign {start, last, swap, header, partial} = word_flags_q;
  assign total = pst_tx_packet_pkg::fold({4'd0, word_sum_q} + {4'd0, odd_byte_q} + (start ? 20'd0 : {4'd0, total_q}));
  assign turned = swap ? pst_tx_packet_pkg::swap16(total) : total;
  assign result = pst_tx_packet_pkg::fold({4'd0, turned} + (partial ? {4'd0, header_q} : 20'd0));
  assign push = word_q && last && !header;
  always_ff @(posedge clk_i) begin
    if (word_q) total_q <= total;
    if (word_q && last && header) header_q <= turned;
  end

  // ---- Results.
  logic [15:0] sum_first_q, sum_second_q;
  logic [1:0]  count_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_q <= 2'd0;
    else count_q <= count_q + {1'b0, push} - {1'b0, sum_take_i};
  end
  always_ff @(posedge clk_i) begin
    if (sum_take_i) sum_first_q <= sum_second_q;
    if (push && count_q == {1'b0, sum_take_i}) sum_first_q <= result;
    else if (push) sum_second_q <= result;
  end
  assign sum_valid_o = count_q != 2'd0;
  assign sum_o = sum_first_q;
  assign quiet_o = !line_q && !word_q && end_q == 7'd0;

endmodule
