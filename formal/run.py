#!/usr/bin/env python3
"""Proves the properties of the RTL blocks, and refutes a mutant for each claim.

    run.py [--out DIR] [--quick] [TASK ...]

A task is a module with a file of properties. Its claims and invariants are proved without bound: by induction over one
step (base case and step), or by property-directed reachability. Then, for each claim, a mutant of the RTL must be refuted by that very
claim. Yosys turns the design into an and-inverter graph, ABC (yosys-abc) decides it. --quick leaves the slow proofs to a bounded
search and the mutants out. Exit status 0: all proved, all mutants refuted.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT_S = 600  # for one run of a solver


class Task:
    def __init__(self, name, module, define, parameters, method, replace=None, quick_depth=None):
        self.name = name
        self.module = module
        self.define = define
        self.parameters = parameters
        self.method = method  # "induction" or "reachability"
        self.replace = replace or {}  # file of the module: what stands for it here
        self.quick_depth = quick_depth  # cycles of the bounded search that stands for a slow proof under --quick


TASKS = [
    Task("event_queue_steps", "pst_event_queue", "PST_FORMAL_STEPS", {"VI_COUNT": 2, "OUT_DEPTH": 4}, "induction", quick_depth=6),
    Task("event_queue_visits", "pst_event_queue", "PST_FORMAL_VISIT", {"VI_COUNT": 2, "OUT_DEPTH": 4}, "reachability",
         replace={"rtl/pst_event_queue_step.sv": "formal/pst_event_queue_step_free.sv"}),
    Task("msix_steps", "pst_msix", "PST_FORMAL_STEPS", {"VECTOR_COUNT": 64}, "induction"),
    Task("desc_fetch_steps", "pst_desc_fetch", "PST_FORMAL_STEPS",
         {"VI_COUNT": 2, "CACHE_DEPTH": 8, "TX_BATCH": 4, "RX_BATCH": 6}, "induction", quick_depth=8),
]

STEP = "rtl/pst_event_queue_step.sv"
QUEUE = "rtl/pst_event_queue.sv"
DUE = "rtl/pst_event_queue_due.sv"
MSIX = "rtl/pst_msix.sv"
FETCH = "rtl/pst_desc_fetch.sv"
FETCH_STEP = "rtl/pst_desc_fetch_step.sv"
# (task, claim, cycles within which the mutant must be refuted, file, text, its replacement)
MUTANTS = [
    ("event_queue_steps", "event_only_while_the_queue_is_active", 8, STEP, "(active && is_error)", "is_error"),
    ("event_queue_steps", "no_unconsumed_event_is_overwritten", 12, STEP, "full = used >= entries", "full = used > entries"),
    ("event_queue_steps", "slots_follow_each_other", 12, STEP, "now.producer_idx & (entries - 32'd1)", "now.producer_idx & (entries - 32'd2)"),
    ("event_queue_steps", "phase_alternates_exactly_at_the_wrap", 12, STEP, "(now.producer_idx & entries) != 32'd0",
     "(now.producer_idx & (entries << 1)) != 32'd0"),
    ("event_queue_steps", "one_wakeup_per_prime", 12, STEP, "after.primed = 1'b0;", "after.primed = mid.primed;"),
    ("event_queue_steps", "messages_are_wakeups", 12, STEP, "message_o = redirect && has_vector", "message_o = consider && has_vector"),
    ("event_queue_steps", "not_both_ways", 12, STEP, "owe_o = mid.cfg.wake_to_vi && ", "owe_o = "),
    ("event_queue_steps", "prime_with_an_event_beyond_fires_at_once", 12, STEP, "wake_o = consider && mid.primed", "wake_o = consider && now.primed"),
    ("event_queue_steps", "scan_fires_a_wakeup_that_is_due", 14, STEP, " || op_i == pst_event_queue_pkg::OP_SCAN ||", " ||"),
    ("event_queue_steps", "bad_doorbell_asks_for_a_halt", 10, STEP, "stale = behind <= entries;", "stale = behind <= entries + 32'd1;"),
    ("event_queue_steps", "primed_queue_with_an_event_has_a_wakeup_planned", 12, STEP, "after.armed = 1'b1;", "after.armed = by_count;"),
    ("event_queue_steps", "wakeup_that_is_due_gets_attention", 14, DUE, "new_due_ns_i < due_ns_o", "new_due_ns_i > due_ns_o"),
    ("event_queue_steps", "operation_sees_the_newest_context", 10, QUEUE, "forward_valid_q ? forward_q", "1'b0 ? forward_q"),
    ("event_queue_steps", "outputs_are_never_overrun", 14, QUEUE, "(OUT_DEPTH - 1)", "(OUT_DEPTH + 1)"),
    ("event_queue_steps", "write_shows_what_was_computed", 14, QUEUE, "if (out_push) out_tail_q <=", "if (out_push && !out_pop) out_tail_q <="),
    ("event_queue_steps", "wakeup_only_behind_its_event", 14, QUEUE, "head_message && (!head_write || wr_done_q)", "head_message"),
    ("event_queue_steps", "entry_leaves_only_when_all_is_accepted", 14, QUEUE, "if (head_message && !(wake_ready_i && wake_valid_o))",
     "if (head_message && !head_write && !(wake_ready_i && wake_valid_o))"),
    ("event_queue_visits", "attention_is_given_within_the_bound", 50, QUEUE, "if (take_ev) turn_q <= 2'd1;", "if (take_ev) turn_q <= 2'd0;"),
    ("msix_steps", "masked_vector_sends_nothing", 80, MSIX, "sends = (raises && !control_q[0])", "sends = raises"),
    ("msix_steps", "raise_of_an_unmasked_vector_is_sent", 80, MSIX, "sends = (raises && !control_q[0])",
     "sends = (raises && !control_q[0] && pending_q == 32'd0)"),
    ("msix_steps", "unmask_sends_what_waits", 80, MSIX, "pending_q | vector_bit", "vector_bit"),
    ("msix_steps", "one_message_per_raise", 80, MSIX, "pending_q & ~vector_bit", "pending_q"),
    ("msix_steps", "message_is_never_overwritten", 80, MSIX, "&& (!msg_valid_o || msg_ready_i)", ""),
    ("desc_fetch_steps", "read_only_while_the_ring_runs", 14, FETCH_STEP, "reads = now.running && ",
     "reads = "),
    ("desc_fetch_steps", "no_descriptor_fetched_twice_or_skipped", 16, FETCH_STEP, "after.fetch_idx = now.fetch_idx + count;",
     "after.fetch_idx = now.fetch_idx + count - 32'd1;"),
    ("desc_fetch_steps", "none_fetched_beyond_the_producer", 14, FETCH_STEP, "if (available < wanted) wanted = available;",
     ""),
    ("desc_fetch_steps", "cache_never_overfilled", 24, FETCH_STEP, "if (space < count) count = space;",
     ""),
    ("desc_fetch_steps", "at_most_a_batch", 14, FETCH_STEP, "wanted = rx_i ? RX_BATCH : TX_BATCH;",
     "wanted = RX_BATCH;"),
    ("desc_fetch_steps", "read_ends_at_the_wrap", 24, FETCH_STEP, "if (to_end < count) count = to_end;",
     ""),
    ("desc_fetch_steps", "one_read_in_flight", 14, FETCH_STEP, "after.pending_count = count[7:0];",
     "after.pending_count = 8'd0;"),
    ("desc_fetch_steps", "address_follows_the_index", 24, FETCH_STEP, "now.fetch_idx & (entries - 32'd1), 4'd0",
     "now.fetch_idx & entries, 4'd0"),
    ("desc_fetch_steps", "stored_where_the_next_is_missing", 16, FETCH_STEP, "store_idx_o = arrived_idx;",
     "store_idx_o = now.fetch_idx;"),
    ("desc_fetch_steps", "nothing_of_an_old_life_is_stored", 18, FETCH_STEP, "fresh = now.running && !now.stale;",
     "fresh = now.running;"),
    ("desc_fetch_steps", "push_only_into_an_empty_ring", 14, FETCH_STEP, "posted == 32'd0 && used == 32'd1",
     "used == posted + 32'd1"),
    ("desc_fetch_steps", "popped_in_order", 16, FETCH_STEP, "after.head_idx = now.head_idx + 32'd1",
     "after.head_idx = now.fetch_idx"),
    ("desc_fetch_steps", "popped_only_what_has_arrived", 16, FETCH_STEP, "now.stale ? now.fetch_idx : now.fetch_idx - {24'd0, now.pending_count}",
     "now.fetch_idx"),
    ("desc_fetch_steps", "bad_doorbell_asks_for_a_halt", 12, FETCH_STEP, "used <= entries && used >= posted",
     "used <= entries"),
    ("desc_fetch_steps", "bad_push_asks_for_a_halt", 12, FETCH_STEP, "halt_o = now.running && !repeated && !push_good",
     "halt_o = now.running && !push_good"),
    ("desc_fetch_steps", "stop_is_reported_when_nothing_is_in_flight", 16, FETCH_STEP, "stopped_o = now.pending_count == 8'd0;",
     "stopped_o = 1'b1;"),
    ("desc_fetch_steps", "possible_read_is_made", 14, FETCH_STEP, "&& count != 32'd0",
     "&& count != 32'd1 && count != 32'd0"),
    ("desc_fetch_steps", "operation_sees_the_newest_context", 12, FETCH, "forward_valid_q ? forward_q",
     "1'b0 ? forward_q"),
    ("desc_fetch_steps", "ring_with_something_to_fetch_is_visited", 14, FETCH_STEP, "visit_o = op_i != pst_desc_fetch_pkg::OP_FETCH",
     "visit_o = op_i == pst_desc_fetch_pkg::OP_DOORBELL"),
    ("desc_fetch_steps", "outputs_are_never_overrun", 20, FETCH, "halt_count_q == 2'd0 || (halt_count_q == 2'd1 && !s1_valid_q)",
     "halt_count_q != 2'd2"),
]

FRONT = """
read_verilog -sv -formal -D{define} -I {formal} {files}
chparam {parameters} {module}
prep -flatten -top {module}
{only}
delete -output
async2sync
memory_map
opt -fast
formalff -clk2ff -ff2anyinit
setundef -undriven -anyseq
opt -fast
techmap
opt -fast
dffunmap
abc -g AND -fast
opt_clean
write_aiger -zinit {out}
"""


def run(command, log):
    """Output of a program; a program that fails or takes too long ends the run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        sys.exit(f"formal: {command[0]} has not ended within {LIMIT_S} s; see {log}")
    log.write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        sys.exit(f"formal: {command[0]} failed; see {log}\n{(done.stdout + done.stderr)[-600:]}")
    return done.stdout


