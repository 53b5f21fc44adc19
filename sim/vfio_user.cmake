# The PCI function as transports need it (no SystemC): configuration space, and the vfio-user server with the memory that
# it shares with its client.
postern_add_library(postern_sim_pci SOURCES pci_config_space.cc LIBS postern_contract)
postern_add_library(postern_vfio_user_server
  SOURCES vfio_user_server.cc vfio_user_commands.cc doorbell_pages.cc host_dma_regions.cc
  LIBS postern_sim_pci postern_vfio_user_wire postern_eventfd_signaller postern_contract)
