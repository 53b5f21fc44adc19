// The library's options. Declared once, in the list below: reading the environment, the dump (POSTERN_HELP=1) and
// docs/options.md follow from it.
#pragma once

#include <cstdint>
#include <string>

namespace postern::preload {

enum class LogLevel : int { kOff = 0, kError = 1, kWarning = 2, kInfo = 3, kDebug = 4 };

// X(member, environment variable, default, smallest, largest, "text"); all are integers.
#define POSTERN_INTEGER_OPTIONS(X)                                                                                  \
  X(enabled, "POSTERN_ENABLE", 1, 0, 1, "0: the library passes every call to the kernel")                           \
  X(spin_us, "POSTERN_SPIN_US", -1, -1, 1000000,                                                                    \
    "microseconds that a blocking call polls before it sleeps; -1: 0 with one or two CPUs, otherwise 20")           \
  X(log_level, "POSTERN_LOG", 2, 0, 4, "messages on standard error: 0 none, 1 errors, 2 warnings, 3 info, 4 debug") \
  X(accept_v6_wildcard, "POSTERN_V6_WILDCARD", 1, 0, 1,                                                             \
    "1: an IPv6 socket bound to :: (not IPV6_V6ONLY) or to a mapped IPv4 address is served by the simulated NIC")   \
  X(connect_timeout_ms, "POSTERN_HOSTD_TIMEOUT_MS", 5000, 1, 60000, "how long a request to hostd may take")         \
  X(help, "POSTERN_HELP", 0, 0, 1, "1: print this list with the values in force when the library is loaded")

// X(member, environment variable, default, "text"); strings.
#define POSTERN_STRING_OPTIONS(X) \
  X(hostd, "POSTERN_HOSTD", "",   \
    "path of the socket of the simulated host's hostd; empty: every call goes to the kernel")

struct Options {
#define POSTERN_OPTION_MEMBER(member, variable, value, smallest, largest, text) int64_t member = value;
  POSTERN_INTEGER_OPTIONS(POSTERN_OPTION_MEMBER)
#undef POSTERN_OPTION_MEMBER
#define POSTERN_OPTION_MEMBER(member, variable, value, text) std::string member = value;
  POSTERN_STRING_OPTIONS(POSTERN_OPTION_MEMBER)
#undef POSTERN_OPTION_MEMBER

  [[nodiscard]] uint64_t spin_ns() const;  // with the default resolved
};

// Looks a variable up; nullptr: not set. The environment in the library, a table in tests.
using GetEnvironment = const char* (*)(const char* variable);

// Reads all options. A value that is no integer or out of range keeps its default and adds a line to *complaints.
[[nodiscard]] Options read_options(GetEnvironment get, std::string* complaints);

// "VARIABLE=value   text (default, range)" lines.
[[nodiscard]] std::string describe_options(const Options& options);

// docs/options.md: the options and the intercepted calls as tables.
[[nodiscard]] std::string options_markdown();

// One line on standard error, "postern: <text>", if level is within POSTERN_LOG. printf-style. Keeps errno.
void log(LogLevel level, const char* format, ...) __attribute__((format(printf, 2, 3)));
void set_log_level(LogLevel level);

}  // namespace postern::preload
