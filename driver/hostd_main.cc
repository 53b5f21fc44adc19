// postern-hostd: command line of the resource manager's process. One per simulated host; started by `postern up`.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cctype>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <string>

#include "driver/hostd.h"
#include "driver/vfio_user_function.h"

namespace postern::hostd {
namespace {

struct Options {
  std::string host;
  std::string device;
  std::string socket;
  std::string run_dir;
  std::string address;
  std::string gateway;
  std::string helper;
  bool no_host_stack = false;
  uint32_t mtu_bytes = 1500;
  uint64_t stack_mib = 32;
  ViGeometry geometry;
  uint64_t seed = 0;
  int device_wait_ms = 10000;
};

Hostd* running = nullptr;
void stop_on_signal(int) { running->request_stop(); }

Error bad_option(const char* option, const std::string& value, const char* expected) {
  return Error{EINVAL, fmt::format("{} '{}': expected {}", option, value, expected)};
}

Result<HostAddress> parse_ipv4(const char* option, const std::string& text) {
  HostAddress address;
  address.family = HostAddress::Family::kIpv4;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) != 1 || address.is_any()) {
    return bad_option(option, text, "an IPv4 address such as 10.9.0.1");
  }
  return address;
}

Status parse_addresses(const Options& options, StackSettings& settings) {
  const size_t slash = options.address.find('/');
  Result<HostAddress> address = parse_ipv4("--address", options.address.substr(0, slash));
  if (!address) {
    return address.error();
  }
  settings.address = *address;
  if (slash != std::string::npos) {
    const std::string bits = options.address.substr(slash + 1);
    const bool digits = !bits.empty() && bits.size() <= 2 && bits.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoul(bits) < 1 || std::stoul(bits) > 32) {
      return bad_option("--address", options.address, "a prefix length of 1 to 32 after the slash");
    }
    settings.prefix_bits = static_cast<unsigned>(std::stoul(bits));
  }
  if (!options.gateway.empty()) {
    Result<HostAddress> gateway = parse_ipv4("--gateway", options.gateway);
    if (!gateway) {
      return gateway.error();
    }
    settings.gateway = *gateway;
  }
  return {};
}

std::string default_run_dir() {
  if (const char* dir = std::getenv("POSTERN_RUN_DIR"); dir != nullptr && *dir != '\0') {
    return dir;
  }
  const char* base = std::getenv("XDG_RUNTIME_DIR");
  return fmt::format("{}/postern-{}", base != nullptr && *base != '\0' ? base : "/tmp", getuid());
}

// The helper is installed next to this program.
std::string default_helper() {
  char path[PATH_MAX];
  const ssize_t bytes = readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, bytes > 0 ? static_cast<size_t>(bytes) : 0);
  return self.substr(0, self.rfind('/') + 1) + "postern-stack-helper";
}

