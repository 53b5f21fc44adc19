// The `postern` command: reads the command line and calls the verb. See sim/cli_verbs.h for what the verbs do.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "sim/cli_verbs.h"
#include "sim/live_simulator.h"
#include "sim/replay/replay.h"
#include "sim/scenario.h"

namespace postern::sim {
namespace {

constexpr const char* kVerbs[] = {"up",     "exec",       "status",  "down",          "sim",
                                  "replay", "properties", "version", "live-simulator"};
constexpr char kRunDirHelp[] =
    "Directory with the state and the sockets of the testbed (default: $POSTERN_RUN_DIR, else "
    "${XDG_RUNTIME_DIR:-/tmp}/postern-$UID)";

// The command line up to the program that `postern exec` is to run, and that program with its arguments: what follows
// "--", or what follows the host's name.
struct SplitArguments {
  std::vector<std::string> own;
  std::vector<std::string> program;
};

SplitArguments split_exec(int argc, char** argv) {
  SplitArguments split;
  int i = 1;
  for (; i < argc; ++i) split.own.emplace_back(argv[i]);
  if (argc < 2 || std::strcmp(argv[1], "exec") != 0) return split;
  split.own = {"exec"};
  bool host_seen = false;
  for (i = 2; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    const std::string argument = argv[i];
    const bool is_option = argument.size() > 1 && argument[0] == '-';
    if (host_seen && !is_option) break;
    split.own.push_back(argument);
    if (argument == "--run-dir" && i + 1 < argc) {
      split.own.emplace_back(argv[++i]);
    } else if (!is_option) {
      host_seen = true;
    }
  }
  if (i < argc && std::strcmp(argv[i], "--") == 0) ++i;
  for (; i < argc; ++i) split.program.emplace_back(argv[i]);
  return split;
}

struct CommandLine {
  TestbedOptions up;
  WaveOptions up_waves;  // refused
  LiveOptions live;
  std::string run_dir;
  std::string host;
  std::vector<std::string> program_help;  // only for --help: split_exec() takes the program away before
  bool json = false;
  ScenarioOptions sim;
  ReplayOptions replay;
  std::string replay_timing = "exact";
  bool list_scenarios = false;
  bool list_properties = false;
  std::string property_filter;
};

void add_up(CLI::App& app, CommandLine& line) {
  CLI::App* verb = app.add_subcommand("up", "Start a testbed: the simulator and one hostd per host");
  verb->add_option("topology", line.up.topology_path,
                   "TOML file with hosts, links, switches and TAP ports (default: hosts a and b, one 10 Gb/s link)");
  verb->add_option("--run-dir", line.up.run_dir, kRunDirHelp);
  verb->add_option("--set", line.up.settings,
                   "NIC property of every host, or of one: PROPERTY=VALUE, HOST:PROPERTY=VALUE or nicN.PROPERTY=VALUE")
      ->allow_extra_args(false);
  verb->add_option("--device", line.up.devices, "What the NICs are: model, rtl, or HOST=rtl for one host")
      ->allow_extra_args(false);
  verb->add_option("--pcap", line.up.pcap_dir, "Capture the frames of every port into this directory");
  verb->add_option("--record", line.up.record_dir,
                   "Record what crosses the boundary of each NIC into DIR/run.trace, complete after `postern down`")
      ->type_name("DIR");
  verb->add_flag("--monitor", line.up.monitor, "Check the contract at each NIC; `postern status` shows violations");
  verb->add_option("--wave", line.up_waves.path)->group("");  // known only to say what to do instead
  verb->add_flag("--wave-around-violation{5}", line.up_waves.around_violation_us)->group("");
  verb->add_flag("--foreground", line.up.foreground, "Stay until Ctrl-C, then end the testbed");
  verb->footer(
      "Example:\n  postern up\n  postern exec b -- python3 -m http.server 8000 &\n"
      "  postern exec a -- curl http://10.9.0.2:8000/\n  postern down\n"
      "A topology with a TAP port needs root (it creates a network namespace).");
}

void add_exec(CLI::App& app, CommandLine& line) {
  CLI::App* verb = app.add_subcommand("exec", "Run an unmodified program on a host of the testbed");
  verb->add_option("--run-dir", line.run_dir, kRunDirHelp);
  verb->add_option("host", line.host, "Host whose NIC the program's sockets use")->required();
  verb->add_option("program", line.program_help, "Program and its arguments, after `--`");
  verb->footer(
      "The program and its arguments follow `--`. Its exit status is that of this command.\n"
      "Addresses that no host of the testbed has stay with the kernel.\n"
      "Example:\n  postern exec a -- curl http://10.9.0.2:8000/");
}

void add_sessions(CLI::App& app, CommandLine& line) {
  CLI::App* status = app.add_subcommand("status", "Show processes, hosts, counters and simulated time of the testbed");
  status->add_option("--run-dir", line.run_dir, kRunDirHelp);
  status->add_flag("--json", line.json, "Everything, as JSON");
  status->footer("Exit status 0 if all processes of the testbed run and answer.\nExample:\n  postern status --json");
  CLI::App* down = app.add_subcommand("down", "End the testbed and remove its sockets and network namespaces");
  down->add_option("--run-dir", line.run_dir, kRunDirHelp);
  down->footer(
      "Programs that were started with `postern exec` are told that the network is down (ENETDOWN from their sockets, "
      "as\n"
      "when an interface vanishes). They are not ended: end those that do not stop on their own.\nExample:\n  postern "
      "down");
  CLI::App* live = app.add_subcommand("live-simulator", "Started by `postern up`")->group("");
  live->add_option("--run-dir", line.live.run_dir)->required();
  live->add_option("--topology", line.live.topology_path);
  live->add_option("--source-name", line.live.source_name);
  live->add_option("--set", line.live.settings)->allow_extra_args(false);
  live->add_option("--device", line.live.devices)->allow_extra_args(false);
  live->add_option("--pcap", line.live.pcap_dir);
  live->add_option("--record", line.live.record_dir);
  live->add_flag("--monitor", line.live.monitor);
  live->add_option("--ready-fd", line.live.ready_fd);
  app.add_subcommand("version", "Show the versions of Postern and of its hardware/software contract");
}

void add_waves(CLI::App& verb, WaveOptions& waves) {
  verb.add_option(
      "--wave", waves.path,
      "Write the signals of the RTL NICs to this file, as FST; of several to one each, with its host's name");
  verb.add_option("--wave-from-us", waves.from_us, "Start of the waves in simulated time");
  verb.add_option("--wave-for-us", waves.for_us, "Length of the waves in simulated time (default: all)");
  verb.add_flag(
      "--wave-around-violation{5}", waves.around_violation_us,
      "Waves of all RTL NICs from 5 us (or =US) before the first contract violation by any of them to 1 us "
      "behind it, from a second run; no violation: no file, an older one is removed. Needs --wave, implies --monitor");
}

void add_sim(CLI::App& app, CommandLine& line) {
  CLI::App* verb = app.add_subcommand("sim", "Run workloads in virtual time, in one process, and report");
  verb->add_option("scenario", line.sim.scenario, "TOML file, or the name of a built-in scenario (see --list)")
      ->capture_default_str();
  verb->add_option("--json", line.sim.json_path, "Write the report as JSON to this file (-: to standard output)");
  verb->add_option("--pcap", line.sim.pcap_directory, "Capture the frames of every port into this directory");
  verb->add_option("--trace", line.sim.trace_path, "Write a Perfetto/Chrome trace (JSON) to this file");
  verb->add_option("--vcd", line.sim.vcd_path, "Write signals as a Value Change Dump to this file (name.fst: as FST)");
  verb->add_option("--vcd-signals", line.sim.vcd_signals, "Patterns, with commas: a.vi*.evq_depth (default: all)");
  verb->add_option("--trace-from-us", line.sim.trace_from_us, "Start of the traces in simulated time");
  verb->add_option("--trace-for-us", line.sim.trace_for_us, "Length of the traces in simulated time (default: all)");
  verb->add_option("--trace-max-events", line.sim.trace_max_events, "Bound of each trace")->capture_default_str();
  add_waves(*verb, line.sim.waves);
  verb->add_option("--record", line.sim.record_path, "Record what crosses the boundary of each NIC into this file");
  verb->add_option("--set", line.sim.settings,
                   "NIC property of every host, or of one: PROPERTY=VALUE, HOST:PROPERTY=VALUE or nicN.PROPERTY=VALUE")
      ->allow_extra_args(false);
  verb->add_option("--device", line.sim.devices, "What the NICs are: model, rtl, or HOST=rtl for one host")
      ->allow_extra_args(false);
  verb->add_option("--seed", line.sim.seed, "Seed of losses, reordering and payloads (default: the scenario's)");
  verb->add_option("--duration-ms", line.sim.duration_ms, "Simulated time after which streams end");
  verb->add_flag("--quiet", line.sim.quiet, "No report and no progress");
  verb->add_flag("--monitor", line.sim.monitor, "Check the contract at each NIC; a violation makes the exit status 1");
  verb->add_option("--coverage", line.sim.coverage_path,
                   "Write what the run exercised of the contract to this file, as JSON; implies --monitor");
  verb->add_flag("--list", line.list_scenarios, "List the built-in scenarios");
  verb->add_flag("--list-properties", line.list_properties, "List what --set can change");
  verb->footer(
      "Equal scenarios and seeds give equal bytes of JSON.\nExample:\n  postern sim stream --json stream.json\n"
      "  postern sim pingpong --set event_queue.processing_ns=50");
}

void add_properties(CLI::App& app, CommandLine& line) {
  CLI::App* verb = app.add_subcommand("properties", "List the tunables of a NIC: type, value, unit, range and source");
  verb->add_option("filter", line.property_filter, "Only those whose name, meaning or source contains this");
  verb->add_flag("--json", line.json, "As JSON");
  verb->footer(
      "Set them with --set of `postern sim` and `postern up`, or in [host.nic] of a topology file.\n"
      "Example:\n  postern properties latency\n  postern sim --set nic0.event_queue.holdoff_ns=2000");
}

void add_replay(CLI::App& app, CommandLine& line) {
  CLI::App* verb = app.add_subcommand("replay", "Drive a NIC with a recorded host side and compare what it does");
  verb->add_option("file", line.replay.path,
                   "What `postern sim SCENARIO --record FILE` or `postern up --record DIR` wrote")
      ->required();
  verb->add_option("--device", line.replay.device, "Device to drive: model or rtl")->capture_default_str();
  verb->add_option("--set", line.replay.settings, "NIC property for every host, over the recorded one: PROPERTY=VALUE")
      ->allow_extra_args(false);
  verb->add_option("--timing", line.replay_timing, "exact: everything at its time; ignore: order and contents per VI")
      ->check(CLI::IsMember({"exact", "ignore"}))
      ->capture_default_str();
  verb->add_flag("--monitor", line.replay.monitor,
                 "Check the contract at each NIC; a violation makes the exit status 1");
  add_waves(*verb, line.replay.waves);
  verb->add_option("--json", line.replay.json_path, "Write the outcome as JSON to this file (-: to standard output)");
  verb->footer(
      "Exit status 0 if the device did the same, 1 if not (the first difference is printed) or for a violation, 2 for "
      "bad input or if the outcome's file or the waves failed.\n"
      "Example:\n  postern sim pingpong --record run.trace\n  postern replay run.trace");
}

int run_sim(const CommandLine& line) {
  if (line.list_scenarios) return cli_list_scenarios();
  if (line.list_properties) return cli_list_properties();
  return run_scenario(line.sim);
}

int run_up(const CommandLine& line) {
  if (line.up_waves.path.empty() && line.up_waves.around_violation_us.empty()) return cli_up(line.up);
  fmt::print(stderr,
             "postern: `postern up` writes no waves: a live run cannot be repeated, and recording it costs less; use "
             "`postern up --device rtl --record DIR`, then `postern replay DIR/run.trace --device rtl --wave FILE.fst "
             "--wave-around-violation`\n");
  return 2;
}

int run_verb(CLI::App& app, const CommandLine& line, const SplitArguments& split) {
  if (app.got_subcommand("up")) return run_up(line);
  if (app.got_subcommand("exec")) return cli_exec(line.run_dir, line.host, split.program);
  if (app.got_subcommand("status")) return cli_status(line.run_dir, line.json);
  if (app.got_subcommand("down")) return cli_down(line.run_dir);
  if (app.got_subcommand("sim")) return run_sim(line);
  if (app.got_subcommand("properties")) return cli_properties(line.property_filter, line.json);
  if (app.got_subcommand("replay")) {
    ReplayOptions options = line.replay;
    options.ignore_timing = line.replay_timing == "ignore";
    return run_replay(options);
  }
  if (app.got_subcommand("live-simulator")) {
    const Status status = run_live_simulator(line.live);
    return status.ok() ? 0 : cli_fail(status.error());
  }
  fmt::print("postern {}, contract {}.{}, hash {:016x}\n", POSTERN_VERSION, PST_CONTRACT_VERSION >> 16,
             PST_CONTRACT_VERSION & 0xffff, static_cast<uint64_t>(PST_CONTRACT_HASH));
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app{"Postern: a user-accessible NIC that you can run without owning one."};
  app.name("postern");
  app.require_subcommand(1);
  app.footer("`postern VERB --help` explains a verb.");
  CommandLine line;
  if (argc < 2) {
    fmt::print(
        stderr,
        "postern: which verb? up, exec, status, down, sim, replay, properties or version; see `postern --help`\n");
    return 2;
  }
  add_up(app, line);
  add_exec(app, line);
  add_sessions(app, line);
  add_sim(app, line);
  add_properties(app, line);
  add_replay(app, line);
  SplitArguments split = split_exec(argc, argv);
  const bool known =
      std::any_of(std::begin(kVerbs), std::end(kVerbs), [&](const char* verb) { return split.own[0] == verb; });
  if (argv[1][0] != '-' && !known) {
    fmt::print(stderr,
               "postern: no verb '{}': expected up, exec, status, down, sim, replay, properties or version; see "
               "`postern --help`\n",
               argv[1]);
    return 2;
  }
  try {
    std::vector<std::string> reversed(split.own.rbegin(), split.own.rend());  // as CLI11 wants them
    app.parse(reversed);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);  // --help
  } catch (const CLI::ParseError& problem) {
    fmt::print(stderr, "postern: {}; see `postern --help`\n", problem.what());
    return 2;
  }
  return run_verb(app, line, split);
}

}  // namespace
}  // namespace postern::sim

int main(int argc, char** argv) { return postern::sim::run(argc, argv); }
