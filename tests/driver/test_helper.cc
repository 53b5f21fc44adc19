// A stack helper for hostd's tests: writes what hostd tells it, one word a line, to the file $TEST_HELPER_LOG, and
// behaves as $TEST_HELPER_MODE says: "obedient" (done when orphaned; ends when told), "silent" (never done, ignores
// kShutdown), "dies" (exits with 7 after its start message), "crash_when_orphaned".
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "driver/hostd_client.h"

using namespace postern::hostd;

namespace {

void note(const std::string& line) {
  std::FILE* file = std::fopen(std::getenv("TEST_HELPER_LOG"), "a");
  if (file != nullptr) {
    std::fprintf(file, "%s\n", line.c_str());
    std::fclose(file);
  }
}

// True: go on.
bool handle(HostdClient& client, const HelperMessage& message, uint32_t stack_id, const std::string& mode,
            bool& orphaned, int& open_endpoints) {
  switch (message.event) {
    case HelperEvent::kEndpointClosed:
      note("closed " + std::to_string(message.endpoint) + "/" + std::to_string(message.generation));
      --open_endpoints;
      break;
    case HelperEvent::kOrphaned:
      note("orphaned");
      orphaned = true;
      if (mode == "crash_when_orphaned") std::abort();
      break;
    case HelperEvent::kAdopted:
      note("adopted");
      orphaned = false;
      break;
    case HelperEvent::kDeviceLost:
      note("device-lost");
      return mode == "silent";
    case HelperEvent::kShutdown:
      note("shutdown");
      return mode == "silent";
    default:
      break;
  }
  if (orphaned && mode == "obedient") {
    note(client.helper_done(stack_id).ok() ? "done" : "busy");
  }
  return true;
}

}  // namespace

int main() {
  const char* mode_text = std::getenv("TEST_HELPER_MODE");
  const std::string mode = mode_text != nullptr ? mode_text : "obedient";
  HostdClient client(kHelperControlFd, 2000);
  postern::Result<StackAttachment> start = client.receive_start();
  if (!start) return 3;
  const uint32_t stack_id = start->grant.stack_id;
  note("start " + std::to_string(stack_id));
  if (mode == "dies") return 7;
  bool orphaned = false;
  int open_endpoints = 0;
  for (;;) {
    HelperMessage message;
    postern::Result<bool> got = client.next_event(message);
    if (!got) {
      if (mode != "silent") return 0;
      pause();
    }
    if (*got) {
      if (!handle(client, message, stack_id, mode, orphaned, open_endpoints)) return 0;
      continue;
    }
    pollfd readable{kHelperControlFd, POLLIN, 0};
    poll(&readable, 1, 10000);
  }
}
