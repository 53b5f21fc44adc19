// Internet checksum of a beat (RFC 1071): the one's complement sum of a range of its bytes as 16-bit words in memory order, which
// section 2B allows. Combinational. Who sums several beats adds the results with end-around carry; each begins at an even byte of
// the whole. Packet walk: both directions, where frames pass a beat a cycle.
module pst_checksum (
  input  logic [511:0] data_i,   // byte 0 in bits 7..0
  input  logic [6:0]   first_i,  // the range is [first_i, end_i); first_i is even, end_i at most 64; empty unless first_i < end_i
  input  logic [6:0]   end_i,    // an odd last byte counts as if 0 came behind it
  output logic [15:0]  sum_o     // folded; 0 only if all bytes are 0
);

  // Bytes outside the range count as 0. Most beats count as a whole, so a simulation seldom computes the masks.
  function automatic logic [15:0] sum_of(input logic [511:0] data, input logic [6:0] first, input logic [6:0] beyond);
    logic [511:0] masked;
    logic [35:0]  total;
    logic [20:0]  folded;
    logic [16:0]  carried;
    if (first == 7'd0 && beyond >= 7'd64) masked = data;
    else masked = data & ({512{1'b1}} << {first, 3'b000}) & ~({512{1'b1}} << {beyond, 3'b000});
    total = 36'd0;
    for (int i = 0; i < 16; i++) total = total + {4'd0, masked[32*i +: 32]};  // pairs of words: 2^16 is 1 in this arithmetic
    folded = {5'd0, total[15:0]} + {1'b0, total[35:16]};
    carried = {1'b0, folded[15:0]} + {12'd0, folded[20:16]};
    sum_of = carried[15:0] + {15'd0, carried[16]};
  endfunction
  always_comb begin
    sum_o = '0;
    if (first_i < end_i) sum_o = sum_of(data_i, first_i, end_i);
  end

endmodule