Result<HostdConfig> make_config(const Options& options) {
  HostdConfig config;
  const bool name_ok = !options.host.empty() && options.host.size() < kHostNameBytes &&
                       options.host.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == std::string::npos;
  if (!name_ok) {
    return bad_option("--host", options.host, "1 to 31 letters, digits, '-' or '_'");
  }
  if (!vi_geometry_valid(options.geometry)) {
    return Error{EINVAL,
                 fmt::format("ring sizes {}, {}, {}: expected powers of two, rings 128 to 4096, events 128 to 32768",
                             options.geometry.rx_entries, options.geometry.tx_entries, options.geometry.evq_entries)};
  }
  if (options.geometry.evq_entries < options.geometry.rx_entries + options.geometry.tx_entries) {
    return Error{EINVAL,
                 fmt::format("--evq-entries {}: a full event queue drops events; expected at least {}, the RX "
                             "and TX descriptors together",
                             options.geometry.evq_entries, options.geometry.rx_entries + options.geometry.tx_entries)};
  }
  config.stack.host = options.host;
  config.stack.mtu_bytes = options.mtu_bytes;
  config.stack.stack_area_bytes = options.stack_mib << 20;
  config.stack.geometry = options.geometry;
  config.stack.seed = options.seed;
  if (options.seed == 0 && getrandom(&config.stack.seed, sizeof config.stack.seed, 0) != sizeof config.stack.seed) {
    return Error{EIO, "the kernel gives no random numbers: pass --seed"};
  }
  config.ports.seed = config.stack.seed;
  if (Status status = parse_addresses(options, config.stack); !status) {
    return status.error();
  }
  config.socket_path =
      !options.socket.empty()
          ? options.socket
          : fmt::format("{}/{}.sock", options.run_dir.empty() ? default_run_dir() : options.run_dir, options.host);
  config.helper_path = options.helper.empty() ? default_helper() : options.helper;
  if (access(config.helper_path.c_str(), X_OK) != 0) {
    return Error{ENOENT, fmt::format("stack helper '{}' cannot be executed: build it (make) or pass --helper PATH",
                                     config.helper_path)};
  }
  config.host_stack = !options.no_host_stack;
  config.device_wait = std::chrono::milliseconds(options.device_wait_ms);
  return config;
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--host", options.host, "Name of the simulated host")->required();
  app.add_option("--device", options.device, "vfio-user socket of the host's NIC")->required();
  app.add_option("--address", options.address, "IPv4 address and prefix length, e.g. 10.9.0.1/24")->required();
  app.add_option("--gateway", options.gateway, "Gateway for other subnets; none: only the own subnet is reached");
  app.add_option("--socket", options.socket, "Where to listen; default RUN_DIR/HOST.sock");
  app.add_option("--run-dir", options.run_dir, "Default $POSTERN_RUN_DIR, else ${XDG_RUNTIME_DIR:-/tmp}/postern-$UID");
  app.add_option("--mtu", options.mtu_bytes, "MTU of the port in bytes")
      ->check(CLI::Range(576, 9216))
      ->capture_default_str();
  app.add_option("--helper", options.helper, "Stack helper; default: postern-stack-helper beside this program");
  app.add_flag("--no-host-stack", options.no_host_stack,
               "Do not start stack 0: nobody answers ARP, ICMP and unmatched segments");
  app.add_option("--stack-mib", options.stack_mib, "Memory of one stack for state and packet buffers, MiB")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--rx-entries", options.geometry.rx_entries, "RX descriptors of a VI")->capture_default_str();
  app.add_option("--tx-entries", options.geometry.tx_entries, "TX descriptors of a VI")->capture_default_str();
  app.add_option("--evq-entries", options.geometry.evq_entries, "Events of a VI's queue")->capture_default_str();
  app.add_option("--seed", options.seed, "Seed of port and sequence numbers; 0: random")->capture_default_str();
  app.add_option("--device-wait-ms", options.device_wait_ms, "How long to wait for the device at start")
      ->check(CLI::Range(0, 600000))
      ->capture_default_str();
}

int run(const Options& options) {
  Result<HostdConfig> config = make_config(options);
  if (!config) {
    fmt::print(stderr, "postern-hostd: {}\n", config.error().message);
    return 2;
  }
  const std::string device_path = options.device;
  Hostd hostd(*config, [device_path]() -> Result<std::unique_ptr<LiveFunction>> {
    VfioUserFunction::Options function_options;
    function_options.reply_timeout_ms = 2000;
    Result<std::unique_ptr<VfioUserFunction>> function = VfioUserFunction::connect(device_path, function_options);
    if (!function) {
      return function.error();
    }
    return std::unique_ptr<LiveFunction>(std::move(function).value());
  });
  running = &hostd;
  struct sigaction action {};
  action.sa_handler = stop_on_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
  if (Status status = hostd.start(); !status) {
    fmt::print(stderr, "postern-hostd: {}\n", status.error().message);
    return 1;
  }
  hostd.run();
  return 0;
}

}  // namespace
}  // namespace postern::hostd

int main(int argument_count, char** arguments) {
  CLI::App app(
      "postern-hostd: resource manager of one simulated host. Owns the host's NIC and gives each application its "
      "own virtual interface. Normally started by `postern up`.");
  postern::hostd::Options options;
  postern::hostd::add_options(app, options);
  CLI11_PARSE(app, argument_count, arguments);
  return postern::hostd::run(options);
}
