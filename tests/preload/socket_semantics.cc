// Differential socket test: run once on the kernel's network and once under libpostern; the outputs must be equal.
//   kernel:   socket_semantics server 127.0.0.1 7000 > kernel_s &  socket_semantics client 127.0.0.1 7000 > kernel_c
//   postern:  postern exec b -- socket_semantics server 10.9.0.1 7000 > p_s &
//             postern exec a -- socket_semantics client 10.9.0.2 7000 > p_c
// tests/preload/compare_semantics.sh does both and shows the difference.
#include <arpa/inet.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/preload/semantics/scenario.h"

namespace {

using postern::semantics::Context;
using postern::semantics::Role;
using postern::semantics::Scenario;

int usage() {
  std::fprintf(stderr,
               "usage: socket_semantics server|client PEER_ADDRESS BASE_PORT [SCENARIO]\n"
               "Both roles must be given the same port and scenario; ports up to BASE_PORT + 200 are used.\n");
  return 2;
}

std::vector<Scenario> all_scenarios() {
  std::vector<Scenario> all;
  for (const auto& group : {postern::semantics::tcp_scenarios(), postern::semantics::udp_scenarios(),
                            postern::semantics::descriptor_scenarios(), postern::semantics::waiting_scenarios()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "exec-child") == 0) {
    return postern::semantics::run_as_exec_child(std::atoi(argv[2]));
  }
  in_addr peer{};
  const long port = argc >= 4 ? std::strtol(argv[3], nullptr, 10) : 0;
  const bool server = argc >= 4 && std::strcmp(argv[1], "server") == 0;
  if (argc < 4 || argc > 5 || (!server && std::strcmp(argv[1], "client") != 0) ||
      ::inet_pton(AF_INET, argv[2], &peer) != 1 || port < 1 || port > 65000) {
    return usage();
  }
  std::signal(SIGPIPE, SIG_IGN);
  Context context(server ? Role::kServer : Role::kClient, peer, static_cast<uint16_t>(port));
  context.open_control();
  uint16_t index = 0;
  for (const Scenario& scenario : all_scenarios()) {
    if (argc == 4 || std::strcmp(argv[4], scenario.name) == 0) {
      context.begin(scenario.name, index);
      scenario.run(context);
    }
    ++index;
  }
  context.begin("end", index);
  context.line("scenarios", "done");
  return 0;
}
