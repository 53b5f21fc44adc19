// Hash of the filter table: slot bit b is the parity of the key's bits that row b selects (an H3 hash). The rows are the output of
// SplitMix64 from state 0, six 64-bit words a row, word 0 in the low bits, row 0 first; hw_model/filter_hash.h makes the same ones.
/* verilator lint_off UNUSEDPARAM */
package pst_rx_filter_pkg;

  localparam int unsigned KEY_WIDTH = 384;
  localparam int unsigned SLOT_INDEX_WIDTH = 13;  // 2 * FILTER_COUNT_MAX slots
  localparam logic [SLOT_INDEX_WIDTH*KEY_WIDTH-1:0] HASH_ROWS = {
    384'hc4dd302a1bfa1137_292566ff72403c08_df82012d0555c6df_ef054fceee954551_f1bcbc6a1ec11786_5ccde78203c367a8, // row 12
    384'hdb0215941d86a66f_ee89cceb8c4064c0_9e60398c8d8553c0_32fcab5daed5bdfc_8c8a1f148a8bb259_42375cb399a4fc72, // row 11
    384'h466d5e7f3e46f143_2a7b67af6c6ad50e_e255b237b8bb18fb_3e00a34929a88f1d_55f070ab1cbbf170_ed79402d1d5c5d7b, // row 10
    384'hbfdeaed9a17b3c8f_f4a578dccbc87656_cf448a5882bb9698_30260345dd9e0ec1_9b196bca844f1705_c952c5620043c714, // row 9
    384'h03d6845323ce3c71_2098eb73d4367d77_df268adeb6513356_e3ddd86ba71a5eb1_22b353f04f4f52da_774615d7b1a1f2e1, // row 8
    384'h690ed476743aae49_3e84ecb1763e79ad_ecee65630a691e37_cc06c31652ebf438_12c015a97019e937_07dc930b302278a8, // row 7
    384'h134f7096918175ce_84eb4454a792922a_4fa9fa7324851729_6e19905dcbe531df_3c3c41a3b43343a1_417ef96181daa383, // row 6
    384'h69630f7593d108c3_d254741f599dc6f7_05582d37111ac529_0c7de8064963bab0_377d35dea8e40225_f16952ee72f3454f, // row 5
    384'hee521d7a0f4d3872_a2f09dabb45c6316_40d29eb57de1d510_69b82ebc92233300_935e82f1db4c4f7b_dd7c01d4f5407269, // row 4
    384'h54496ad67bd2634c_edf5f1d90dca2f6a_a9038a921825f10d_db01602b100b9ed7_d81a8d2b5a4485ac_3466e9a083914f64, // row 3
    384'hc3cf17102b7f7f86_7d29825c75521255_84bb3f97971d80ab_b54e0f1600cc4d19_8e1f7555983aa92f_8621a03fe0bbdb7b, // row 2
    384'hc2d326e0055bdef6_657eecdd3cb13d09_f3b8488c368cb0a6_3ee5789041c98ac3_c584133ac916ab3c_2c829abe1f4532e1, // row 1
    384'h53cb9f0c747ea2ea_1b39896a51a8749b_f88bb8a8724c81ec_06c45d188009454f_6e789e6aa1b965f4_e220a8397b1dcdaf  // row 0
  };

endpackage
/* verilator lint_on UNUSEDPARAM */
