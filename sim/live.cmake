# Live runs and the command line: the simulator process, TAP ports, testbeds and `postern`.

# What testbeds are made of: processes, run directories, namespaces, the control socket. No SystemC.
postern_add_library(postern_testbed
  SOURCES testbed_process.cc testbed_state.cc tap_namespace.cc live_control.cc
  LIBS fmt::fmt)

postern_add_library(postern_tap CXX17
  SOURCES tap_device.cc tap_port.cc
  LIBS postern_sim_wires fmt::fmt)
