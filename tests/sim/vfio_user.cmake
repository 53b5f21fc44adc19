# Configuration space and the server's side of the live transport.
postern_add_test(pci_config_space_test SOURCES pci_config_space_test.cc LIBS postern_sim_pci)
postern_add_test(vfio_user_doorbell_pages_test
  SOURCES vfio_user_doorbell_pages_test.cc
  LIBS postern_vfio_user_server postern_mapped_window)
postern_add_test(vfio_user_server_test
  SOURCES vfio_user_server_test.cc
  LIBS postern_vfio_user_server
  LABELS live)
postern_add_test(vfio_user_hostile_client_test
  SOURCES vfio_user_hostile_client_test.cc
  LIBS postern_vfio_user_server
  LABELS live)

# The same race twice: enough for every run, and enough to believe it.
postern_add_test(vfio_user_sleep_race_test
  SOURCES vfio_user_sleep_race_test.cc
  LIBS postern_vfio_user_server postern_mapped_window
  LABELS live)
target_compile_definitions(vfio_user_sleep_race_test PRIVATE POSTERN_RACES=200000u)
postern_add_test(vfio_user_sleep_race_slow_test
  SOURCES vfio_user_sleep_race_test.cc
  LIBS postern_vfio_user_server postern_mapped_window
  LABELS slow TIMEOUT 600)
target_compile_definitions(vfio_user_sleep_race_slow_test PRIVATE POSTERN_RACES=10000000u)
