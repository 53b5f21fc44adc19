// Checked TOML access; see the header.
#include "sim/toml_reader.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "driver/unique_fd.h"

namespace postern::sim {
namespace {

std::string describe(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return fmt::format("the string \"{}\"", node.as_string()->get());
    case toml::node_type::integer:
      return fmt::format("{}", node.as_integer()->get());
    case toml::node_type::floating_point:
      return fmt::format("{}", node.as_floating_point()->get());
    case toml::node_type::boolean:
      return node.as_boolean()->get() ? "true" : "false";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

}  // namespace

void TomlErrors::report(const toml::node* node, const std::string& key, const std::string& problem) {
  if (any()) {
    return;
  }
  const unsigned line = node == nullptr ? 0 : node->source().begin.line;
  message_ = line == 0 ? fmt::format("{}: {}: {}", source_name_, key, problem)
                       : fmt::format("{}:{}: {}: {}", source_name_, line, key, problem);
}

Error TomlErrors::error() const { return Error{EINVAL, message_}; }

std::string TomlReader::full_key(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

const toml::node* TomlReader::take(const char* key) {
  asked_.insert(key);
  return table_.get(key);
}

void TomlReader::fail(const char* key, const std::string& problem) {
  const toml::node* node = table_.get(key);
  errors_.report(node != nullptr ? node : &table_, full_key(key), problem);
}

std::string TomlReader::text(const char* key, const std::string& fallback, bool required) {
  const toml::node* node = take(key);
  if (node == nullptr) {
    if (required) {
      fail(key, "expected a string, but the key is missing; add it");
    }
    return fallback;
  }
  if (!node->is_string()) {
    fail(key, "expected a string, found " + describe(*node));
    return fallback;
  }
  return node->as_string()->get();
}

double TomlReader::number(const char* key, double fallback, double min, double max) {
  const toml::node* node = take(key);
  if (node == nullptr) {
    return fallback;
  }
  const auto value = node->value<double>();
  if (!node->is_number() || !value || !(*value >= min && *value <= max)) {
    fail(key, fmt::format("expected a number from {} to {}, found {}", min, max, describe(*node)));
    return fallback;
  }
  return *value;
}

uint64_t TomlReader::integer(const char* key, uint64_t fallback, uint64_t min, uint64_t max) {
  const toml::node* node = take(key);
  if (node == nullptr) {
    return fallback;
  }
  const int64_t value = node->is_integer() ? node->as_integer()->get() : -1;
  if (value < 0 || static_cast<uint64_t>(value) < min || static_cast<uint64_t>(value) > max) {
    fail(key, fmt::format("expected a whole number from {} to {}, found {}", min, max, describe(*node)));
    return fallback;
  }
  return static_cast<uint64_t>(value);
}

bool TomlReader::boolean(const char* key, bool fallback) {
  const toml::node* node = take(key);
  if (node == nullptr) {
    return fallback;
  }
  if (!node->is_boolean()) {
    fail(key, "expected true or false, found " + describe(*node));
    return fallback;
  }
  return node->as_boolean()->get();
}

std::vector<std::string> TomlReader::texts(const char* key) {
  std::vector<std::string> result;
  const toml::node* node = take(key);
  if (node == nullptr) {
    return result;
  }
  if (!node->is_array()) {
    fail(key, "expected an array of strings, found " + describe(*node));
    return result;
  }
  for (const toml::node& element : *node->as_array()) {
    if (!element.is_string()) {
      errors_.report(&element, full_key(key), "expected an array of strings, found " + describe(element) + " in it");
      return result;
    }
    result.push_back(element.as_string()->get());
  }
  return result;
}

std::string TomlReader::word(const char* key, const std::string& fallback, const std::vector<std::string>& allowed) {
  const std::string value = text(key, fallback);
  for (const std::string& candidate : allowed) {
    if (candidate == value) {
      return value;
    }
  }
  fail(key, fmt::format("expected one of {}, found \"{}\"", fmt::join(allowed, ", "), value));
  return fallback;
}

const toml::table* TomlReader::sub_table(const char* key) {
  const toml::node* node = take(key);
  if (node == nullptr) {
    return nullptr;
  }
  if (!node->is_table()) {
    fail(key, fmt::format("expected a table ([{}]), found {}", full_key(key), describe(*node)));
    return nullptr;
  }
  return node->as_table();
}

std::vector<const toml::table*> TomlReader::tables(const char* key) {
  std::vector<const toml::table*> result;
  const toml::node* node = take(key);
  if (node == nullptr) {
    return result;
  }
  if (!node->is_array_of_tables()) {
    fail(key, fmt::format("expected an array of tables ([[{}]]), found {}", full_key(key), describe(*node)));
    return result;
  }
  for (const toml::node& element : *node->as_array()) {
    result.push_back(element.as_table());
  }
  return result;
}

void TomlReader::finish() {
  for (const auto& [key, node] : table_) {
    const std::string name(key.str());
    if (asked_.count(name) == 0) {
      errors_.report(&node, full_key(name.c_str()),
                     fmt::format("unknown key; expected one of {}", fmt::join(asked_, ", ")));
      return;
    }
  }
}

Result<toml::table> parse_toml(const std::string& text, const std::string& source_name) {
  try {
    return toml::parse(text, source_name);
  } catch (const toml::parse_error& problem) {
    return Error{EINVAL, fmt::format("{}:{}: not valid TOML (column {}): {}", source_name, problem.source().begin.line,
                                     problem.source().begin.column, problem.description())};
  }
}

Result<std::string> read_text_file(const std::string& path) {
  const auto fail = [&path](int code, const char* why) {
    return Error{code, fmt::format("cannot read {}: {}; give the path of a readable TOML file", path, why)};
  };
  // Not a FIFO or a terminal: opening or reading it could wait for ever.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  struct stat info {};
  if (!fd.valid() || fstat(fd.get(), &info) != 0) {
    const int code = errno;
    return fail(code, std::strerror(code));
  }
  if (!S_ISREG(info.st_mode)) return fail(EINVAL, "it is not a regular file");
  std::string content;
  char part[4096];
  ssize_t got = 0;
  while ((got = read(fd.get(), part, sizeof part)) > 0) content.append(part, static_cast<size_t>(got));
  if (got < 0) {
    const int code = errno;
    return fail(code, std::strerror(code));
  }
  if (content.empty()) return fail(EIO, "it is empty");
  return content;
}

}  // namespace postern::sim
