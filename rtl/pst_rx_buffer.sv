// Holds received frames in cells of 64 bytes until the last copy has been written to its host. A frame is a linked list of cells,
// named by its first. Free cells are in a FIFO, so that a frame that turns out bad gives its cells back by stepping back in it.
// Packet walk: between the receive parser, which fills it, and the receive DMA, which reads it.
module pst_rx_buffer #(
  parameter int unsigned CELL_COUNT = 4096,  // a power of two
  localparam int unsigned CELL_WIDTH = $clog2(CELL_COUNT)
) (
  input  logic clk_i,
  input  logic rst_ni,
  output logic quiet_o,

  // Parser: the next cell, if there is one; a beat fills it. first: the cell begins a frame; last: the frame is complete and stays.
  // abort, without a beat: all cells of the present frame are free again.
  output logic                  space_o,
  output logic [CELL_WIDTH-1:0] cell_o,
  input  logic                  wr_valid_i,
  input  logic                  wr_first_i,
  input  logic                  wr_last_i,
  input  logic [511:0]          wr_data_i,
  input  logic                  wr_abort_i,

  // Filter: a frame's cells and for how many copies it stays; 0 copies free it. Before any copy is released.
  input  logic                  hold_valid_i,
  output logic                  hold_ready_o,
  input  logic [CELL_WIDTH-1:0] hold_frame_i,
  input  logic [7:0]            hold_cells_i,
  input  logic [12:0]           hold_copies_i,

  // Receive DMA: a cell and the one behind it, a cycle later; and that one copy of a frame is done with.
  input  logic                  cell_rd_valid_i,
  input  logic [CELL_WIDTH-1:0] cell_rd_cell_i,
  output logic [511:0]          cell_data_o,
  output logic [CELL_WIDTH-1:0] cell_next_o,
  input  logic                  release_valid_i,
  output logic                  release_ready_o,
  input  logic [CELL_WIDTH-1:0] release_frame_i,

  output logic [31:0] level_bytes_o  // of the cells in use
);

  localparam int unsigned POINTER_WIDTH = CELL_WIDTH + 1;

  // ---- Free cells. After reset they are put in one by one, which needs no quiet time: what is there can be used. The entries
  // between frame_q and read_q are those of the frame that is coming in; they stay until it is complete.
  logic [CELL_WIDTH-1:0]    free_mem [CELL_COUNT];
  logic [POINTER_WIDTH-1:0] read_q, read_d, frame_q, write_q, filled_q;
  logic                     filling, push, fill;
  logic [CELL_WIDTH-1:0]    push_cell;
  assign filling = filled_q != POINTER_WIDTH'(CELL_COUNT);
  always_comb begin
    read_d = read_q;
    if (wr_abort_i) read_d = frame_q;
    else if (wr_valid_i) read_d = read_q + 1'b1;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      read_q <= '0;
      frame_q <= '0;
      write_q <= '0;
      filled_q <= '0;
      space_o <= 1'b0;
    end else begin
      read_q <= read_d;
      if (wr_valid_i && wr_last_i) frame_q <= read_d;
      if (push || fill) write_q <= write_q + 1'b1;
      if (fill) filled_q <= filled_q + 1'b1;
      space_o <= read_d != write_q;  // an entry that is written now can be read in the next cycle only
    end
  end
  always_ff @(posedge clk_i) begin
    if (push || fill) free_mem[write_q[CELL_WIDTH-1:0]] <= push ? push_cell : filled_q[CELL_WIDTH-1:0];
    if (wr_abort_i || wr_valid_i || !space_o) cell_o <= free_mem[read_d[CELL_WIDTH-1:0]];
  end
  logic [POINTER_WIDTH-1:0] used;
  assign used = filled_q - (write_q - read_q);
  assign level_bytes_o = 32'(used) << 6;

  // ---- Cells and their links, which two readers follow.
  logic [511:0]          data_mem [CELL_COUNT];
  logic [CELL_WIDTH-1:0] next_read_mem [CELL_COUNT];
  logic [CELL_WIDTH-1:0] next_walk_mem [CELL_COUNT];
  logic [CELL_WIDTH-1:0] before_q;  // the frame's cell before this one
  always_ff @(posedge clk_i) begin
    if (wr_valid_i) begin
      data_mem[cell_o] <= wr_data_i;
      before_q <= cell_o;
      if (!wr_first_i) begin
        next_read_mem[before_q] <= cell_o;
        next_walk_mem[before_q] <= cell_o;
      end
    end
    if (cell_rd_valid_i) begin
      cell_data_o <= data_mem[cell_rd_cell_i];
      cell_next_o <= next_read_mem[cell_rd_cell_i];
    end
  end

  // ---- Copies. A frame whose last one is done is walked, a cell a cycle; the filter's next frames are heard meanwhile, or a
  // frame would take the time of its lookup and its walk.
  localparam logic [1:0] IDLE = 2'd0;
  localparam logic [1:0] COUNT = 2'd1;  // of the frame in walk_q a copy is done
  localparam logic [1:0] WALK = 2'd2;
  logic [20:0]           copies_mem [CELL_COUNT];  // {cells, copies}, by the frame's first cell
  logic [1:0]            state_q;
  logic [20:0]           copies_q;
  logic [CELL_WIDTH-1:0] walk_q, walk_next_q, follow;
  logic [7:0]            left_q, left;
  logic                  take_release, take_hold, frees, last_copy, keep;
  assign release_ready_o = state_q == IDLE;
  assign hold_ready_o = hold_copies_i == '0 ? state_q == IDLE && !release_valid_i : state_q != COUNT;
  assign take_release = release_ready_o && release_valid_i;
  assign take_hold = hold_ready_o && hold_valid_i;
  assign frees = take_hold && hold_copies_i == '0;
  assign last_copy = state_q == COUNT && copies_q[12:0] <= 13'd1;
  assign left = state_q == COUNT ? copies_q[20:13] : left_q;
  assign push = last_copy || state_q == WALK;
  assign fill = filling && !push;
  assign push_cell = walk_q;
  assign keep = state_q == COUNT && !last_copy;
  always_comb begin
    follow = walk_next_q;
    if (take_release) follow = release_frame_i;
    else if (frees) follow = hold_frame_i;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= IDLE;
    end else if (take_release) begin
      state_q <= COUNT;
    end else if (frees) begin
      state_q <= WALK;
    end else if (keep || (push && left <= 8'd1)) begin
      state_q <= IDLE;
    end else if (push) begin
      state_q <= WALK;
    end
  end
  always_ff @(posedge clk_i) begin
    if (take_release || frees || push) begin
      walk_q <= follow;
      walk_next_q <= next_walk_mem[follow];
    end
    if (frees) left_q <= hold_cells_i;
    else if (push) left_q <= left - 1'b1;
    if (take_release) copies_q <= copies_mem[release_frame_i];
    if (take_hold) copies_mem[hold_frame_i] <= {hold_cells_i, hold_copies_i};
    else if (keep) copies_mem[walk_q] <= {copies_q[20:13], copies_q[12:0] - 13'd1};
  end

  assign quiet_o = !filling && state_q == IDLE && !release_valid_i && !hold_valid_i && !wr_valid_i && !wr_abort_i &&
                   !cell_rd_valid_i && space_o == (read_q != write_q);

endmodule
