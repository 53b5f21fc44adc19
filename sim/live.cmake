# Live runs and the command line: the simulator process, TAP ports, testbeds and `postern`.

# What testbeds are made of: processes, run directories, namespaces, the control socket. No SystemC.
postern_add_library(postern_testbed
  SOURCES testbed_process.cc testbed_state.cc tap_namespace.cc live_control.cc
  LIBS postern_foreign_fd_closer fmt::fmt)

postern_add_library(postern_tap CXX17
  SOURCES tap_device.cc tap_port.cc
  LIBS postern_sim_wires fmt::fmt)

postern_add_library(postern_live CXX17
  SOURCES live_simulator.cc live_loop.cc live_nic.cc
  LIBS postern_nic_factory postern_monitored_nic postern_record postern_tap postern_testbed postern_vfio_user_server postern_stage_trace fmt::fmt)

if(TARGET postern_scenario)
  postern_add_executable(postern
    SOURCES main.cc testbed.cc cli_exec.cc cli_properties.cc cli_sim.cc cli_status.cc cli_testbed.cc
    LIBS postern_live postern_scenario postern_replay postern_testbed postern_sim_topology postern_hostd_client fmt::fmt)
  target_compile_definitions(postern PRIVATE POSTERN_VERSION="${PROJECT_VERSION}")
  install(TARGETS postern RUNTIME DESTINATION bin)
endif()
