// Frames out of the buffer: lines are turned and packed behind each other, header fields, checksums and an inserted tag are
// written over the first 128 bytes, short frames are padded with zeros. A line a cycle; the whole pipeline waits while a frame's
// beat does. Packet walk: from the checked packet to the port.
module pst_tx_send (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  input  logic                                    job_valid_i,
  output logic                                    job_ready_o,
  input  logic [pst_tx_packet_pkg::JOB_WIDTH-1:0] job_i,
  input  logic                                    sum_valid_i,
  output logic                                    sum_take_o,
  input  logic [15:0]                             sum_i,

  output logic         rd_valid_o,
  output logic [9:0]   rd_line_o,
  input  logic [511:0] rd_data_i,
  output logic         done_o,  // the last line of a packet has been read

  output logic         fr_valid_o,
  input  logic         fr_ready_i,
  output logic [511:0] fr_data_o,
  output logic [6:0]   fr_bytes_o,
  output logic         fr_last_o,
  output logic [15:0]  fr_vi_o,
  output logic [31:0]  fr_end_idx_o
);

  localparam int unsigned JOB_WIDTH = pst_tx_packet_pkg::JOB_WIDTH;
  localparam logic [6:0] FRAME_BYTES_MIN = 7'(pst_contract_pkg::PST_LIMIT_FRAME_BYTES_MIN);
  localparam logic [15:0] VLAN_TAG = 16'h0081;  // ethertype 0x8100 as in memory

  logic step;  // the pipeline moves
  assign step = !fr_valid_o || fr_ready_i;

  // ---- Frames that wait: two places.
  logic [JOB_WIDTH-1:0]    first_q, second_q;
  logic [1:0]              count_q;
  logic                    push, pop, reading_q;
  pst_tx_packet_pkg::job_t first;
  assign first = first_q;
  assign job_ready_o = count_q != 2'd2;
  assign push = job_valid_i && job_ready_o;
  assign pop = count_q != 2'd0 && !reading_q && step && (!first.put_l4 || sum_valid_i);
  assign sum_take_o = pop && first.put_l4;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_q <= 2'd0;
    else count_q <= count_q + {1'b0, push} - {1'b0, pop};
  end
  always_ff @(posedge clk_i) begin
    if (pop) first_q <= second_q;
    if (push && count_q == {1'b0, pop}) first_q <= job_i;
    else if (push) second_q <= job_i;
  end

  // ---- Lines of the frame that is being read: each adds count bytes behind the fill bytes of the word that is being packed. What
  // is over when the frame ends is a beat of its own.
  pst_tx_packet_pkg::job_t job;
  logic [JOB_WIDTH-1:0]    job_q;
  logic [15:0]             l4_checksum_q, l4_sum, address_q;
  logic [13:0]             left_q;
  logic [6:0]              room, count;
  logic [7:0]              filled;
  logic [5:0]              fill_q;
  logic [1:0]              word_q;  // of the frame: 0, 1 or a later one
  logic                    in_second_q, rest_q, start_q, run_ends, frame_ends;
  assign job = job_q;
  assign l4_sum = ~pst_tx_packet_pkg::fold({4'd0, first.l4_sum} + {4'd0, sum_i});
  assign room = 7'd64 - {1'b0, address_q[5:0]};
  assign run_ends = left_q <= {7'd0, room};
  assign count = run_ends ? left_q[6:0] : room;
  assign filled = {2'd0, fill_q} + {1'b0, count};
  assign frame_ends = run_ends && (in_second_q || job.second_bytes == 14'd0);
  assign rd_valid_o = reading_q && step && !rest_q;
  assign rd_line_o = address_q[15:6];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      reading_q <= 1'b0;
      done_o <= 1'b0;
    end else begin
      done_o <= (rd_valid_o && frame_ends && job.last) || (pop && first.drop);
      if (pop) reading_q <= !first.drop;
      else if (reading_q && step && (rest_q || (frame_ends && filled <= 8'd64))) reading_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (pop && !first.drop) begin
      job_q <= first_q;
      l4_checksum_q <= l4_sum == 16'd0 && first.udp ? 16'hffff : l4_sum;  // 0 would mean none (RFC 768)
      address_q <= first.first;
      left_q <= first.first_bytes;
      fill_q <= {3'd0, first.vlan_insert, 2'b00};  // the first 16 bytes are written later
      word_q <= 2'd0;
      {in_second_q, rest_q, start_q} <= 3'b001;
    end else if (reading_q && step) begin
      start_q <= 1'b0;
      fill_q <= filled[5:0];
      if (filled >= 8'd64 && word_q != 2'd2) word_q <= word_q + 2'd1;
      if (run_ends && !frame_ends) begin
        in_second_q <= 1'b1;
        address_q <= job.second;
        left_q <= job.second_bytes;
      end else begin
        address_q <= {address_q[15:6] + 10'd1, 6'd0};
        left_q <= left_q - {7'd0, count};
      end
      if (frame_ends && filled > 8'd64) rest_q <= 1'b1;
    end
  end

  // ---- The line has come: turned to its place and joined with what was there. A line that came while the pipeline stood is kept.
  typedef struct packed {
    logic       start;  // of the frame
    logic       read;
    logic       emit;  // the word is complete
    logic       over;  // the line goes on in the next word
    logic       last;
    logic [6:0] bytes;  // of the word, if last
    logic [1:0] word;
    logic [5:0] fill;
    logic [5:0] turn;  // bytes towards higher lanes
  } beat_t;
  beat_t                beat_q;
  logic                 beat_valid_q, fresh_q, kept_q, over_q;
  logic [511:0]         kept_line_q, over_data_q, word_data_q;
  logic                 word_valid_q, word_last_q;
  logic [6:0]           word_bytes_q;
  logic [1:0]           word_place_q;
  logic [JOB_WIDTH-1:0] beat_job_q, word_job_q;
  logic [15:0]          beat_l4_q, word_l4_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      beat_valid_q <= 1'b0;
      fresh_q <= 1'b0;
      kept_q <= 1'b0;
      word_valid_q <= 1'b0;
      fr_valid_o <= 1'b0;
    end else begin
      fresh_q <= rd_valid_o;
      if (step) begin
        beat_valid_q <= reading_q;
        kept_q <= 1'b0;
        word_valid_q <= beat_valid_q && beat_q.emit;
        fr_valid_o <= word_valid_q;
      end else if (fresh_q) begin
        kept_q <= 1'b1;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (reading_q && step) begin
      beat_q.start <= start_q;
      beat_q.read <= !rest_q;
      beat_q.emit <= rest_q || frame_ends || filled >= 8'd64;
      beat_q.over <= filled >= 8'd64;
      beat_q.last <= rest_q || (frame_ends && filled <= 8'd64);
      beat_q.bytes <= rest_q ? {1'b0, fill_q} : filled[6:0];
      beat_q.word <= word_q;
      beat_q.fill <= fill_q;
      beat_q.turn <= fill_q - address_q[5:0];
      if (start_q) {beat_job_q, beat_l4_q} <= {job_q, l4_checksum_q};
    end
  end
  // The line at its place, of which the bytes that are over belong to the next word.
  logic [511:0] turned, fill_mask;
  always_comb begin
    turned = kept_q ? kept_line_q : rd_data_i;
    if (beat_valid_q && beat_q.turn != 6'd0) begin
      turned = turned << {beat_q.turn, 3'b000} | turned >> (10'd512 - {1'b0, beat_q.turn, 3'b000});
    end
  end
  assign fill_mask = {512{1'b1}} << {beat_q.fill, 3'b000};
  always_ff @(posedge clk_i) begin
    if (fresh_q && !step) kept_line_q <= rd_data_i;
    if (beat_valid_q && step) begin
      if (beat_q.read) begin
        over_data_q <= turned;
        if (beat_q.fill == 6'd0) word_data_q <= turned;
        else word_data_q <= ((over_q ? over_data_q : word_data_q) & ~fill_mask) | (turned & fill_mask);
      end
      if (!beat_q.read) word_data_q <= over_data_q;
      over_q <= beat_q.over;
      {word_last_q, word_bytes_q, word_place_q} <= {beat_q.last, beat_q.bytes, beat_q.word};
      if (beat_q.start) {word_job_q, word_l4_q} <= {beat_job_q, beat_l4_q};
    end
  end

  // ---- What is written over the frame's first two words: 16-bit words at their places, those of the other word have no effect.
  pst_tx_packet_pkg::job_t word_job;
  logic [5:0]              l3_word;
  assign word_job = word_job_q;
  assign l3_word = {1'b0, word_job.l3_word};
  function automatic logic [511:0] put(input logic [511:0] word, input logic second, input logic [5:0] place,
                                       input logic [15:0] value);
    put = word;
    if (place[5] == second) put[{place[4:0], 4'b0000} +: 16] = value;
  endfunction
  function automatic logic [511:0] written(input logic [511:0] word, input logic second);
    logic [511:0] now;
    now = word;
    if (word_job.vlan_insert && !second) begin
      now[127:0] = {word_job.vlan_tci[7:0], word_job.vlan_tci[15:8], VLAN_TAG, word_job.macs};
    end
    if (word_job.put_segment) begin
      now = put(now, second, l3_word + (word_job.ipv4 ? 6'd1 : 6'd2), word_job.ip_length);
      if (word_job.ipv4) now = put(now, second, l3_word + 6'd2, word_job.ip_id);
      now = put(now, second, word_job.l4_word + 6'd2, word_job.sequence_number[15:0]);
      now = put(now, second, word_job.l4_word + 6'd3, word_job.sequence_number[31:16]);
      now = put(now, second, word_job.l4_word + 6'd6, word_job.tcp_flags);
    end
    if (word_job.put_l3) now = put(now, second, l3_word + 6'd5, word_job.l3_checksum);
    if (word_job.put_l4) now = put(now, second, word_job.l4_word + (word_job.udp ? 6'd3 : 6'd8), word_l4_q);
    written = now;
  endfunction
  function automatic logic [511:0] padded(input logic [511:0] word, input logic [6:0] bytes);
    padded = word & ~({512{1'b1}} << {bytes, 3'b000});
  endfunction
  logic short_frame, changed;
  assign short_frame = word_last_q && word_place_q == 2'd0 && word_bytes_q < FRAME_BYTES_MIN;
  assign changed = !word_place_q[1] && (word_job.vlan_insert || word_job.put_segment || word_job.put_l3 || word_job.put_l4);
  always_ff @(posedge clk_i) begin
    if (word_valid_q && step) begin
      fr_last_o <= word_last_q;
      fr_bytes_o <= !word_last_q ? 7'd64 : short_frame ? FRAME_BYTES_MIN : word_bytes_q;
      {fr_vi_o, fr_end_idx_o} <= {word_job.vi, word_job.end_idx};
      // Two conditions, not one with else: a simulation then computes only the one that holds.
      if (changed || short_frame) fr_data_o <= padded(written(word_data_q, word_place_q[0]), short_frame ? word_bytes_q : 7'd64);
      if (!changed && !short_frame) fr_data_o <= word_data_q;
    end
  end

  // Still: nothing to do, or a beat waits and what the buffer still had to bring has come.
  assign quiet_o = !job_valid_i && !done_o && !fresh_q &&
                   (step ? !pop && !reading_q && !beat_valid_q && !word_valid_q && !fr_valid_o : 1'b1);

endmodule
