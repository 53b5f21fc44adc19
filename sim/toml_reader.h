// Checked reading of TOML tables: every value is asked for with its type and range, every error names file, line, key
// and what was expected, and keys that nobody asked for are errors. Shared by topologies and scenarios. Hides toml++'s
// exceptions: the first error is kept, later calls return defaults.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "driver/result.h"

namespace postern::sim {

// The first error of a file.
class TomlErrors {
 public:
  explicit TomlErrors(std::string source_name) : source_name_(std::move(source_name)) {}
  // "file:line: key: expected ..., found ...". Only the first is kept.
  void report(const toml::node* node, const std::string& key, const std::string& problem);
  [[nodiscard]] bool any() const { return !message_.empty(); }
  [[nodiscard]] Error error() const;
  [[nodiscard]] const std::string& source_name() const { return source_name_; }

 private:
  std::string source_name_;
  std::string message_;
};

class TomlReader {
 public:
  // path: how the table is called in messages, e.g. "link". fallback: where the table stands, if it has no line itself.
  TomlReader(const toml::table& table, std::string path, TomlErrors& errors)
      : table_(table), path_(std::move(path)), errors_(errors) {}

  // Also makes the key known to finish().
  [[nodiscard]] bool has(const char* key) {
    asked_.insert(key);
    return table_.contains(key);
  }
  // Each returns the default if the key is missing or wrong; a required key that is missing is an error.
  std::string text(const char* key, const std::string& fallback, bool required = false);
  double number(const char* key, double fallback, double min, double max);
  uint64_t integer(const char* key, uint64_t fallback, uint64_t min, uint64_t max);
  bool boolean(const char* key, bool fallback);
  double probability(const char* key, double fallback) { return number(key, fallback, 0.0, 1.0); }
  std::vector<std::string> texts(const char* key);
  // One of the given words.
  std::string word(const char* key, const std::string& fallback, const std::vector<std::string>& allowed);
  // A sub-table, or nullptr. The caller reads it with a reader of its own.
  const toml::table* sub_table(const char* key);
  // An array of tables ([[key]]); empty if missing.
  std::vector<const toml::table*> tables(const char* key);

  void fail(const char* key, const std::string& problem);
  // Reports keys that were never asked for. Call last.
  void finish();
  [[nodiscard]] const toml::table& table() const { return table_; }
  [[nodiscard]] unsigned line() const { return table_.source().begin.line; }

 private:
  const toml::node* take(const char* key);
  [[nodiscard]] std::string full_key(const char* key) const;

  const toml::table& table_;
  std::string path_;
  TomlErrors& errors_;
  std::set<std::string> asked_;
};

// Parses text; a syntax error names file, line and column.
[[nodiscard]] Result<toml::table> parse_toml(const std::string& text, const std::string& source_name);
// Reads a whole file; the error says why it cannot be read.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path);

}  // namespace postern::sim
