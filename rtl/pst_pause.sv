// Pause of pst_mac_port (IEEE 802.3 annex 31B): for how long the peer has asked the port to hold its frames, and when the port
// asks the peer: at the level marks of the receive buffer, and again at half time. Knows time only.
module pst_pause (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [63:0] time_ns_i,
  output logic        quiet_o,
  output logic [63:0] due_ns_o,

  // New settings; done_o when they hold. They stay while they are being taken over.
  input  logic        cfg_valid_i,
  input  logic        cfg_pause_i,
  input  logic [19:0] cfg_ps_per_byte_i,
  input  logic [15:0] cfg_quanta_i,
  input  logic [31:0] cfg_high_bytes_i,
  input  logic [31:0] cfg_low_bytes_i,
  output logic        done_o,

  // A pause frame of the peer: quanta of 64 byte times.
  input  logic        rx_valid_i,
  input  logic [15:0] rx_quanta_i,
  output logic        hold_o,  // no frame starts

  // Frames that the port is to send. One that was not taken is replaced.
  input  logic [31:0] level_bytes_i,
  output logic        ask_valid_o,
  input  logic        ask_taken_i,
  output logic [15:0] ask_quanta_o
);

  // ---- Settings. A quantum in ns with 24 bits behind the point: 64 x ps_per_byte / 1000, a bit of the quotient a cycle.
  // Quanta last multiples of 8 ps, which the product, rounded up, meets exactly.
  localparam int unsigned DIVIDEND_WIDTH = 20 + 6 + 24;
  localparam int unsigned POINT = 24;
  localparam int unsigned QUANTUM_WIDTH = DIVIDEND_WIDTH - 9;  // divided by more than 2^9
  logic                      pause_q, dividing_q, halving_q;
  logic [5:0]                divide_left_q;
  logic [DIVIDEND_WIDTH-1:0] divide_q;  // what is left of the dividend above, the quotient below
  logic [9:0]                rest_q, rest_next;
  logic [10:0]               rest_shifted;
  logic                      rest_fits;
  logic [QUANTUM_WIDTH-1:0]  quantum_q;
  logic [15:0]               quanta_q;
  logic [31:0]               high_bytes_q, low_bytes_q, half_ns_q;
  assign rest_shifted = {rest_q, divide_q[DIVIDEND_WIDTH-1]};
  assign rest_fits = rest_shifted >= 11'd1000;
  assign rest_next = rest_fits ? 10'(rest_shifted - 11'd1000) : rest_shifted[9:0];

  // ---- How long so many quanta are.
  localparam int unsigned PRODUCT_WIDTH = QUANTUM_WIDTH + 16;
  logic [PRODUCT_WIDTH-1:0]     product;
  logic [PRODUCT_WIDTH-POINT:0] product_ns;
  logic [31:0]                  product_half_ns;
  logic [15:0]                  factor;
  assign factor = rx_valid_i ? rx_quanta_i : quanta_q;
  assign product = PRODUCT_WIDTH'(quantum_q) * PRODUCT_WIDTH'(factor);
  assign product_ns = {1'b0, product[PRODUCT_WIDTH-1:POINT]} + (PRODUCT_WIDTH - POINT + 1)'(product[POINT-1:0] != '0);
  assign product_half_ns = product[POINT+1+:32] + 32'(product[POINT:0] != '0);

  logic halve;
  assign halve = halving_q && !rx_valid_i;
  assign done_o = halve;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      dividing_q <= 1'b0;
      halving_q <= 1'b0;
      pause_q <= 1'b0;
      quantum_q <= '0;
      half_ns_q <= '0;
    end else begin
      if (cfg_valid_i) dividing_q <= 1'b1;
      else if (divide_left_q == 6'd0) dividing_q <= 1'b0;
      if (dividing_q && divide_left_q == 6'd0) begin
        halving_q <= 1'b1;
        quantum_q <= divide_q[QUANTUM_WIDTH-1:0];
      end else if (halve) begin
        halving_q <= 1'b0;
        half_ns_q <= product_half_ns;
        pause_q <= cfg_pause_i;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (cfg_valid_i) begin
      divide_q <= {cfg_ps_per_byte_i, 30'd0};
      rest_q <= 10'd0;
      divide_left_q <= 6'(DIVIDEND_WIDTH);
    end else if (dividing_q && divide_left_q != 6'd0) begin
      divide_q <= {divide_q[DIVIDEND_WIDTH-2:0], rest_fits};
      rest_q <= rest_next;
      divide_left_q <= divide_left_q - 6'd1;
    end
    if (dividing_q && divide_left_q == 6'd0) begin
      quanta_q <= cfg_quanta_i;
      high_bytes_q <= cfg_high_bytes_i;
      low_bytes_q <= cfg_low_bytes_i;
    end
  end

  // ---- What the peer has asked for.
  logic [63:0] until_ns_q;
  logic        stops;  // obeying and asking
  assign stops = halve && !cfg_pause_i && pause_q;
  assign hold_o = time_ns_i < until_ns_q || (rx_valid_i && pause_q);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) until_ns_q <= '0;
    else if (stops) until_ns_q <= '0;
    else if (rx_valid_i && pause_q) until_ns_q <= time_ns_i + 64'(product_ns);
  end

  // ---- What the port asks for.
  logic        asked_q, starts, ends, refreshes;
  logic [63:0] refresh_ns_q;
  assign starts = pause_q && !asked_q && level_bytes_i >= high_bytes_q;
  assign ends = asked_q && (stops || (level_bytes_i <= low_bytes_q && level_bytes_i < high_bytes_q));
  assign refreshes = asked_q && half_ns_q != '0 && time_ns_i >= refresh_ns_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      asked_q <= 1'b0;
      ask_valid_o <= 1'b0;
    end else begin
      asked_q <= !ends && !stops && (asked_q || starts);
      ask_valid_o <= ends || (!stops && (starts || refreshes)) || (ask_valid_o && !ask_taken_i);
    end
  end
  always_ff @(posedge clk_i) begin
    if (ends) ask_quanta_o <= 16'd0;
    else if (starts || refreshes) ask_quanta_o <= quanta_q;
    if (starts || refreshes) refresh_ns_q <= time_ns_i + {32'd0, half_ns_q};
  end

  always_comb begin
    due_ns_o = '1;
    if (hold_o) due_ns_o = until_ns_q;
    if (asked_q && half_ns_q != '0 && refresh_ns_q < due_ns_o) due_ns_o = refresh_ns_q;
  end
  assign quiet_o = !cfg_valid_i && !dividing_q && !halving_q && !rx_valid_i && !starts && !ends && !ask_valid_o;

endmodule
