# Tests of the live parts of the simulator. Those that make processes, sockets or TAP devices carry the label live.
postern_add_test(live_pacing_test SOURCES live_pacing_test.cc)
postern_add_test(live_control_test SOURCES live_control_test.cc LIBS postern_testbed LABELS live)
postern_add_test(testbed_process_test SOURCES testbed_process_test.cc LIBS postern_testbed LABELS live)
postern_add_test(testbed_state_test SOURCES testbed_state_test.cc LIBS postern_testbed)
postern_add_test(tap_port_test CXX17 SOURCES tap_port_test.cc LIBS postern_tap postern_testbed LABELS live)

if(TARGET postern)
  add_test(NAME cli.PropertiesAndSettings
           COMMAND ${POSTERN_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/cli_properties_test.py $<TARGET_FILE:postern>)
  set_tests_properties(cli.PropertiesAndSettings PROPERTIES LABELS fast TIMEOUT 60)
endif()
