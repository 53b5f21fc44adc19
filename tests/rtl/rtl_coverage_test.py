#!/usr/bin/python3
"""Tests of `make coverage`: tools/rtl_coverage.py on hand-made counts, above all that it fails when it should.

  rtl_coverage_test.py [--program RTL_TEST]     RTL_TEST: rtl_msix_test of a coverage build, whose counts must add up
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = None
CONTRACT = {"items": {"register A read": True, "register A written": False, "event TX_EVENT": True}}


def point(file, kind, line, comment, count, lines="", column=3):
    keys = {"f": file, "l": line, "n": column, "page": f"{kind}/{pathlib.Path(file).stem}__pi1", "o": comment, "S": lines}
    text = "".join(f"\1{key}\2{value}" for key, value in keys.items() if value != "")
    return f"C '{text}\1h\2TOP.dut' {count}\n"


class ReportTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.rtl = self.folder / "rtl"
        (self.rtl / "coverage").mkdir(parents=True)
        self.add_source("pst_a")
        self.counts = self.folder / "counts"
        self.counts.mkdir()
        self.files = 0

    def tearDown(self):
        self.temporary.cleanup()

    def add_source(self, name):
        (self.rtl / f"{name}.sv").write_text("".join(f"line {n} <of> {name}\n" for n in range(1, 21)))

    def add_corners(self, name, *corners):
        lines = "".join(f"  `PST_CORNER({corner}, a && b)\n" for corner in corners)
        (self.rtl / "coverage" / f"{name}_corners.sv").write_text(f"// `PST_CORNER(no_case, a)\nmodule {name}_corners;\n{lines}endmodule\n")

    def put(self, *points):
        self.files += 1
        (self.counts / f"{self.files}.dat").write_text("# SystemC::Coverage-3\n" + "".join(points))

    def line(self, name, line, count, lines, column=3):
        return point(str(self.rtl / f"{name}.sv"), "v_line", line, "block", count, lines, column)

    def branch(self, name, line, comment, count, lines=""):
        return point(str(self.rtl / f"{name}.sv"), "v_branch", line, comment, count, lines)

    def toggle(self, name, line, signal, count):
        return point(str(self.rtl / f"{name}.sv"), "v_toggle", line, signal, count)

    def corner(self, name, corner, count):
        return point(str(self.rtl / "coverage" / f"{name}_corners.sv"), "v_user", 9, corner, count, "9")

    def run_tool(self, *arguments, reasons=None):
        command = [sys.executable, "-B", str(ROOT / "tools/rtl_coverage.py"), str(self.rtl), str(self.counts), *arguments]
        if reasons is not None:
            (self.folder / "reasons.toml").write_text(reasons)
            command += ["--exceptions", str(self.folder / "reasons.toml")]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def report(self, *arguments, reasons=None):
        result = self.run_tool("--json", str(self.folder / "out.json"), *arguments, reasons=reasons)
        return result, json.loads((self.folder / "out.json").read_text())

    def test_counts_of_programs_and_instances_add_up(self):
        self.put(self.line("pst_a", 1, 0, "1-4,6"), self.toggle("pst_a", 1, "x[0]", 0), self.toggle("pst_a", 1, "x[1]", 0))
        self.put(self.line("pst_a", 1, 7, "1-4,6"), self.branch("pst_a", 8, "if", 0, "8"), self.branch("pst_a", 8, "else", 3),
                 self.toggle("pst_a", 1, "x[1]", 2))
        result, report = self.report()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([block["block"] for block in report["blocks"]], ["pst_a"])
        block = report["blocks"][0]
        self.assertEqual((block["lines_hit"], block["lines"]), (5, 6))
        self.assertEqual((block["branches_hit"], block["branches"]), (2, 3))
        self.assertEqual((block["toggles_hit"], block["toggles"]), (1, 2))
        self.assertEqual(report["lines_not_executed"], [{"block": "pst_a", "line": 8, "text": "line 8 <of> pst_a"}])
        self.assertIn("5 of    6  83.3 %", result.stdout)

    def test_line_counts_once_and_is_executed_if_any_statement_of_it_is(self):
        self.put(self.line("pst_a", 1, 0, "1-2"), self.line("pst_a", 2, 1, "2-3", column=9))
        report = self.report()[1]
        self.assertEqual(report["total"]["lines"], 3)
        self.assertEqual([missed["line"] for missed in report["lines_not_executed"]], [1])

    def test_too_few_lines_in_total_fail(self):
        self.put(self.line("pst_a", 1, 1, "1-8"), self.line("pst_a", 9, 0, "9-10"))
        reasons = '[lines]\n"pst_a: line 9 <of> pst_a" = "for the test"\n"pst_a: line 10 <of> pst_a" = "for the test"\n'
        result = self.run_tool("--require", "90", reasons=reasons)
        self.assertEqual(result.returncode, 1)
        self.assertIn("80.0 % of all lines is less than the required 90.0 %", result.stderr)
        self.assertEqual(self.run_tool("--require", "80", reasons=reasons).returncode, 0)

    def test_line_that_was_not_executed_needs_a_reason(self):
        self.add_source("pst_b")
        self.put(self.line("pst_a", 1, 1, "1-20"), self.line("pst_b", 1, 1, "1-2"), self.line("pst_b", 3, 0, "3"))
        result = self.run_tool("--require", "90", reasons="")
        self.assertEqual(result.returncode, 1)
        self.assertIn("was not executed, and no reason is given: pst_b: line 3 <of> pst_b", result.stderr)
        self.assertNotIn("pst_a", result.stderr)
        reasons = '[lines]\n"pst_b: line 3 <of> pst_b" = "cannot be"\n'
        self.assertEqual(self.run_tool("--require", "90", reasons=reasons).returncode, 0)

    def test_reason_that_is_not_needed_any_more_fails(self):
        self.add_corners("pst_a", "wraps")
        self.put(self.line("pst_a", 1, 1, "1-20"), self.corner("pst_a", "wraps", 3))
        for reasons in ('[lines]\n"pst_a: line 3 <of> pst_a" = "was not"\n', '[corners]\n"pst_a.wraps" = "was not met"\n',
                        '[lines]\n"pst_c: line 1" = "no such block"\n'):
            result = self.run_tool("--require", "90", reasons=reasons)
            self.assertEqual(result.returncode, 1, reasons)
            self.assertIn("is not needed any more, or is for nothing", result.stderr)

    def test_corner_case_that_was_not_met_needs_a_reason(self):
        self.add_corners("pst_a", "wraps", "fills")
        self.put(self.line("pst_a", 1, 1, "1"), self.corner("pst_a", "wraps", 0), self.corner("pst_a", "fills", 0))
        self.put(self.line("pst_a", 1, 1, "1"), self.corner("pst_a", "fills", 1))
        result = self.run_tool(reasons="")
        self.assertEqual(result.returncode, 1)
        self.assertIn("was not met, and no reason is given: pst_a.wraps", result.stderr)
        self.assertNotIn("fills", result.stderr)
        self.assertEqual(self.run_tool(reasons='[corners]\n"pst_a.wraps" = "needs a year"\n').returncode, 0)

    def test_block_of_which_nothing_was_counted_is_at_zero_and_fails(self):
        self.add_source("pst_b")
        self.add_source("pst_b_pkg")
        self.put(self.line("pst_a", 1, 1, "1-20"))
        result, report = self.report("--require", "90", reasons="")
        self.assertEqual(result.returncode, 1)
        self.assertIn("nothing was counted of pst_b: does a test run it?", result.stderr)
        self.assertNotIn("pst_b_pkg", result.stderr)
        self.assertEqual([(block["block"], block["lines_percent"]) for block in report["blocks"]], [("pst_a", 100.0), ("pst_b", 0.0)])

    def test_block_of_wiring_only_has_toggles_and_no_lines(self):
        self.add_source("pst_b")
        self.put(self.line("pst_a", 1, 1, "1-20"), self.toggle("pst_b", 1, "x[0]", 0))
        result = self.run_tool("--require", "90", reasons="")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_corner_case_that_no_program_counts_was_not_met(self):
        self.add_corners("pst_a", "wraps", "fills")
        with (self.rtl / "coverage/pst_a_corners.sv").open("a") as file:
            file.write("empties: cover property (@(posedge clk_i) x);\n")
        self.put(self.line("pst_a", 1, 1, "1"), self.corner("pst_a", "fills", 1))
        result, report = self.report(reasons="")
        self.assertEqual(result.returncode, 1)
        for corner in ("wraps", "empties"):
            self.assertIn(f"was not met, and no reason is given: pst_a.{corner}", result.stderr)
        self.assertEqual(report["corners"], {"pst_a.empties": 0, "pst_a.fills": 1, "pst_a.wraps": 0})

    def test_corner_cases_of_a_block_that_is_not_there_fail(self):
        self.add_corners("pst_b", "wraps")
        self.put(self.line("pst_a", 1, 1, "1"))
        result = self.run_tool()
        self.assertEqual(result.returncode, 1)
        self.assertIn("pst_b_corners.sv is for a block that is not there: pst_b", result.stderr)

    def test_counts_of_a_corner_case_that_is_gone_fail(self):
        self.add_corners("pst_a", "wraps")
        self.put(self.line("pst_a", 1, 1, "1"), self.corner("pst_a", "fills", 1))
        result = self.run_tool()
        self.assertEqual(result.returncode, 1)
        self.assertIn("pst_a_corners.sv has no corner case fills", result.stderr)

    def test_reason_excuses_as_many_lines_of_one_text_as_it_says(self):
        (self.rtl / "pst_a.sv").write_text("case (x)\n" + "default: ;\n" * 3)
        self.put(self.line("pst_a", 1, 1, "1-2"), self.line("pst_a", 3, 0, "3-4"))
        result = self.run_tool(reasons='[lines]\n"pst_a: default: ;" = "cannot be"\n')
        self.assertEqual(result.returncode, 1)
        self.assertIn("the reason in [lines] is for 1, but 2 are missing: pst_a: default: ;", result.stderr)
        for number, status in ((1, 1), (2, 0), (3, 1)):
            reasons = f'[lines]\n"pst_a: default: ;" = {{ lines = {number}, reason = "cannot be" }}\n'
            self.assertEqual(self.run_tool(reasons=reasons).returncode, status, reasons)

    def test_what_is_no_reason_is_refused(self):
        self.put(self.line("pst_a", 1, 1, "1"), self.line("pst_a", 2, 0, "2"))
        for value in ('""', "1", '{ lines = 0, reason = "x" }', '{ lines = 1 }', '{ lines = "1", reason = "x" }'):
            result = self.run_tool(reasons=f'[lines]\n"pst_a: line 2 <of> pst_a" = {value}\n')
            self.assertEqual(result.returncode, 1, value)
            self.assertIn("not a reason", result.stderr, value)

    def test_contract_stands_beside_the_blocks(self):
        self.put(self.line("pst_a", 1, 1, "1"))
        contract = self.folder / "contract"
        contract.mkdir()
        (contract / "1.json").write_text(json.dumps(CONTRACT))
        result, report = self.report("--contract", str(contract), "--html", str(self.folder / "html"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(report["contract"], {"register A read": 1, "register A written": 0, "event TX_EVENT": 1})
        self.assertRegex(result.stdout, r"register +1 of +2 +50.0 %")
        self.assertRegex(result.stdout, r"all items +2 of +3 +66.7 %")
        self.assertIn("register A written", (self.folder / "html/index.html").read_text())

    def test_pages_show_what_was_not_executed(self):
        self.put(self.line("pst_a", 1, 5, "1"), self.line("pst_a", 2, 0, "2"), self.line("pst_a", 3, 4, "3"),
                 self.branch("pst_a", 3, "else", 0))
        self.assertEqual(self.run_tool("--html", str(self.folder / "html")).returncode, 0)
        lines = [text for text in (self.folder / "html/pst_a.html").read_text().splitlines() if text.startswith("<pre class")]
        self.assertEqual(len(lines), 20)
        self.assertIn('class="hit"', lines[0])
        self.assertIn("line 1 &lt;of&gt; pst_a", lines[0])
        self.assertIn('class="miss"', lines[1])
        self.assertIn('class="part" title="never: branch else"', lines[2])
        self.assertIn('class=""', lines[3])

    def test_nothing_counted_or_another_format_fails(self):
        self.assertIn("no *.dat", self.run_tool().stderr)
        self.put("nonsense\n")
        result = self.run_tool()
        self.assertEqual(result.returncode, 1)
        self.assertIn("not in the format of Verilator's coverage", result.stderr)

    def test_counts_of_a_file_that_is_gone_fail(self):
        self.put(self.line("pst_gone", 1, 1, "1"))
        result = self.run_tool()
        self.assertEqual(result.returncode, 1)
        self.assertIn("pst_gone.sv is not there any more", result.stderr)


class CountersTest(unittest.TestCase):
    def test_other_generated_code_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "Vpst__Syms.h").write_text("struct { uint64_t counters[3]; };\n")
            result = subprocess.run([sys.executable, "-B", str(ROOT / "rtl/coverage/count_per_process.py"), folder],
                                    capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("is this what Verilator 5.006 writes", result.stderr)

    def run_program(self, folder, test):
        environment = dict(os.environ, POSTERN_RTL_COVERAGE_DIR=folder)
        subprocess.run([PROGRAM, f"--gtest_filter={test}"], env=environment, stdout=subprocess.DEVNULL, timeout=60, check=True)
        counts = {}
        for line in (pathlib.Path(folder) / f"{pathlib.Path(PROGRAM).name}.dat").read_text().splitlines()[1:]:
            name, count = line.rsplit(" ", 1)
            counts[name] = int(count)
        return counts

    def test_processes_and_models_that_are_gone_add_up(self):
        if PROGRAM is None:
            self.skipTest("needs a test of a coverage build")
        first, second = "PstMsixTest.MaskedVectorWaitsInItsPendingBitAndGoesOutOnce", "PstMsixTest.VectorBeyondTheTableAndVectorNoneSendNothing"
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other, tempfile.TemporaryDirectory() as both:
            counts_one = self.run_program(one, first)
            counts_other = self.run_program(other, second)
            in_one_process = self.run_program(both, f"{first}:{second}")
            self.assertEqual(in_one_process, {name: count + counts_other[name] for name, count in counts_one.items()})
            self.assertGreater(sum(in_one_process.values()), 1000)
            twice = self.run_program(both, f"{first}:{second}")
            self.assertEqual(twice, {name: 2 * count for name, count in in_one_process.items()})


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--program":
        PROGRAM = sys.argv[2]
        del sys.argv[1:3]
    unittest.main()