def module_files(module):
    for line in (ROOT / "rtl/files.txt").read_text().splitlines():
        if line.startswith(module + ":"):
            return ["contract/gen/pst_contract_pkg.sv"] + ["rtl/" + name for name in line.split(":")[1].split()]
    sys.exit(f"formal: rtl/files.txt does not list {module}")


def build(task, out, files, only=""):
    """Writes the and-inverter graph of a task to out; only: a claim, without which all others are left out."""
    script = FRONT.format(
        define=task.define, formal=ROOT / "formal", files=" ".join(str(ROOT / name) for name in files), module=task.module,
        parameters=" ".join(f"-set {key} {value}" for key, value in task.parameters.items()), out=out,
        only=f"select -assert-count 1 */c:{only}\nchformal -assert -remove */c:* */c:{only} %d" if only else "")
    path = out.with_suffix(".ys")
    path.write_text(script)
    run(["yosys", "-q", str(path)], out.with_suffix(".yosys.log"))


def abc(aig, commands, log):
    return run(["yosys-abc", "-c", f"read_aiger {aig}; fold; strash; orpos; {commands}"], log)


def holds_bounded(aig, depth, log):
    output = abc(aig, f"bmc3 -F {depth}", log)
    if re.search(r"was asserted in frame", output):
        return False
    if f"No output asserted in {depth} frames" in output:
        return True
    sys.exit(f"formal: no verdict within {depth} cycles; see {log}")


