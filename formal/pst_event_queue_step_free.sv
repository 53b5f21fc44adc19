// Stands for pst_event_queue_step where what an operation does is left free: all outputs are anything.
module pst_event_queue_step (
  input  logic [3:0]                                   op_i,
  input  logic [15:0]                                  vi_i,
  input  logic [pst_event_queue_pkg::CONFIG_WIDTH-1:0] payload_i,  // event; {sequence, index} of a doorbell; configuration
  input  logic [pst_event_queue_pkg::CONTEXT_WIDTH-1:0] context_i,
  input  logic [63:0]                                  now_ns_i,
  input  logic                                         owed_i,  // this VI owes another one a wakeup event

  output logic [pst_event_queue_pkg::CONTEXT_WIDTH-1:0] context_o,
  output logic [2:0]                                   answer_o,
  output logic                                         write_o,  // event to write
  output logic [63:0]                                  write_address_o,
  output logic [127:0]                                 write_data_o,
  output logic                                         wake_o,  // the queue's owner is woken: by message or event
  output logic                                         message_o,  // ... by an MSI-X message
  output logic                                         owe_o,  // ... by an event in another VI's queue
  output logic                                         deliver_o,  // OP_SCAN: try the owed wakeup event now
  output logic                                         halt_o,
  output logic [3:0]                                   halt_source_o,
  output logic [15:0]                                  halt_code_o,
  output logic [31:0]                                  halt_index_o,
  output logic                                         space_o,  // space has returned for which a requester waits
  output logic                                         kick_o,  // ... for which wakeup events wait, or the VI has stopped
  output logic                                         stalled_o,
  output logic                                         lost_o,  // a wakeup has no target
  output logic                                         ignored_o,  // a doorbell of a VI that does not run
  output logic                                         bad_o      // a doorbell with an index or sequence that cannot be
);

  (* anyseq *) logic [pst_event_queue_pkg::CONTEXT_WIDTH-1:0] f_context;
  (* anyseq *) logic [2:0] f_answer;
  (* anyseq *) logic f_write;
  (* anyseq *) logic [63:0] f_write_address;
  (* anyseq *) logic [127:0] f_write_data;
  (* anyseq *) logic f_wake;
  (* anyseq *) logic f_message;
  (* anyseq *) logic f_owe;
  (* anyseq *) logic f_deliver;
  (* anyseq *) logic f_halt;
  (* anyseq *) logic [3:0] f_halt_source;
  (* anyseq *) logic [15:0] f_halt_code;
  (* anyseq *) logic [31:0] f_halt_index;
  (* anyseq *) logic f_space;
  (* anyseq *) logic f_kick;
  (* anyseq *) logic f_stalled;
  (* anyseq *) logic f_lost;
  (* anyseq *) logic f_ignored;
  (* anyseq *) logic f_bad;
  assign context_o = f_context;
  assign answer_o = f_answer;
  assign write_o = f_write;
  assign write_address_o = f_write_address;
  assign write_data_o = f_write_data;
  assign wake_o = f_wake;
  assign message_o = f_message;
  assign owe_o = f_owe;
  assign deliver_o = f_deliver && op_i == pst_event_queue_pkg::OP_SCAN;
  assign halt_o = f_halt;
  assign halt_source_o = f_halt_source;
  assign halt_code_o = f_halt_code;
  assign halt_index_o = f_halt_index;
  assign space_o = f_space;
  assign kick_o = f_kick;
  assign stalled_o = f_stalled;
  assign lost_o = f_lost;
  assign ignored_o = f_ignored;
  assign bad_o = f_bad;

endmodule
