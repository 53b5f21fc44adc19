// postern-stack-helper: started by hostd as {path, "--control-fd", "3"}; takes its stack over the control socket and
// runs the helper's loop. Not for people, but says so politely.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "stack/helper/stack_helper.h"

namespace {

constexpr int kFormatWaitMs = 10000;  // the application formats its stack right after hostd has granted it

int usage(FILE* out) {
  std::fprintf(
      out,
      "usage: postern-stack-helper --control-fd NUMBER\n"
      "Advances one stack of a simulated host while its application does not. Started by postern-hostd, which\n"
      "passes the control socket; there is no reason to start it by hand.\n");
  return out == stdout ? 0 : 2;
}

int run(int control_fd) {
  using postern::helper::StackHelper;
  postern::hostd::HostdClient client(control_fd);
  auto start = client.receive_start();
  if (!start.ok()) {
    std::fprintf(stderr, "postern-stack-helper: %s\n", start.error().message.c_str());
    return 1;
  }
  auto attached = postern::preload::AttachedStack::create(start.value(), &client, true, kFormatWaitMs, nullptr);
  if (!attached.ok()) {
    std::fprintf(stderr, "postern-stack-helper: stack %u: %s\n", start->grant.stack_id,
                 attached.error().message.c_str());
    return 1;
  }
  StackHelper helper(client, *attached.value(), postern::helper::HelperTimes{});
  return helper.run();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    return usage(stdout);
  }
  if (argc != 3 || std::strcmp(argv[1], "--control-fd") != 0) {
    return usage(stderr);
  }
  char* end = nullptr;
  const long control_fd = std::strtol(argv[2], &end, 10);
  if (*end != '\0' || control_fd < 0 || control_fd > 1 << 20) {
    std::fprintf(stderr, "postern-stack-helper: --control-fd wants a descriptor number, not '%s'\n", argv[2]);
    return 2;
  }
  // A terminal's Ctrl-C is for the application; hostd ends this process when it is no longer needed.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  return run(static_cast<int>(control_fd));
}
