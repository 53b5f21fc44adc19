// Both devices, their VIs, and commands to both at once. See twin.h.
#include "tests/equivalence/twin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace postern::equivalence {

using namespace hw_model::test;  // NOLINT(google-build-using-namespace): the bench

namespace {
constexpr uint64_t kCommandNsMost = 2'000'000;
constexpr size_t kOperationsKept = 16;
}  // namespace

Twin::Twin(uint64_t setup_seed, const TwinOptions& options)
    : setup_(setup_seed), heeds_monitors_(options.heeds_monitors) {
  for (unsigned side = 0; side < kSides; ++side) build(side, options);
  draw_properties();
  start(setup_);
  settle();
}

Twin::~Twin() = default;

void Twin::build(unsigned side, const TwinOptions& options) {
  NodeOptions node;
  node.device = options.devices[side];
  if (side == 1) node.decorate = options.decorate;
  nodes_[side] = std::make_unique<Node>(kSideNames[side], kMacA, node);
  nodes_[side]->record_dma = true;
}

// Of the machine and the wire: the same for both.
void Twin::draw_properties() {
  const auto set = [this](const char* name, double value) {
    for (auto& node : nodes_) EXPECT_TRUE(node->nic.set_property(name, value)) << name;
  };
  set("pcie_link.generation", 3 + setup_.pick(3));
  set("pcie_link.lanes", setup_.of({8, 16}));
  set("pcie_link.mps_bytes", setup_.of({128, 256, 512}));
  set("pcie_link.mrrs_bytes", setup_.of({128, 512, 4096}));
  set("pcie_link.rcb_bytes", setup_.of({64, 128}));
  rate_mbps_ = setup_.of({10000u, 10000u, 100000u});
  set("mac_port.rate_mbps", rate_mbps_);
}

void Twin::start(SoakRandom& random) {
  filters_.clear();
  rss_context_ = UINT32_MAX;
  mtu_bytes_ = 1500;
  shared_domain_ = {};
  seats_ = {};
  counter_base_ = {};
  statistics_base_ = {};
  for (auto& node : nodes_) node->enable_admin();
  configure_port(false, false);
  for (uint32_t i = 0; i < kSeats; ++i) allocate(i, random);
}

void Twin::draw_options(uint32_t index, SoakRandom& random, ViOptions& options) {
  options.rx_entries = 128u << random.pick(2);  // as many as there are buffers at most
  options.tx_entries = 128u << random.pick(3);
  options.evq_entries = 128u << (random.pick(2) ? 0 : random.pick(4));
  options.policy = random.pick(3);
  options.rx_prefix = random.pick(2) != 0;
  options.merge_count = options.rx_prefix ? random.pick(9) : random.pick(2);
  options.any_source = random.pick(2) != 0;
  options.vlan_strip = random.pick(2) != 0;
  options.vector = random.pick(8) == 0 ? PST_VECTOR_NONE : index;
  options.holdoff_events = random.pick(5);
  options.holdoff_ns = options.holdoff_events > 1 ? 1000 + random.pick(2) * 1000 : random.pick(3) * 1000;
  options.weight = random.pick(4);
  options.rate_limit_mbps = random.pick(6) == 0 ? 2000 : 0;
  options.domain_base = index * kViAreaBytes;
}

void Twin::allocate(uint32_t index, SoakRandom& random) {
  Seat& seat = seats_[index];
  seat = {};
  draw_options(index, random, seat.options);
  forget_events(index);
  for (unsigned side = 0; side < kSides; ++side) {
    ViOptions options = seat.options;
    const bool shared = index < kSharedSeats;
    if (shared) options.domain = shared_domain_[side];
    seat.side[side].vi = std::make_unique<TestVi>(*nodes_[side], index, options);
    if (shared) shared_domain_[side] = seat.side[side].vi->pd;
    nodes_[side]->bar_write(PST_BAR_MSIX, index * 16 + 12, 0, 4);  // a VI without a vector may be bound to it later
  }
  const TestVi& model = *seat.side[0].vi;
  const TestVi& rtl = *seat.side[1].vi;
  if (model.alloc_status != PST_ERROR_CODE_OK || rtl.alloc_status != model.alloc_status || rtl.id != model.id) {
    return differ(fmt::format("VI_ALLOC: model status {} id {}, rtl status {} id {}", model.alloc_status, model.id,
                              rtl.alloc_status, rtl.id));
  }
  for (auto& base : counter_base_) {  // its counters begin again
    const std::string prefix = fmt::format("vi{}.", model.id);
    for (auto at = base.lower_bound(prefix); at != base.end() && at->first.rfind(prefix, 0) == 0;) at = base.erase(at);
  }
  vi_command(
      index,
      [&](pst_command& c) {
        pst_filter_insert_set_match(&c, PST_FILTER_MATCH_LISTENER_ANY);
        pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV4);
        pst_filter_insert_set_protocol(&c, 17);
        pst_filter_insert_set_local_port(&c, 2000 + index);
      },
      PST_COMMAND_FILTER_INSERT);
  vi_command(
      index,
      [&](pst_command& c) {
        pst_filter_insert_set_match(&c, PST_FILTER_MATCH_MULTICAST_DEFAULT);
        pst_filter_insert_set_replicate(&c, 1);
      },
      PST_COMMAND_FILTER_INSERT);
}

