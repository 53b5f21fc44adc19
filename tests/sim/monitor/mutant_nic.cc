// See mutant_nic.h.
#include "tests/sim/monitor/mutant_nic.h"

namespace postern::sim::test {

namespace {

void transfer(tlm::tlm_generic_payload& payload, tlm::tlm_command command, uint64_t address, void* data,
              uint32_t bytes) {
  payload.set_command(command);
  payload.set_address(address);
  payload.set_data_ptr(static_cast<unsigned char*>(data));
  payload.set_data_length(bytes);
  payload.set_streaming_width(bytes);
}

class BackwardPath : public tlm::tlm_bw_transport_if<> {
 public:
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
    return tlm::TLM_COMPLETED;
  }
  void invalidate_direct_mem_ptr(sc_dt::uint64, sc_dt::uint64) override {}
};

class ForwardPath : public tlm::tlm_fw_transport_if<> {
 public:
  using Transport = std::function<void(tlm::tlm_generic_payload&, sc_core::sc_time&)>;
  explicit ForwardPath(Transport transport) : transport_(std::move(transport)) {}
  void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) override { transport_(payload, delay); }
  tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase&,
                                     sc_core::sc_time& delay) override {
    transport_(payload, delay);
    return tlm::TLM_COMPLETED;
  }
  bool get_direct_mem_ptr(tlm::tlm_generic_payload&, tlm::tlm_dmi&) override { return false; }
  unsigned int transport_dbg(tlm::tlm_generic_payload&) override { return 0; }

 private:
  Transport transport_;
};

MutantAccess access_of(tlm::tlm_generic_payload& payload) {
  return {payload.is_write(), payload.get_address() & ((uint64_t{1} << kBarShift) - 1),
          static_cast<unsigned>(payload.get_address() >> kBarShift), payload.get_data_ptr(), payload.get_data_length()};
}

}  // namespace

class MutantNic::Sides : public MsixIf, public ViLifecycleIf {
 public:
  explicit Sides(MutantNic& mutant)
      : bar([&mutant](tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
          mutant.sides_->bar_access(payload, delay);
        }),
        dma([&mutant](tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
          mutant.sides_->dma_access(payload, delay);
        }),
        egress(mutant, true),
        ingress(mutant, false),
        mutant_(mutant) {}

  void bar_access(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
    MutantAccess access = access_of(payload);
    if (payload.is_write() && mutant_.on_bar_write && mutant_.on_bar_write(access)) {
      payload.set_response_status(tlm::TLM_OK_RESPONSE);
      return;
    }
    mutant_.inner_bar_socket_->b_transport(payload, delay);
    if (payload.is_read() && mutant_.on_bar_answer) mutant_.on_bar_answer(access);
  }
  void dma_access(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
    MutantAccess access = access_of(payload);
    if (mutant_.on_dma && mutant_.on_dma(access)) {
      payload.set_response_status(tlm::TLM_OK_RESPONSE);
      return;
    }
    payload.set_address(access.address);
    mutant_.dma_socket->b_transport(payload, delay);
    if (payload.is_read() && mutant_.on_dma_answer) mutant_.on_dma_answer(access);
  }
  void raise(uint32_t vector) override {
    if (mutant_.on_interrupt && mutant_.on_interrupt(vector)) return;
    mutant_.msix_port->raise(vector);
  }
  void vi_started(uint32_t vi_id) override {
    if (mutant_.lifecycle_port.size() > 0) mutant_.lifecycle_port->vi_started(vi_id);
  }
  void vi_stopped(uint32_t vi_id) override {
    if (mutant_.lifecycle_port.size() > 0) mutant_.lifecycle_port->vi_stopped(vi_id);
  }

  class Wire : public EthernetIf {
   public:
    Wire(MutantNic& mutant, bool out) : mutant_(mutant), out_(out) {}
    void deliver(const FramePtr& frame) override {
      const auto& hook = out_ ? mutant_.on_frame_sent : mutant_.on_frame_received;
      if (hook && hook(frame)) return;
      if (out_) {
        mutant_.wire_port->deliver(frame);
      } else {
        mutant_.inner_.wire_export->deliver(frame);
      }
    }
    void set_link(bool up) override {
      if (out_) {
        mutant_.wire_port->set_link(up);
      } else {
        mutant_.inner_.wire_export->set_link(up);
      }
    }

   private:
    MutantNic& mutant_;
    bool out_;
  };

  ForwardPath bar, dma;
  BackwardPath backward;
  Wire egress, ingress;

 private:
  MutantNic& mutant_;
};

MutantNic::MutantNic(const sc_core::sc_module_name& name, NicDevice& inner)
    : NicDevice(name),
      inner_(inner),
      inner_bar_socket_("inner_bar_socket"),
      inner_dma_socket_("inner_dma_socket"),
      sides_(std::make_unique<Sides>(*this)) {
  bar_socket.bind(static_cast<tlm::tlm_fw_transport_if<>&>(sides_->bar));
  inner_bar_socket_.bind(static_cast<tlm::tlm_bw_transport_if<>&>(sides_->backward));
  inner_bar_socket_.bind(inner.bar_socket);
  dma_socket.bind(static_cast<tlm::tlm_bw_transport_if<>&>(sides_->backward));
  inner_dma_socket_.bind(static_cast<tlm::tlm_fw_transport_if<>&>(sides_->dma));
  inner.dma_socket.bind(inner_dma_socket_);
  inner.msix_port.bind(*sides_);
  inner.lifecycle_port.bind(*sides_);
  inner.wire_port.bind(sides_->egress);
  wire_export.bind(sides_->ingress);
}

MutantNic::~MutantNic() = default;

void MutantNic::dma_write(uint64_t address, const void* data, uint32_t bytes) {
  tlm::tlm_generic_payload payload;
  transfer(payload, tlm::TLM_WRITE_COMMAND, address, const_cast<void*>(data), bytes);
  sc_core::sc_time delay;
  dma_socket->b_transport(payload, delay);
}

void MutantNic::dma_read(uint64_t address, void* data, uint32_t bytes) {
  tlm::tlm_generic_payload payload;
  transfer(payload, tlm::TLM_READ_COMMAND, address, data, bytes);
  sc_core::sc_time delay;
  dma_socket->b_transport(payload, delay);
}

void MutantNic::bar_write(unsigned bar, uint64_t offset, uint64_t value, uint32_t bytes) {
  tlm::tlm_generic_payload payload;
  transfer(payload, tlm::TLM_WRITE_COMMAND, bar_address(bar, offset), &value, bytes);
  sc_core::sc_time delay;
  inner_bar_socket_->b_transport(payload, delay);
}

std::vector<Counter> MutantNic::counters() const {
  std::vector<Counter> counters = inner_.counters();
  if (on_counters) on_counters(counters);
  return counters;
}

}  // namespace postern::sim::test
