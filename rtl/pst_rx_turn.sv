// What pst_rx_engine takes up next: ends of lives and merges first, then copies that wait and new ones in turn.
module pst_rx_turn #(
  parameter int unsigned VI_WIDTH = 10
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                free_i,  // the engine has nothing at hand
  output logic                begin_o,
  output logic [VI_WIDTH-1:0] begin_vi_o,
  output logic                any_o,  // there is something, whether or not it can be taken up now

  input  logic                end_valid_i,
  input  logic [VI_WIDTH-1:0] end_vi_i,
  output logic                end_taken_o,
  input  logic                over_i,
  input  logic [VI_WIDTH-1:0] over_vi_i,
  output logic                over_taken_o,
  input  logic                all_closed_i,  // of no VI
  output logic                all_closed_taken_o,
  input  logic                room_i,  // for a merge that a copy may begin
  input  logic                retry_valid_i,
  input  logic [VI_WIDTH-1:0] retry_vi_i,
  output logic                retry_taken_o,
  input  logic                new_valid_i,
  output logic                new_ready_o,
  input  logic [VI_WIDTH-1:0] new_vi_i,
  output logic                new_taken_o
);

  logic copies, retry_last_q;
  assign any_o = end_valid_i || over_i || all_closed_i || retry_valid_i || new_valid_i;
  assign end_taken_o = free_i && end_valid_i;
  assign over_taken_o = free_i && !end_valid_i && over_i;
  assign all_closed_taken_o = free_i && !end_valid_i && !over_i && all_closed_i;
  assign copies = free_i && !end_valid_i && !over_i && !all_closed_i && room_i;
  assign retry_taken_o = copies && retry_valid_i && !(new_valid_i && retry_last_q);
  assign new_ready_o = copies && !(retry_valid_i && !retry_last_q);
  assign new_taken_o = new_valid_i && new_ready_o;
  assign begin_o = end_taken_o || over_taken_o || retry_taken_o || new_taken_o;
  assign begin_vi_o = end_valid_i ? end_vi_i : over_i ? over_vi_i : retry_taken_o ? retry_vi_i : new_vi_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) retry_last_q <= 1'b0;
    else if (retry_taken_o || new_taken_o) retry_last_q <= retry_taken_o;
  end

endmodule
