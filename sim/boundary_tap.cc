// Forwarding, side by side. See boundary_tap.h.
#include "sim/boundary_tap.h"

namespace postern::sim {

namespace {
uint64_t now_ps() { return sc_core::sc_time_stamp().value(); }
}  // namespace

// From the host to the device's BARs. Also the backward path of the device's own DMA socket, which nobody uses.
class BoundaryTap::BarSide : public tlm::tlm_fw_transport_if<>, public tlm::tlm_bw_transport_if<> {
 public:
  explicit BarSide(BoundaryTap& tap) : tap_(tap) {}

  void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) override {
    const uint64_t issue_ps = now_ps() + delay.value();
    const auto bar = static_cast<unsigned>(payload.get_address() >> kBarShift);
    const uint64_t offset = payload.get_address() & ((uint64_t{1} << kBarShift) - 1);
    if (payload.is_write()) {
      for (BoundaryObserver* observer : tap_.observers_) {
        observer->bar_written(issue_ps, bar, offset, payload.get_data_ptr(), payload.get_data_length());
      }
    } else {
      for (BoundaryObserver* observer : tap_.observers_) {
        observer->bar_read_issued(issue_ps, bar, offset, payload.get_data_length());
      }
    }
    tap_.inner_bar_socket_->b_transport(payload, delay);
    if (payload.is_read() && payload.is_response_ok()) {
      for (BoundaryObserver* observer : tap_.observers_) {
        observer->bar_read(issue_ps, now_ps() + delay.value(), bar, offset, payload.get_data_ptr(),
                           payload.get_data_length());
      }
    }
  }
  tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                     sc_core::sc_time& delay) override {
    return tap_.inner_bar_socket_->nb_transport_fw(payload, phase, delay);
  }
  bool get_direct_mem_ptr(tlm::tlm_generic_payload&, tlm::tlm_dmi&) override { return false; }
  unsigned int transport_dbg(tlm::tlm_generic_payload& payload) override {
    return tap_.inner_bar_socket_->transport_dbg(payload);
  }
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
    return tlm::TLM_COMPLETED;
  }
  void invalidate_direct_mem_ptr(sc_dt::uint64, sc_dt::uint64) override {}

 private:
  BoundaryTap& tap_;
};

// From the device to host memory.
class BoundaryTap::DmaSide : public tlm::tlm_fw_transport_if<>, public tlm::tlm_bw_transport_if<> {
 public:
  explicit DmaSide(BoundaryTap& tap) : tap_(tap) {}

  void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) override {
    tap_.dma_socket->b_transport(payload, delay);
    const bool reached = payload.is_response_ok(), write = payload.is_write();
    const uint64_t time_ps = now_ps(), address = payload.get_address();
    const uint8_t* data = payload.get_data_ptr();
    const uint32_t bytes = payload.get_data_length();
    for (BoundaryObserver* observer : tap_.observers_) {
      if (write) {
        observer->dma_written(time_ps, address, data, bytes, reached);
      } else {
        observer->dma_read(time_ps, address, data, bytes, reached);
      }
    }
  }
  tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase&,
                                     sc_core::sc_time& delay) override {
    b_transport(payload, delay);
    return tlm::TLM_COMPLETED;
  }
  bool get_direct_mem_ptr(tlm::tlm_generic_payload&, tlm::tlm_dmi&) override { return false; }
  unsigned int transport_dbg(tlm::tlm_generic_payload& payload) override {
    return tap_.dma_socket->transport_dbg(payload);
  }
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
    return tlm::TLM_COMPLETED;
  }
  void invalidate_direct_mem_ptr(sc_dt::uint64, sc_dt::uint64) override {}

 private:
  BoundaryTap& tap_;
};

// Interrupts, lifecycle of VIs, injected faults, drops.
class BoundaryTap::EventSide : public MsixIf, public ViLifecycleIf, public FaultObserver {
 public:
  explicit EventSide(BoundaryTap& tap) : tap_(tap) {}

