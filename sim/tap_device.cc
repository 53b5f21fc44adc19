// See tap_device.h.
#include "sim/tap_device.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

namespace postern::sim {
namespace {

Error failure(const TapConfig& config, const char* step) {
  const int error = errno;
  const char* remedy = error == EPERM || error == EACCES ? "run postern as root or with CAP_NET_ADMIN and CAP_SYS_ADMIN"
                                                         : "check netns, address and mtu of the TAP port";
  return Error{error, fmt::format("TAP port {} in namespace '{}': {} failed ({}): {}", config.device, config.netns,
                                  step, strerror(error), remedy)};
}

ifreq request_for(const std::string& device) {
  ifreq request{};
  std::strncpy(request.ifr_name, device.c_str(), IFNAMSIZ - 1);
  return request;
}

void set_ipv4(ifreq& request, uint32_t address_network_order) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = address_network_order;
  std::memcpy(&request.ifr_addr, &address, sizeof address);
}

bool bring_up(int socket_fd, const std::string& device) {
  ifreq request = request_for(device);
  if (ioctl(socket_fd, SIOCGIFFLAGS, &request) != 0) return false;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP | IFF_RUNNING);
  return ioctl(socket_fd, SIOCSIFFLAGS, &request) == 0;
}

const char* configure_address(int socket_fd, const TapConfig& config) {
  if (config.address.empty()) return nullptr;
  in_addr address{};
  if (inet_pton(AF_INET, config.address.c_str(), &address) != 1) {
    errno = EINVAL;
    return "reading the address";
  }
  ifreq request = request_for(config.device);
  set_ipv4(request, address.s_addr);
  if (ioctl(socket_fd, SIOCSIFADDR, &request) != 0) return "setting the address";
  request = request_for(config.device);
  set_ipv4(request, config.prefix_bits == 0 ? 0 : htonl(~0U << (32 - config.prefix_bits)));
  if (ioctl(socket_fd, SIOCSIFNETMASK, &request) != 0) return "setting the netmask";
  return nullptr;
}

// Address, mask, MTU, up. Name of the step that failed, or nullptr; errno says why.
const char* configure(int socket_fd, const TapConfig& config) {
  ifreq request = request_for(config.device);
  if (std::any_of(config.mac.begin(), config.mac.end(), [](uint8_t byte) { return byte != 0; })) {
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, config.mac.data(), config.mac.size());
    if (ioctl(socket_fd, SIOCSIFHWADDR, &request) != 0) return "setting the MAC address";
  }
  request = request_for(config.device);
  request.ifr_mtu = static_cast<int>(config.mtu_bytes);
  if (ioctl(socket_fd, SIOCSIFMTU, &request) != 0) return "setting the MTU";
  // Neighbour and router discovery of a network that has no IPv6 would only be noise in captures.
  std::ofstream("/proc/sys/net/ipv6/conf/" + config.device + "/disable_ipv6") << "1";
  if (const char* failed_step = configure_address(socket_fd, config)) return failed_step;
  if (!bring_up(socket_fd, config.device)) return "bringing the device up";
  if (!bring_up(socket_fd, "lo")) return "bringing the loopback up";
  return nullptr;
}

// Runs in a thread of its own, which ends afterwards: only it enters the namespace.
Result<int> create_inside(const TapConfig& config) {
  if (!config.netns.empty()) {
    const int ns_fd = ::open(("/run/netns/" + config.netns).c_str(), O_RDONLY | O_CLOEXEC);
    if (ns_fd < 0) return failure(config, "opening the namespace");
    const int entered = setns(ns_fd, CLONE_NEWNET);
    close(ns_fd);
    if (entered != 0) return failure(config, "entering the namespace");
  }
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failure(config, "opening /dev/net/tun");
  ifreq request = request_for(config.device);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  const int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const char* failed_step = nullptr;
  if (ioctl(fd, TUNSETIFF, &request) != 0) {
    failed_step = "creating the device";
  } else if (ioctl(fd, TUNSETOFFLOAD, 0) != 0) {
    failed_step = "switching offloads off";
  } else {
    failed_step = configure(socket_fd, config);
  }
  if (failed_step != nullptr) {
    Error error = failure(config, failed_step);
    close(fd);
    close(socket_fd);
    return error;
  }
  close(socket_fd);
  return fd;
}

}  // namespace

Result<std::unique_ptr<TapDevice>> TapDevice::open(const TapConfig& config) {
  Result<int> fd = Error{EIO, "the namespace thread did not run"};
  std::thread([&] { fd = create_inside(config); }).join();
  if (!fd) return fd.error();
  return std::unique_ptr<TapDevice>(new TapDevice(fd.value()));
}

TapDevice::~TapDevice() { close(fd_); }  // the device is not persistent: it goes with its descriptor

size_t TapDevice::read_frame(uint8_t* buffer, size_t capacity_bytes) {
  const ssize_t size = read(fd_, buffer, capacity_bytes);
  return size > 0 ? static_cast<size_t>(size) : 0;
}

bool TapDevice::write_frame(const uint8_t* bytes, size_t size_bytes) {
  return write(fd_, bytes, size_bytes) == static_cast<ssize_t>(size_bytes);
}

}  // namespace postern::sim
