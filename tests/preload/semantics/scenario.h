// The frame of the differential socket test: two roles (server, client) run the same list of scenarios in step and
// print every result, line by line, in a form that does not depend on addresses, ports or speed. The same program on
// the kernel's network and under libpostern must print the same lines.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

namespace postern::semantics {

enum class Role { kServer, kClient };

class Context {
 public:
  Context(Role role, in_addr peer, uint16_t base_port) : role_(role), peer_(peer), base_port_(base_port) {}

  [[nodiscard]] bool server() const { return role_ == Role::kServer; }
  // Connects the two roles' control connection; the server listens on the base port.
  void open_control();
  // Both roles meet here. Exits with a message if the other side is gone.
  void sync();
  void begin(const char* scenario, uint16_t index);

  // A line "scenario: what = value [ERRNO]". result(): negative values show errno's name.
  void line(const std::string& what, const std::string& value) const;
  int64_t result(const char* what, int64_t value) const;
  void fact(const char* what, bool value) const { line(what, value ? "yes" : "no"); }

  [[nodiscard]] uint16_t port(unsigned offset = 0) const {
    return static_cast<uint16_t>(base_port_ + 1 + index_ * 4 + offset);
  }
  [[nodiscard]] sockaddr_in peer_address(unsigned offset = 0) const;  // the server, seen from the client
  [[nodiscard]] static sockaddr_in any_address(uint16_t port);

  // Server: a listening socket on 0.0.0.0:port(offset). Exits if that fails.
  [[nodiscard]] int listener(unsigned offset = 0, int backlog = 16) const;
  // A connected stream: the server accepts, the client connects. Both roles call it.
  [[nodiscard]] int stream(unsigned offset = 0);

 private:
  Role role_;
  in_addr peer_;
  uint16_t base_port_;
  uint16_t index_ = 0;
  const char* scenario_ = "";
  int control_ = -1;
};

struct Scenario {
  const char* name;
  void (*run)(Context& context);
};

[[nodiscard]] std::vector<Scenario> tcp_scenarios();
[[nodiscard]] std::vector<Scenario> udp_scenarios();
[[nodiscard]] std::vector<Scenario> descriptor_scenarios();
[[nodiscard]] std::vector<Scenario> waiting_scenarios();
// What the program does when it executes itself to see whether a descriptor survives exec.
int run_as_exec_child(int fd);

[[nodiscard]] std::string errno_name(int value);
[[nodiscard]] std::string poll_bits(unsigned bits);
void write_all(int fd, const void* data, size_t size);
// Reads until size bytes or end of stream; returns how many came.
[[nodiscard]] size_t read_fully(int fd, void* data, size_t size);
[[nodiscard]] int wait_readable(int fd, int timeout_ms);
[[nodiscard]] uint64_t now_ms();

// Prints the call's text and result, and gives the result.
#define SHOW(context, call) (context).result(#call, (call))
// The same with a label, where the text would differ between runs.
#define SHOW_AS(context, label, call) (context).result(label, (call))

}  // namespace postern::semantics
