// Writes the payload of copies whose buffers have been translated: prefix and frame go out as one request per piece of host
// memory, their bytes in the lanes in which they lie. Jobs without payload pass in order. Hides the walk over a frame's cells.
module pst_rx_scatter #(
  parameter int unsigned DEPTH = 4,  // jobs; a power of two
  parameter int unsigned VI_WIDTH = 10
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic empty_o,

  // A job's segments are put before it. Segments come to nothing with segment_undo_i, as far as no job has followed them.
  input  logic                                     segment_valid_i,
  output logic                                     segment_ready_o,
  input  logic [pst_rx_dma_pkg::SEGMENT_WIDTH-1:0] segment_i,
  input  logic                                     segment_undo_i,
  input  logic                                     job_valid_i,
  output logic                                     job_ready_o,
  input  logic [pst_rx_dma_pkg::JOB_WIDTH-1:0]     job_i,

  // pst_rx_buffer: a cell comes in the next cycle and stays until another one is read.
  output logic         cell_rd_valid_o,
  output logic [11:0]  cell_rd_cell_o,
  input  logic [511:0] cell_data_i,
  input  logic [11:0]  cell_next_i,

  output logic                pw_valid_o,
  input  logic                pw_ready_i,
  output logic                pw_first_o,
  output logic                pw_last_o,
  output logic [VI_WIDTH-1:0] pw_vi_o,
  output logic [63:0]         pw_address_o,  // host
  output logic [16:0]         pw_bytes_o,
  output logic [511:0]        pw_data_o,
  output logic [5:0]          pw_lane_o,
  output logic [6:0]          pw_count_o,
  output logic [15:0]         pw_id_o,

  output logic                                    finish_valid_o,
  input  logic                                    finish_ready_i,
  output logic [pst_rx_dma_pkg::FINISH_WIDTH-1:0] finish_o
);

  localparam int unsigned JOB_WIDTH = pst_rx_dma_pkg::JOB_WIDTH;
  localparam int unsigned PTR_WIDTH = $clog2(DEPTH);
  localparam int unsigned SEGMENT_PTR_WIDTH = $clog2(pst_rx_dma_pkg::SEGMENT_COUNT);

  // ---- Jobs.
  logic [JOB_WIDTH-1:0] job_mem [DEPTH];
  logic [PTR_WIDTH-1:0] job_first_q, job_next_q;
  logic [PTR_WIDTH:0]   job_count_q;
  logic                 job_put, job_take;
  assign job_ready_o = job_count_q != (PTR_WIDTH + 1)'(DEPTH);
  assign job_put = job_valid_i && job_ready_o;
  always_ff @(posedge clk_i) begin
    if (job_put) job_mem[job_next_q] <= job_i;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      job_first_q <= '0;
      job_next_q <= '0;
      job_count_q <= '0;
    end else if (job_put || job_take) begin
      if (job_put) job_next_q <= job_next_q + 1'b1;
      if (job_take) job_first_q <= job_first_q + 1'b1;
      job_count_q <= job_count_q + (PTR_WIDTH + 1)'(job_put) - (PTR_WIDTH + 1)'(job_take);
    end
  end
  assign empty_o = job_count_q == '0;

  // ---- Segments: those before kept_q belong to jobs.
  logic put_payload;
  assign put_payload = job_i[JOB_WIDTH-1];
  logic [pst_rx_dma_pkg::SEGMENT_WIDTH-1:0] segment_mem [pst_rx_dma_pkg::SEGMENT_COUNT];
  logic [SEGMENT_PTR_WIDTH:0] segment_first_q, segment_kept_q, segment_next_q;
  logic                       segment_take;
  assign segment_ready_o = segment_next_q - segment_first_q != (SEGMENT_PTR_WIDTH + 1)'(pst_rx_dma_pkg::SEGMENT_COUNT);
  always_ff @(posedge clk_i) begin
    if (segment_valid_i && segment_ready_o) segment_mem[segment_next_q[SEGMENT_PTR_WIDTH-1:0]] <= segment_i;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      segment_first_q <= '0;
      segment_kept_q <= '0;
      segment_next_q <= '0;
    end else begin
      if (segment_take) segment_first_q <= segment_first_q + 1'b1;
      if (job_put && put_payload) segment_kept_q <= segment_next_q;
      if (segment_undo_i) segment_next_q <= segment_kept_q;
      else if (segment_valid_i && segment_ready_o) segment_next_q <= segment_next_q + 1'b1;
    end
  end

  // ---- The walk: a beat ends with its segment, its cell, the prefix, or before the tag that is left out.
  pst_rx_dma_pkg::job_t     job;
  pst_rx_dma_pkg::segment_t segment;
  logic        run_q, first_q, in_prefix_q, before_tag_q;
  logic [6:0]  lane_q, part_end, part_left;
  logic [16:0] left_q;  // of the segment
  logic        begins, ends_part, ends_segment, ends_job, accepted;
  logic [6:0]  count;
  assign job = job_mem[job_first_q];
  assign segment = segment_mem[segment_first_q[SEGMENT_PTR_WIDTH-1:0]];
  assign begins = !run_q && job_count_q != '0 && job.payload;
  assign part_end = in_prefix_q ? 7'(pst_contract_pkg::PST_LIMIT_RX_PREFIX_BYTES)
                                : before_tag_q ? pst_rx_dma_pkg::VLAN_TAG_OFFSET : 7'd64;
  assign part_left = part_end - lane_q;
  assign ends_segment = left_q <= {10'd0, part_left};
  assign count = ends_segment ? left_q[6:0] : part_left;
  assign ends_part = {10'd0, part_left} <= left_q;
  assign ends_job = ends_segment && segment.last;
  assign pw_valid_o = run_q && (!ends_job || finish_ready_i);
  assign accepted = pw_valid_o && pw_ready_i;
  assign segment_take = accepted && ends_segment;
  assign job_take = finish_valid_o && finish_ready_i;
  assign finish_valid_o = run_q ? pw_ready_i && ends_job : job_count_q != '0 && !job.payload;
  assign finish_o = job.finish;

  logic [16:0] next_segment_bytes;
  assign next_segment_bytes = segment_mem[segment_first_q[SEGMENT_PTR_WIDTH-1:0] + 1'b1][80:64];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) run_q <= 1'b0;
    else if (begins) run_q <= 1'b1;
    else if (accepted && ends_job) run_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (begins) begin
      first_q <= 1'b1;
      in_prefix_q <= job.prefix;
      before_tag_q <= job.strip;
      lane_q <= 7'd0;
      left_q <= segment.bytes;
    end else if (accepted) begin
      first_q <= ends_segment;
      left_q <= ends_segment ? next_segment_bytes : left_q - {10'd0, count};
      lane_q <= lane_q + count;
      if (ends_part) begin
        lane_q <= 7'd0;
        in_prefix_q <= 1'b0;
        if (!in_prefix_q) before_tag_q <= 1'b0;
        if (!in_prefix_q && before_tag_q) lane_q <= pst_rx_dma_pkg::VLAN_TAG_OFFSET + 7'(pst_rx_dma_pkg::VLAN_TAG_BYTES);
      end
    end
  end
  assign cell_rd_valid_o = begins || (accepted && ends_part && !in_prefix_q && !before_tag_q && !ends_job);
  assign cell_rd_cell_o = run_q ? cell_next_i : job.finish.frame;

  // ---- The beat.
  logic [255:0] prefix;
  always_comb begin
    prefix = '0;
    if (in_prefix_q) begin
      if (job.hash_valid) prefix[pst_contract_pkg::PST_RX_PREFIX_RSS_HASH_LSB +: 32] = job.hash;
      prefix[pst_contract_pkg::PST_RX_PREFIX_RSS_VALID_LSB] = job.hash_valid;
      prefix[pst_contract_pkg::PST_RX_PREFIX_FILTER_ID_LSB +: 16] = job.filter_id;
      prefix[pst_contract_pkg::PST_RX_PREFIX_TIMESTAMP_NS_LSB +: 64] = job.time_ns;
      prefix[pst_contract_pkg::PST_RX_PREFIX_LENGTH_BYTES_LSB +: 16] = job.length_bytes;
      if (job.strip) prefix[pst_contract_pkg::PST_RX_PREFIX_VLAN_TCI_LSB +: 16] = job.vlan_tci;
      prefix[pst_contract_pkg::PST_RX_PREFIX_VLAN_STRIPPED_LSB] = job.strip;
    end
  end
  assign pw_first_o = first_q;
  assign pw_last_o = ends_segment;
  assign pw_vi_o = job.finish.vi[VI_WIDTH-1:0];
  assign pw_address_o = segment.address;
  assign pw_bytes_o = segment.bytes;
  assign pw_data_o = in_prefix_q ? {256'd0, prefix} : cell_data_i;
  assign pw_lane_o = lane_q[5:0];
  assign pw_count_o = count;
  assign pw_id_o = job.id;

endmodule
