# Configuration space and the server's side of the live transport.
postern_add_test(pci_config_space_test SOURCES pci_config_space_test.cc LIBS postern_sim_pci)
