// Drawing, writing and reading operations. See operation.h.
#include "tests/equivalence/operation.h"

#include <iterator>
#include <random>
#include <sstream>

namespace postern::equivalence {
namespace {

struct KindRow {
  const char* name;
  uint32_t weight;  // of about 1,000
};

constexpr KindRow kKinds[] = {
    {"post", 130},       {"send", 200},         {"segment", 30},       {"push", 40},    {"pio", 40},
    {"arrive", 210},     {"arrive_odd", 60},    {"consume", 180},      {"timer", 25},   {"filter", 15},
    {"grant", 6},        {"moderate", 6},       {"bind", 6},           {"mask", 6},     {"spread", 4},
    {"port", 4},         {"statistics", 3},     {"read", 6},           {"stray", 5},    {"bad_command", 5},
    {"bad_doorbell", 4}, {"bad_descriptor", 4}, {"loop", 4},           {"overflow", 2}, {"reset_vi", 6},
    {"reset_busy", 4},   {"replace_vi", 4},     {"reset_function", 1},
};
static_assert(std::size(kKinds) == kOperationKinds, "a row for each kind, in the order of the kinds");

OperationKind draw_kind(std::mt19937_64& engine) {
  uint32_t total = 0;
  for (const KindRow& row : kKinds) total += row.weight;
  auto at = static_cast<uint32_t>(engine() % total);
  for (unsigned kind = 0; kind < kOperationKinds; ++kind) {
    if (at < kKinds[kind].weight) return static_cast<OperationKind>(kind);
    at -= kKinds[kind].weight;
  }
  return OperationKind::kPost;  // not reached
}

}  // namespace

const char* operation_name(OperationKind kind) { return kKinds[static_cast<size_t>(kind)].name; }

Stimulus random_stimulus(uint64_t seed, size_t operation_count) {
  std::mt19937_64 engine(seed);
  Stimulus stimulus;
  stimulus.setup_seed = engine();
  stimulus.operations.resize(operation_count);
  for (Operation& operation : stimulus.operations) {
    operation.kind = draw_kind(engine);
    operation.seat = static_cast<uint32_t>(engine() % kSeats);
    operation.seed = engine();
    operation.settles = engine() % 3 == 0;
  }
  return stimulus;
}

std::string to_text(const Stimulus& stimulus) {
  std::ostringstream text;
  text << "setup " << stimulus.setup_seed << "\n";
  for (const Operation& operation : stimulus.operations) {
    text << operation_name(operation.kind) << " " << operation.seat << " " << operation.seed
         << (operation.settles ? " settles" : "") << "\n";
  }
  return text.str();
}

Stimulus from_text(const std::string& text, std::string& error) {
  Stimulus stimulus;
  std::istringstream lines(text);
  std::string line;
  for (unsigned number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string name;
    if (!(words >> name)) continue;
    const std::string where = "line " + std::to_string(number) + ": ";
    if (name == "setup") {
      if (!(words >> stimulus.setup_seed)) error = where + "expected setup SEED";
      continue;
    }
    unsigned kind = 0;
    while (kind < kOperationKinds && name != kKinds[kind].name) ++kind;
    Operation operation;
    std::string settles;
    if (kind == kOperationKinds || !(words >> operation.seat >> operation.seed) || operation.seat >= kSeats ||
        ((words >> settles) && settles != "settles")) {
      error = where + "expected KIND SEAT SEED [settles], seen \"" + line + "\"";
      return stimulus;
    }
    operation.kind = static_cast<OperationKind>(kind);
    operation.settles = !settles.empty();
    stimulus.operations.push_back(operation);
  }
  return stimulus;
}

}  // namespace postern::equivalence
