// The sockets and ports of the model. See nic_model.h.
#include "hw_model/nic_model.h"

#include "hw_model/nic_storage.h"

namespace postern::hw_model {

NicModel::NicModel(const sc_core::sc_module_name& name, const std::array<uint8_t, 6>& mac_address)
    : NicDevice(name),
      blocks_(std::make_unique<NicStorage>(NicStorage::Ends{dma_socket, msix_port, lifecycle_port, wire_port},
                                           mac_address, PST_LIMIT_VI_COUNT_MAX)) {
  if (sc_core::sc_get_time_resolution() != sc_core::sc_time(1, sc_core::SC_PS)) {
    SC_REPORT_FATAL("postern", "the NIC model needs a SystemC time resolution of 1 ps; leave the default");
  }
  bar_socket.bind(blocks_->pcie_link);
  dma_socket.bind(blocks_->pcie_link);
  wire_export.bind(blocks_->mac_port);
  blocks_->properties.on_change([this] { blocks_->configure(); });
  blocks_->function_registers.on_reset_key([this] { function_reset(); });
  blocks_->faults.on_function_reset([this] { function_reset(); });
  blocks_->power_up();

  SC_METHOD(run_agenda);
  sensitive << blocks_->agenda.event();
  dont_initialize();
}

NicModel::~NicModel() = default;

void NicModel::run_agenda() { blocks_->agenda.run(); }

sim::PropertyResult NicModel::set_property(const std::string& name, double value) {
  return blocks_->properties.set(name, value);
}

std::vector<sim::Property> NicModel::properties() const { return blocks_->properties.list(); }

std::vector<sim::Counter> NicModel::counters() const { return blocks_->counters(); }

void NicModel::function_reset() { blocks_->function_reset(); }

void NicModel::set_stage_observer(sim::StageObserver* observer) { blocks_->nic.observer = observer; }

void NicModel::set_fault_observer(sim::FaultObserver* observer) {
  blocks_->nic.fault_observer = observer;
  blocks_->statistics.drop_observer = observer;
}

}  // namespace postern::hw_model