def prove(task, out_dir, quick):
    aig = out_dir / f"{task.name}.aig"
    begin = time.monotonic()
    build(task, aig, [task.replace.get(name, name) for name in module_files(task.module)])
    log = out_dir / f"{task.name}.log"
    if task.method == "reachability":
        proved = "Property proved" in abc(aig, "scorr; pdr", log)
        how = "proved, no bound (reachability)"
    elif quick and task.quick_depth:
        proved = holds_bounded(aig, task.quick_depth, log)
        how = f"holds for {task.quick_depth} cycles from reset"
    else:
        proved = holds_bounded(aig, 2, log) and "Networks are equivalent" in abc(aig, "ind -F 2", log)
        how = "proved, no bound (induction, 1 step)"
    seconds = time.monotonic() - begin
    print(f"formal: {task.name:20} {how if proved else 'NOT PROVED, see ' + str(log):44} {seconds:6.1f} s", flush=True)
    return proved


def refute(mutant, out_dir):
    task_name, claim, depth, file, text, replacement = mutant
    task = next(task for task in TASKS if task.name == task_name)
    source = (ROOT / file).read_text()
    if source.count(text) != 1:
        sys.exit(f"formal: the mutant for {claim} wants to change what {file} has {source.count(text)} times: {text}")
    mutated = out_dir / f"{task_name}.{claim}.sv"
    mutated.write_text(source.replace(text, replacement))
    files = [str(mutated) if name == file else task.replace.get(name, name) for name in module_files(task.module)]
    begin = time.monotonic()
    aig = mutated.with_suffix(".aig")
    build(task, aig, files, only=claim)
    refuted = not holds_bounded(aig, depth, mutated.with_suffix(".log"))
    verdict = "mutant refuted" if refuted else f"MUTANT SURVIVES {depth} cycles"
    print(f"formal: {task_name:20} {claim:52} {verdict} {time.monotonic() - begin:6.1f} s", flush=True)
    return refuted


