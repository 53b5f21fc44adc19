# The tests of the model's blocks over the RTL: what they expect of events, memory, frames, interrupts and counters holds for both
# devices, but for differences.txt. Included by tests/hw_model, whose tests these are.
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/differences.txt lines REGEX "^[A-Za-z]")
set(excluded "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE ":.*" "" test "${line}")
  string(APPEND excluded ":${test}")
endforeach()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/differences.txt)
math(EXPR timeout "60 * ${POSTERN_RTL_TIMEOUT_FACTOR}")
math(EXPR random_timeout "120 * ${POSTERN_RTL_TIMEOUT_FACTOR}")
foreach(block admin desc_fetch doorbell event_queue faults faults_port mac_port msix nic_model pause_frames ptp_clock rss rx_dma rx_filter
        rx_merge segmentation timer translation tx_dma tx_offload tx_scheduler vi_table)
  gtest_discover_tests(hw_model_${block}_test TEST_PREFIX equivalence. TEST_FILTER "-IGNORE${excluded}" TEST_LIST equivalence_${block}
                       DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${timeout} ENVIRONMENT POSTERN_TEST_DEVICE=rtl LABELS rtl)
  postern_count_program(hw_model_${block}_test)
endforeach()
postern_count_program(hw_model_random_operations_test)
gtest_discover_tests(hw_model_random_operations_test TEST_PREFIX equivalence. TEST_LIST equivalence_random DISCOVERY_TIMEOUT 60
                     PROPERTIES TIMEOUT ${random_timeout} ENVIRONMENT POSTERN_TEST_DEVICE=rtl LABELS rtl)
