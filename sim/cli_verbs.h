// The verbs of the `postern` command. Each prints what it did on stdout, or one line
// with the remedy on stderr, and returns the exit status.
#pragma once

#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/testbed.h"

namespace postern::sim {

// Prints "postern: MESSAGE" and returns 1.
int cli_fail(const Error& error);

int cli_up(const TestbedOptions& options);
int cli_down(const std::string& run_dir);
int cli_status(const std::string& run_dir, bool as_json);

// The properties of a NIC, as a table or JSON: those whose name, meaning or source contains filter (empty: all).
int cli_properties(const std::string& filter, bool as_json);

// What `postern sim` offers: built-in scenarios; the properties of a NIC with their defaults and sources.
int cli_list_scenarios();
int cli_list_properties();

// Replaces this process by the program, with its sockets on the host's NIC. Returns only if that fails: 127 if the
// program does not exist, 126 if it cannot be executed, 1 for everything else (as shells do).
int cli_exec(const std::string& run_dir, const std::string& host, const std::vector<std::string>& program);

}  // namespace postern::sim
