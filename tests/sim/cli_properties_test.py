"""`postern properties` and --set as a person uses them: run with the path of the `postern` program."""

import json
import subprocess
import sys
import unittest

POSTERN = sys.argv.pop(1) if len(sys.argv) > 1 else "postern"


def run(*arguments):
    return subprocess.run([POSTERN, *arguments], capture_output=True, text=True, timeout=30, check=False)


class PropertiesTest(unittest.TestCase):
    def test_json_and_table_and_the_old_list_name_the_same_properties(self):
        entries = json.loads(run("properties", "--json").stdout)
        names = [entry["name"] for entry in entries]
        self.assertEqual(names, sorted(names))
        self.assertIn("event_queue.holdoff_ns", names)
        table = run("properties").stdout.splitlines()
        self.assertEqual(table[0].split(), ["name", "type", "value", "unit", "range", "meaning", "source"])
        self.assertEqual([line.split()[0] for line in table[1:]], names)
        listed = [line for line in run("sim", "--list-properties").stdout.splitlines() if not line.startswith(" ")]
        self.assertEqual([line.split()[0] for line in listed], names)

    def test_every_property_is_complete(self):
        for entry in json.loads(run("properties", "--json").stdout):
            with self.subTest(entry["name"]):
                self.assertIn(entry["type"], ("flag", "integer", "number", "time", "size", "enumeration"))
                self.assertTrue(entry["doc"] and entry["source"])
                self.assertLessEqual(entry["minimum"], entry["value"])
                self.assertLessEqual(entry["value"], entry["maximum"])

    def test_a_filter_leaves_the_rest_out(self):
        names = [entry["name"] for entry in json.loads(run("properties", "--json", "pcie_link.latency").stdout)]
        self.assertIn("pcie_link.latency_seed", names)
        self.assertTrue(all(name.startswith("pcie_link.latency") for name in names))
        nothing = run("properties", "no-such-thing")
        self.assertEqual((nothing.returncode, nothing.stdout), (1, ""))
        self.assertIn('contains "no-such-thing"', nothing.stderr)

    def test_a_setting_by_position_changes_that_nic(self):
        def report(*settings):
            arguments = [word for setting in settings for word in ("--set", setting)]
            result = run("sim", "pingpong", "--quiet", "--json", "-", *arguments)
            self.assertEqual(result.returncode, 0, result.stderr)
            return json.loads(result.stdout)

        def round_trip_ns(json_report):
            return json_report["workloads"][0]["round_trip"]["p50_ns"]

        plain = round_trip_ns(report())
        one = round_trip_ns(report("nic0.pcie_link.memory_read_ns=1150"))
        both = round_trip_ns(report("pcie_link.memory_read_ns=1150"))
        self.assertGreater(one, plain + 900)  # the payload a microsecond later; the descriptor comes with the doorbell
        self.assertGreater(both, one + 900)

    def test_wrong_settings_are_answered_in_one_line_with_what_was_expected(self):
        for setting, answer in {
                "nic0.pcie_link.tags=1.5": "expects a whole number, 1 to 1024 reads; found 1.5",
                "pcie_link.lanes=3": "expects one of 1, 2, 4, 8, 16 lanes; found 3",
                "pcie_link.latency_distribution=gauss": "expects one of constant, uniform, exponential",
                "event_queue.holdof_ns=1": "nearest: event_queue.holdoff_ns",
                "nic7.pcie_link.tags=1": "expected nic0 to nic1",
                "pcie_link.tags": "expected PROPERTY=VALUE",
        }.items():
            with self.subTest(setting):
                result = run("sim", "pingpong", "--quiet", "--set", setting)
                self.assertEqual(result.returncode, 2)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertIn(answer, result.stderr)


if __name__ == "__main__":
    unittest.main()
