// The port's receive buffer: frames as linked lists of 64-byte cells, named by their first cell. Hides the free list and how many
// users a frame still has. A frame's first user is whoever steers it; each copy adds one; the last to release it frees its cells.
// Packet walk: where a frame waits between the wire and host memory.
module pst_rx_buffer #(
  parameter int unsigned CELL_COUNT = 4096,  // a power of two
  localparam int unsigned CELL_WIDTH = $clog2(CELL_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,
  output logic [31:0] level_bytes_o,  // in use, in whole cells

  // The parser: takes the free cell that is offered and writes a beat into it. link_ names the cell behind prev; end_ closes a
  // list; drop_ gives a list back that nobody got to see.
  output logic                  free_valid_o,
  output logic [CELL_WIDTH-1:0] free_cell_o,
  input  logic                  write_valid_i,
  input  logic [511:0]          write_data_i,
  input  logic                  write_link_i,
  input  logic [CELL_WIDTH-1:0] write_prev_i,
  input  logic                  end_valid_i,   // with the last beat's cell; the list then has one user
  input  logic                  end_drop_i,
  input  logic [CELL_WIDTH-1:0] end_frame_i,
  input  logic [CELL_WIDTH-1:0] end_cell_i,
  input  logic [7:0]            end_count_i,  // cells of the list

  // Users: the filter adds one per copy and releases its own; receive DMA releases a copy.
  input  logic                  add_valid_i,
  output logic                  add_ready_o,
  input  logic [CELL_WIDTH-1:0] add_frame_i,
  input  logic                  own_valid_i,
  output logic                  own_ready_o,
  input  logic [CELL_WIDTH-1:0] own_frame_i,
  input  logic                  release_valid_i,
  output logic                  release_ready_o,
  input  logic [CELL_WIDTH-1:0] release_frame_i,

  // What is read comes in the next cycle and stays until the next read.
  input  logic                  cell_rd_valid_i,
  input  logic [CELL_WIDTH-1:0] cell_rd_cell_i,
  output logic [511:0]          cell_data_o,
  output logic [CELL_WIDTH-1:0] cell_next_o
);

  logic [511:0]            data_mem [CELL_COUNT];
  logic [CELL_WIDTH-1:0]   next_mem [CELL_COUNT];
  logic [CELL_WIDTH+7:0]   list_mem [CELL_COUNT];  // {cells, last cell} of a frame, by its first cell
  logic [15:0]             user_mem [CELL_COUNT];  // likewise
  logic [2*CELL_WIDTH-1:0] free_mem [CELL_COUNT];  // lists that are free, as {first, last}: a ring

  // ---- Free cells: those never used come first, then the cells of the free list that is open.
  logic [CELL_WIDTH:0]   fresh_q;  // CELL_COUNT: all have been used once
  logic [CELL_WIDTH:0]   free_head_q, free_tail_q, used_q;
  logic                  open_q, fresh, take, give, open_next;
  logic [CELL_WIDTH-1:0] open_cell_q, open_last_q, give_first, give_last;
  logic [7:0]            give_count;
  assign fresh = !fresh_q[CELL_WIDTH];
  assign free_valid_o = fresh || open_q;
  assign free_cell_o = fresh ? fresh_q[CELL_WIDTH-1:0] : open_cell_q;
  assign take = write_valid_i;
  assign open_next = free_head_q != free_tail_q && (!open_q || (take && !fresh && open_cell_q == open_last_q));
  assign level_bytes_o = {{(25 - CELL_WIDTH){1'b0}}, used_q, 6'd0};
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fresh_q <= '0;
      free_head_q <= '0;
      free_tail_q <= '0;
      used_q <= '0;
      open_q <= 1'b0;
    end else begin
      if (take && fresh) fresh_q <= fresh_q + 1'b1;
      if (give) free_tail_q <= free_tail_q + 1'b1;
      if (open_next) free_head_q <= free_head_q + 1'b1;
      if (open_next) open_q <= 1'b1;
      else if (take && !fresh && open_cell_q == open_last_q) open_q <= 1'b0;
      if (take || give) begin
        used_q <= used_q + {{CELL_WIDTH{1'b0}}, take} - (give ? {{(CELL_WIDTH - 7){1'b0}}, give_count} : '0);
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (open_next) {open_cell_q, open_last_q} <= free_mem[free_head_q[CELL_WIDTH-1:0]];
    else if (take && !fresh) open_cell_q <= next_mem[open_cell_q];
    if (give) free_mem[free_tail_q[CELL_WIDTH-1:0]] <= {give_first, give_last};
    if (write_valid_i) data_mem[free_cell_o] <= write_data_i;
    if (write_valid_i && write_link_i) next_mem[write_prev_i] <= free_cell_o;
  end

  // ---- Reading.
  always_ff @(posedge clk_i) begin
    if (cell_rd_valid_i) begin
      cell_data_o <= data_mem[cell_rd_cell_i];
      cell_next_o <= next_mem[cell_rd_cell_i];
    end
  end

  // ---- Users: one operation a cycle. The parser does not wait.
  logic                  op_add, op_own, op_release, op_end, frees;
  logic [CELL_WIDTH-1:0] op_frame;
  logic [15:0]           users, users_next;
  logic [CELL_WIDTH+7:0] list;
  assign op_end = end_valid_i && !end_drop_i;
  assign add_ready_o = !end_valid_i;
  assign op_add = add_ready_o && add_valid_i;
  assign own_ready_o = !end_valid_i && !add_valid_i;
  assign op_own = own_ready_o && own_valid_i;
  assign release_ready_o = !end_valid_i && !add_valid_i && !own_valid_i;
  assign op_release = release_ready_o && release_valid_i;
  assign op_frame = op_end ? end_frame_i : op_add ? add_frame_i : op_own ? own_frame_i : release_frame_i;
  assign users = user_mem[op_frame];
  assign users_next = op_end ? 16'd1 : op_add ? users + 16'd1 : users - 16'd1;
  assign frees = (op_own || op_release) && users == 16'd1;
  assign list = list_mem[op_frame];
  always_ff @(posedge clk_i) begin
    if (op_end || op_add || op_own || op_release) user_mem[op_frame] <= users_next;
    if (op_end) list_mem[end_frame_i] <= {end_count_i, end_cell_i};
  end
  assign give = frees || (end_valid_i && end_drop_i);
  assign give_first = frees ? op_frame : end_frame_i;
  assign give_last = frees ? list[CELL_WIDTH-1:0] : end_cell_i;
  assign give_count = frees ? list[CELL_WIDTH +: 8] : end_count_i;

  assign quiet_o = !open_next && !write_valid_i && !end_valid_i && !add_valid_i && !own_valid_i && !release_valid_i;

endmodule
