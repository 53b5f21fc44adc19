// Option parsing, dump and documentation from the one list; the library's log line.
#include "stack/preload/options.h"

#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "stack/preload/intercepted_calls.h"
#include "stack/preload/real_calls.h"

namespace postern::preload {
namespace {

int current_log_level = static_cast<int>(LogLevel::kWarning);

void read_integer(GetEnvironment get, const char* variable, int64_t smallest, int64_t largest, int64_t* value,
                  std::string* complaints) {
  const char* text = get(variable);
  if (text == nullptr || *text == '\0') {
    return;
  }
  char* end = nullptr;
  errno = 0;
  const long long parsed = std::strtoll(text, &end, 10);
  if (errno != 0 || *end != '\0' || parsed < smallest || parsed > largest) {
    *complaints += std::string(variable) + "=" + text + " ignored: expected an integer from " +
                   std::to_string(smallest) + " to " + std::to_string(largest) + ", using " + std::to_string(*value) +
                   "\n";
    return;
  }
  *value = parsed;
}

}  // namespace

uint64_t Options::spin_ns() const {
  if (spin_us >= 0) {
    return static_cast<uint64_t>(spin_us) * 1000;
  }
  return ::sysconf(_SC_NPROCESSORS_ONLN) <= 2 ? 0 : 20000;
}

Options read_options(GetEnvironment get, std::string* complaints) {
  Options options;
#define POSTERN_READ(member, variable, value, smallest, largest, text) \
  read_integer(get, variable, smallest, largest, &options.member, complaints);
  POSTERN_INTEGER_OPTIONS(POSTERN_READ)
#undef POSTERN_READ
#define POSTERN_READ(member, variable, value, text)          \
  if (const char* found = get(variable); found != nullptr) { \
    options.member = found;                                  \
  }
  POSTERN_STRING_OPTIONS(POSTERN_READ)
#undef POSTERN_READ
  return options;
}

std::string describe_options(const Options& options) {
  std::string out;
#define POSTERN_DESCRIBE(member, variable, value, smallest, largest, text)                              \
  out += std::string(variable) + "=" + std::to_string(options.member) + "   " + (text) + " (default " + \
         std::to_string(value) + ", " + std::to_string(smallest) + " to " + std::to_string(largest) + ")\n";
  POSTERN_INTEGER_OPTIONS(POSTERN_DESCRIBE)
#undef POSTERN_DESCRIBE
#define POSTERN_DESCRIBE(member, variable, value, text) \
  out += std::string(variable) + "=" + options.member + "   " + (text) + "\n";
  POSTERN_STRING_OPTIONS(POSTERN_DESCRIBE)
#undef POSTERN_DESCRIBE
  return out;
}

std::string options_markdown() {
  std::string out =
      "# libpostern.so: options and intercepted calls\n\n"
      "Generated from `stack/preload/options.h` and `stack/preload/intercepted_calls.h`.\n\n"
      "## Options (environment)\n\n| variable | default | range | meaning |\n|---|---|---|---|\n";
#define POSTERN_ROW(member, variable, value, text) \
  out += std::string("| `") + (variable) + "` | `" + (value) + "` | path | " + (text) + " |\n";
  POSTERN_STRING_OPTIONS(POSTERN_ROW)
#undef POSTERN_ROW
#define POSTERN_ROW(member, variable, value, smallest, largest, text)                                                  \
  out += std::string("| `") + (variable) + "` | " + std::to_string(value) + " | " + std::to_string(smallest) + " … " + \
         std::to_string(largest) + " | " + (text) + " |\n";
  POSTERN_INTEGER_OPTIONS(POSTERN_ROW)
#undef POSTERN_ROW
  out += "\n## Intercepted calls\n\n| call | what the library does |\n|---|---|\n";
#define POSTERN_ROW(ret, name, params, args, text) out += std::string("| `" #name "` | ") + (text) + " |\n";
  POSTERN_INTERCEPTED_CALLS(POSTERN_ROW)
#undef POSTERN_ROW
  return out;
}

void set_log_level(LogLevel level) { current_log_level = static_cast<int>(level); }

void log(LogLevel level, const char* format, ...) {
  if (static_cast<int>(level) > current_log_level) {
    return;
  }
  const int saved_errno = errno;
  char line[512];
  int used = std::snprintf(line, sizeof line, "postern: ");
  va_list arguments;
  va_start(arguments, format);
  const int text = std::vsnprintf(line + used, sizeof line - static_cast<size_t>(used) - 1, format, arguments);
  va_end(arguments);
  used += text < 0 ? 0 : text;
  used = used > static_cast<int>(sizeof line) - 2 ? static_cast<int>(sizeof line) - 2 : used;
  line[used++] = '\n';
  [[maybe_unused]] const ssize_t written = real().write(STDERR_FILENO, line, static_cast<size_t>(used));
  errno = saved_errno;
}

}  // namespace postern::preload
