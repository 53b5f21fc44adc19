// Control of the model's blocks. See model_control.h.
#include "hw_model/model_control.h"

#include <utility>

#include "hw_model/doorbell.h"
#include "hw_model/event_queue.h"
#include "hw_model/mac_port.h"
#include "hw_model/msix.h"
#include "hw_model/rx_dma.h"
#include "hw_model/rx_filter.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

void ModelControl::start(Vi& vi) { nic_.doorbell->clear_window(vi.id); }

void ModelControl::stop(Vi& vi, Quiet quiet) {
  nic_.vi_table->stop(vi);
  landing_wait_.then(std::move(quiet));
}

void ModelControl::halt(Vi& vi, unsigned source, unsigned code, uint32_t index) {
  nic_.vi_table->halt(vi, source, code, index);
}

void ModelControl::set_moderation(Vi& vi, uint64_t holdoff_ps, uint32_t holdoff_events, bool adaptive) {
  nic_.event_queue->set_moderation(vi, holdoff_ps, holdoff_events, adaptive);
}

void ModelControl::unmapped(uint32_t pd, Quiet quiet) {
  for (uint32_t id = 0; id < nic_.vi_table->vi_count(); ++id) {
    // The payload of frames that wait to be announced is written with their event.
    if (Vi* vi = nic_.vi_table->running(id); vi != nullptr && vi->pd == pd) nic_.rx_dma->close_merge(*vi);
  }
  landing_wait_.then(std::move(quiet));
}

void ModelControl::port_changed(uint32_t mtu_bytes, bool pause, bool loopback, bool promiscuous) {
  nic_.mac_port->set_mtu(mtu_bytes);
  nic_.mac_port->set_pause(pause);
  nic_.mac_port->set_loopback(loopback);
  nic_.rx_filter->set_promiscuous(promiscuous);
}

void ModelControl::raise(uint32_t vector) { nic_.msix->raise(vector); }

}  // namespace postern::hw_model
