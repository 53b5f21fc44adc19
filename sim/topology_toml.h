// How a larger file (a scenario) reads the topology tables that it contains. Apart from sim/topology.h so that users of
// topologies do not see toml++.
#pragma once

#include "sim/toml_reader.h"
#include "sim/topology.h"

namespace postern::sim {

// Reads [[host]], [[switch]], [[tap]] and [[link]] from root; problems go to errors.
[[nodiscard]] Topology read_topology_tables(TomlReader& root, TomlErrors& errors);

}  // namespace postern::sim