// The software zeroes the queue's memory for a new life.
void Twin::forget_events(uint32_t index) {
  Seat& seat = seats_[index];
  const uint64_t begin = kViArea + index * kViAreaBytes + kEvq;
  for (unsigned side = 0; side < kSides; ++side) {
    std::memset(nodes_[side]->memory.data() + begin, 0, kEvqBytesMost);
    seat.side[side].slots.assign(seat.options.evq_entries, {});
  }
}

// Frees the VI at rest.
void Twin::release(uint32_t index) {
  Seat& seat = seats_[index];
  compare_slots(index);
  command(make_command(PST_COMMAND_VI_FREE, seat.side[0].vi->id));
  pst_command last = make_command(PST_COMMAND_PD_FREE, seat.side[0].vi->pd);
  if (index < kSharedSeats) {
    last = make_command(PST_COMMAND_TRANSLATION_UNMAP, seat.side[0].vi->pd);
    pst_translation_unmap_set_domain_address(&last, seat.options.domain_base);
  }
  command(last);
}

// At the same time; both answers must be alike.
pst_admin_completion Twin::command(const pst_command& c, const std::function<void()>& meanwhile) {
  ++counts_.answers;
  std::array<std::optional<pst_admin_completion>, kSides> answers;
  std::array<uint32_t, kSides> idx{};
  for (unsigned side = 0; side < kSides; ++side) idx[side] = nodes_[side]->submit(c);
  for (uint64_t waited_ns = 0; waited_ns < kCommandNsMost && !(answers[0] && answers[1]); waited_ns += 200) {
    run_ns(200);
    if (meanwhile) meanwhile();
    for (unsigned side = 0; side < kSides; ++side) answers[side] = nodes_[side]->completion(idx[side]);
  }
  for (unsigned side = 0; side < kSides; ++side) {
    if (!answers[side]) {
      differ(fmt::format("no completion of {} by the {}", pst_command_get_opcode(&c), kSideNames[side]));
      return {};
    }
    nodes_[side]->write32(PST_FUNCTION_ADMIN_CONSUMER_OFFSET, idx[side] + 1);
  }
  if (answers[0]->word[0] != answers[1]->word[0] || answers[0]->word[1] != answers[1]->word[1]) {
    differ(fmt::format("completion of opcode {}: model {:016x} {:016x}, rtl {:016x} {:016x}",
                       pst_command_get_opcode(&c), answers[0]->word[1], answers[0]->word[0], answers[1]->word[1],
                       answers[1]->word[0]));
  }
  return *answers[0];
}

pst_admin_completion Twin::vi_command(uint32_t index, const std::function<void(pst_command&)>& fill, unsigned opcode) {
  pst_command c = make_command(opcode, seats_[index].side[0].vi->id);
  fill(c);
  return command(c);
}

std::optional<Operation> Twin::apply(const Operation& operation) {
  if (!difference_.empty()) return std::nullopt;
  SoakRandom random(operation.seed);
  Operation executed = operation;
  const bool revives = operation.kind == OperationKind::kResetVi || operation.kind == OperationKind::kReplaceVi;
  // A halted VI is brought back sooner or later by whatever comes for it.
  if (seats_[operation.seat].halted && !revives) {
    if (!random.chance(8)) return std::nullopt;
    executed.kind = OperationKind::kResetVi;
  }
  execute(executed, random);
  return executed;
}

void Twin::execute(const Operation& operation, SoakRandom& random) {
  operations_.push_back(
      fmt::format("{} seat {} seed {}", operation_name(operation.kind), operation.seat, operation.seed));
  const bool data_path = operation.kind <= OperationKind::kTimer;
  if (!data_path) rest_first();
  const bool done = data_path ? act(operation, random) : control(operation, random);
  if (!done) {
    operations_.pop_back();
    return;
  }
  if (operations_.size() > kOperationsKept) operations_.pop_front();
  dirty_ = true;
  ++counts_.done;
  ++counts_.by_kind[static_cast<size_t>(operation.kind)];
  if (operation.settles || settle_after_ || !data_path) settle();
  settle_after_ = false;
}

}  // namespace postern::equivalence