  void raise(uint32_t vector) override {
    for (BoundaryObserver* observer : tap_.observers_) observer->interrupt(now_ps(), vector);
    tap_.msix_port->raise(vector);
  }
  void vi_started(uint32_t vi_id) override {
    for (BoundaryObserver* observer : tap_.observers_) observer->vi_started(now_ps(), vi_id);
    if (tap_.lifecycle_port.size() > 0) tap_.lifecycle_port->vi_started(vi_id);
  }
  void vi_stopped(uint32_t vi_id) override {
    for (BoundaryObserver* observer : tap_.observers_) observer->vi_stopped(now_ps(), vi_id);
    if (tap_.lifecycle_port.size() > 0) tap_.lifecycle_port->vi_stopped(vi_id);
  }
  void fault_injected(const InjectedFault& fault) override {
    for (BoundaryObserver* observer : tap_.observers_) observer->fault_injected(now_ps(), fault);
    if (tap_.next_fault_observer_ != nullptr) tap_.next_fault_observer_->fault_injected(fault);
  }
  void packet_dropped(unsigned reason) override {
    for (BoundaryObserver* observer : tap_.observers_) observer->packet_dropped(now_ps(), reason);
    if (tap_.next_fault_observer_ != nullptr) tap_.next_fault_observer_->packet_dropped(reason);
  }

 private:
  BoundaryTap& tap_;
};

class BoundaryTap::Egress : public EthernetIf {
 public:
  explicit Egress(BoundaryTap& tap) : tap_(tap) {}
  void deliver(const FramePtr& frame) override {
    for (BoundaryObserver* observer : tap_.observers_) observer->frame_sent(now_ps(), frame);
    tap_.wire_port->deliver(frame);
  }
  void set_link(bool up) override { tap_.wire_port->set_link(up); }

 private:
  BoundaryTap& tap_;
};

class BoundaryTap::Ingress : public EthernetIf {
 public:
  explicit Ingress(BoundaryTap& tap) : tap_(tap) {}
  void deliver(const FramePtr& frame) override {
    for (BoundaryObserver* observer : tap_.observers_) observer->frame_received(now_ps(), frame);
    tap_.inner_.wire_export->deliver(frame);
  }
  void set_link(bool up) override {
    for (BoundaryObserver* observer : tap_.observers_) observer->link_changed(now_ps(), up);
    tap_.inner_.wire_export->set_link(up);
  }

 private:
  BoundaryTap& tap_;
};

BoundaryTap::BoundaryTap(const sc_core::sc_module_name& name, NicDevice& inner)
    : NicDevice(name),
      inner_(inner),
      inner_bar_socket_("inner_bar_socket"),
      inner_dma_socket_("inner_dma_socket"),
      bar_side_(std::make_unique<BarSide>(*this)),
      dma_side_(std::make_unique<DmaSide>(*this)),
      event_side_(std::make_unique<EventSide>(*this)),
      egress_(std::make_unique<Egress>(*this)),
      ingress_(std::make_unique<Ingress>(*this)) {
  bar_socket.bind(static_cast<tlm::tlm_fw_transport_if<>&>(*bar_side_));
  inner_bar_socket_.bind(static_cast<tlm::tlm_bw_transport_if<>&>(*bar_side_));
  inner_bar_socket_.bind(inner.bar_socket);
  dma_socket.bind(static_cast<tlm::tlm_bw_transport_if<>&>(*dma_side_));
  inner_dma_socket_.bind(static_cast<tlm::tlm_fw_transport_if<>&>(*dma_side_));
  inner.dma_socket.bind(inner_dma_socket_);
  inner.msix_port.bind(*event_side_);
  inner.lifecycle_port.bind(*event_side_);
  inner.wire_port.bind(*egress_);
  wire_export.bind(*ingress_);
  inner.set_fault_observer(event_side_.get());
}

BoundaryTap::~BoundaryTap() { inner_.set_fault_observer(nullptr); }

void BoundaryTap::finish() {
  for (BoundaryObserver* observer : observers_) observer->finish(now_ps());
}

void BoundaryTap::function_reset() {
  for (BoundaryObserver* observer : observers_) observer->function_reset(now_ps());
  inner_.function_reset();
}

bool BoundaryTap::read_host_memory(uint64_t address, void* data, uint32_t bytes) {
  tlm::tlm_generic_payload payload;
  payload.set_read();
  payload.set_address(address);
  payload.set_data_ptr(static_cast<unsigned char*>(data));
  payload.set_data_length(bytes);
  payload.set_streaming_width(bytes);
  return dma_socket->transport_dbg(payload) == bytes;
}

}  // namespace postern::sim
