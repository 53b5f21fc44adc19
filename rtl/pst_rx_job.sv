// The job that pst_rx_engine hands on at the end of a step: what goes out, what its event says, what is counted. Combinational.
module pst_rx_job (
  input  logic [2:0]                               kind_i,  // JOB_
  input  logic [15:0]                              vi_i,
  input  logic [pst_rx_dma_pkg::CONTEXT_WIDTH-1:0] context_i,
  input  logic [pst_rx_dma_pkg::OPTIONS_WIDTH-1:0] options_i,
  input  logic [pst_rx_dma_pkg::COPY_WIDTH-1:0]    copy_i,
  input  logic [5:0]                               desc_count_i,     // that the copy takes
  input  logic [13:0]                              written_bytes_i,  // prefix and frame
  input  logic                                     truncated_i,
  input  logic                                     announce_i,       // JOB_COPY brings an event
  input  logic [7:0]                               frames_i,         // ... for so many frames
  input  logic [3:0]                               reason_i,         // JOB_DROP
  output logic [pst_rx_dma_pkg::JOB_WIDTH-1:0]     job_o
);

  pst_rx_dma_pkg::context_t now;
  pst_rx_dma_pkg::options_t options;
  pst_rx_dma_pkg::copy_t    copy;
  pst_rx_dma_pkg::job_t     job;
  assign now = context_i;
  assign options = options_i;
  assign copy = copy_i;
  assign job_o = job;

  logic [15:0] prefix_bytes, length_bytes, event_bytes;
  logic [7:0]  frames, descs;
  logic [63:0] word;
  logic        truncated, is_close;
  assign is_close = kind_i == pst_rx_dma_pkg::JOB_CLOSE;
  assign prefix_bytes = options.prefix ? 16'(pst_contract_pkg::PST_LIMIT_RX_PREFIX_BYTES) : 16'd0;
  assign length_bytes = {2'd0, written_bytes_i} > prefix_bytes ? {2'd0, written_bytes_i} - prefix_bytes : 16'd0;
  assign frames = is_close ? now.merge_frames : frames_i;
  assign event_bytes = frames > 8'd1 ? 16'd0 : is_close ? now.merge_length_bytes : length_bytes;
  assign descs = is_close || frames > 8'd1 ? frames : {2'd0, desc_count_i};
  assign truncated = truncated_i && !is_close;
  always_comb begin
    word = is_close ? now.merge_word : copy.word;
    word[pst_contract_pkg::PST_RX_EVENT_LENGTH_BYTES_LSB +: 16] = event_bytes;
    word[pst_contract_pkg::PST_RX_EVENT_DESC_COUNT_LSB +: 8] = descs;
    word[pst_contract_pkg::PST_RX_EVENT_PREFIX_PRESENT_LSB] = options.prefix;
    word[pst_contract_pkg::PST_RX_EVENT_MERGED_LSB] = frames > 8'd1;
    if (truncated) begin
      word[pst_contract_pkg::PST_RX_EVENT_ERROR_CLASS_LSB +: 4] = pst_contract_pkg::PST_RX_ERROR_CLASS_TRUNCATED;
      word[pst_contract_pkg::PST_RX_EVENT_CHECKSUM_L4_LSB +: 2] = pst_contract_pkg::PST_CHECKSUM_RESULT_NONE;
    end
  end

  always_comb begin
    job = '0;
    job.finish.vi = vi_i;
    job.finish.frame = copy.frame;
    job.finish.reason = reason_i;
    job.finish.frames = frames;
    job.finish.index = now.consumer_idx;
    job.finish.word = word;
    case (kind_i)
      pst_rx_dma_pkg::JOB_COPY: begin
        job.payload = 1'b1;
        job.prefix = options.prefix;
        job.strip = options.strip && copy.has_tag;
        job.hash_valid = copy.hash_valid;
        job.hash = copy.hash;
        job.filter_id = copy.filter_id;
        job.time_ns = copy.time_ns;
        job.length_bytes = length_bytes;
        job.vlan_tci = copy.vlan_tci;
        job.id = copy.id;
        job.finish.gives_back = 1'b1;
        job.finish.done = 1'b1;
        job.finish.post = announce_i;
        job.finish.index = now.consumer_idx + {26'd0, desc_count_i};
      end
      pst_rx_dma_pkg::JOB_CLOSE: job.finish.post = 1'b1;
      pst_rx_dma_pkg::JOB_DROP: begin
        job.finish.gives_back = 1'b1;
        job.finish.drop = 1'b1;
        job.finish.frames = 8'd1;
      end
      pst_rx_dma_pkg::JOB_DROP_MERGE: begin
        job.finish.drop = 1'b1;
        job.finish.frames = now.merge_frames;
      end
      pst_rx_dma_pkg::JOB_LIFE: job.finish.life = 1'b1;
      pst_rx_dma_pkg::JOB_CFG: job.finish.cfg = 1'b1;
      default: ;
    endcase
  end

endmodule