def check_every_claim_has_a_mutant(tasks):
    complete = True
    for task in tasks:
        suffix = "_visit" if task.define == "PST_FORMAL_VISIT" else ""
        text = (ROOT / "formal" / f"{task.module}{suffix}_properties.svh").read_text()
        claims = {name for name in re.findall(r"(\w+): assert", text) if not name.startswith("inv_")}
        for name in claims - {mutant[1] for mutant in MUTANTS if mutant[0] == task.name}:
            print(f"formal: {task.name}: the claim {name} has no mutant")
            complete = False
    return complete


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/formal", help="folder for graphs and logs")
    parser.add_argument("--quick", action="store_true", help="bounded where a proof is slow, no mutants")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="of " + ", ".join(task.name for task in TASKS))
    arguments = parser.parse_args()
    unknown = set(arguments.tasks) - {task.name for task in TASKS}
    if unknown:
        parser.error(f"no such task: {', '.join(sorted(unknown))}")
    tasks = [task for task in TASKS if not arguments.tasks or task.name in arguments.tasks]
    arguments.out.mkdir(parents=True, exist_ok=True)
    good = check_every_claim_has_a_mutant(tasks)
    for task in tasks:
        good = prove(task, arguments.out, arguments.quick) and good
    if not arguments.quick:
        for mutant in MUTANTS:
            if any(task.name == mutant[0] for task in tasks):
                good = refute(mutant, arguments.out) and good
    print("formal: all good" if good else "formal: FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
