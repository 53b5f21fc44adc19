"""The generator refuses a bad description with a message that names the place, and --check notices a stale file."""

import contextlib
import copy
import io
import pathlib
import sys
import tempfile
import unittest

PROJECT_ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT_ROOT / "contract"))

import contract_source  # noqa: E402
import generate  # noqa: E402


def entry(entries, name):
    return next(item for item in entries if item["name"] == name)


class DescriptionErrorTest(unittest.TestCase):
    """Each test spoils one thing in the real description."""

    @classmethod
    def setUpClass(cls):
        cls.good = contract_source.load(PROJECT_ROOT / "contract" / "nic.yaml")

    def setUp(self):
        self.data = copy.deepcopy(self.good)
        self.rx_desc = entry(self.data["structs"], "RX_DESC")
        self.function = entry(self.data["register_blocks"], "FUNCTION")

    def assert_refused(self, *fragments):
        with self.assertRaises(contract_source.ContractError) as caught:
            contract_source.check(self.data)
        for fragment in fragments:
            self.assertIn(fragment, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def test_the_real_description_is_accepted(self):
        contract_source.check(self.data)

    def test_overlapping_fields(self):
        entry(self.rx_desc["fields"], "FLAGS")["bits"] = [95, 79]
        self.assert_refused("structs.RX_DESC.FLAGS", "bit 79 overlaps field LENGTH_BYTES")

    def test_field_that_straddles_a_word(self):
        del self.rx_desc["fields"][1:]
        self.rx_desc["fields"][0]["bits"] = [64, 1]
        self.assert_refused("structs.RX_DESC.ADDRESS", "straddle a 64-bit word")

    def test_field_beyond_its_structure(self):
        entry(self.rx_desc["fields"], "RESERVED")["bits"] = [129, 128]
        self.assert_refused("RX_DESC.RESERVED", "outside of the 128 bits")

    def test_reversed_bits(self):
        entry(self.rx_desc["fields"], "FLAGS")["bits"] = [80, 95]
        self.assert_refused("RX_DESC.FLAGS", "[high, low]")

    def test_register_field_beyond_its_register(self):
        entry(self.function["registers"], "VERSION")["fields"][0]["bits"] = [32, 16]
        self.assert_refused("FUNCTION.VERSION.MAJOR", "outside of the 32 bits")

    def test_duplicated_offset(self):
        entry(self.function["registers"], "ADMIN_ENABLE")["offset"] = 0x050
        self.assert_refused("FUNCTION.ADMIN_ENABLE", "offset 0x50 is duplicated", "ADMIN_ENTRIES")

    def test_registers_that_overlap_in_part(self):
        entry(self.function["registers"], "VERSION")["offset"] = 0x00c
        self.assert_refused("offset 0x8 is duplicated", "VERSION")

    def test_unaligned_register(self):
        entry(self.function["registers"], "ADMIN_SQ_BASE")["offset"] = 0x06c
        self.assert_refused("FUNCTION.ADMIN_SQ_BASE", "unaligned", "multiple of 8")

    def test_register_beyond_its_bar(self):
        entry(self.function["registers"], "ADMIN_STATUS")["offset"] = 0x4000
        self.assert_refused("register_blocks.FUNCTION", "BAR FUNCTION")

    def test_reset_value_that_does_not_fit(self):
        entry(self.function["registers"], "MAGIC")["reset"] = 1 << 32
        self.assert_refused("FUNCTION.MAGIC.reset", "does not fit in 32 bits")

    def test_unknown_access_policy(self):
        entry(self.function["registers"], "MAGIC")["access"] = "read"
        self.assert_refused("FUNCTION.MAGIC", "access 'read'", "doorbell")

    def test_unknown_bar(self):
        self.function["bar"] = 3
        self.assert_refused("register_blocks.FUNCTION", "BAR 3 is not defined")

    def test_version_register_that_disagrees(self):
        self.data["contract"]["version"]["minor"] += 1
        self.assert_refused("FUNCTION.VERSION", "contract.version")

    def test_duplicated_opcode(self):
        entry(self.data["commands"], "VI_FREE")["opcode"] = 0x05
        self.assert_refused("duplicated opcode 0x05", "VI_ALLOC", "VI_FREE")

    def test_opcode_that_does_not_fit(self):
        entry(self.data["commands"], "VI_FREE")["opcode"] = 256
        self.assert_refused("commands.VI_FREE.opcode", "does not fit in 8 bits")

    def test_command_field_over_the_header(self):
        entry(self.data["commands"], "PORT_CONFIG")["fields"][0]["bits"] = [63, 48]
        self.assert_refused("commands.PORT_CONFIG.MTU_BYTES", "command_header.TARGET_ID")

    def test_duplicated_enum_value(self):
        entry(self.data["enums"], "EVENT_TYPE")["values"][1]["value"] = 1
        self.assert_refused("enums.EVENT_TYPE", "duplicated value 1", "RX and TX")

    def test_duplicated_name(self):
        self.data["limits"].append(dict(self.data["limits"][0]))
        self.assert_refused("limits", "duplicated name VI_COUNT_MAX")

    def test_unknown_enum(self):
        entry(entry(self.data["structs"], "EVENT")["fields"], "TYPE")["enum"] = "EVENT_KIND"
        self.assert_refused("structs.EVENT.TYPE", "unknown enum 'EVENT_KIND'")

    def test_enum_value_that_does_not_fit_its_field(self):
        entry(self.data["enums"], "EVENT_TYPE")["values"][0]["value"] = 16
        self.assert_refused("EVENT.TYPE", "RX = 16", "does not fit in 4 bits")

    def test_pci_identifier_that_does_not_fit(self):
        self.data["pci"]["vendor_id"] = 0x10000
        self.assert_refused("pci.vendor_id", "does not fit in 16 bits")

    def test_value_that_is_not_a_number(self):
        self.data["limits"][0]["value"] = "many"
        self.assert_refused("limits.VI_COUNT_MAX", "expected an integer", "'many'")

    def test_array_beyond_its_structure(self):
        entry(self.data["structs"], "PORT_STATISTICS")["arrays"][0]["first_bit"] = 1984
        self.assert_refused("PORT_STATISTICS.DROPS", "outside of the 2048 bits")

    def test_missing_section(self):
        del self.data["rules"]
        self.assert_refused("section 'rules' is missing")

    def test_two_entries_with_one_c_name(self):
        self.data["constants"].append({"name": "CONTRACT_HASH", "value": 1, "doc": "Clashes."})
        with self.assertRaises(contract_source.ContractError) as caught:
            generate.render(self.data)
        self.assertIn("PST_CONTRACT_HASH", str(caught.exception))


class HashTest(unittest.TestCase):
    def setUp(self):
        self.data = contract_source.load(PROJECT_ROOT / "contract" / "nic.yaml")

    def test_documentation_does_not_change_the_hash(self):
        before = contract_source.contract_hash(self.data)
        self.data["limits"][0]["doc"] = "Said otherwise."
        self.assertEqual(contract_source.contract_hash(self.data), before)

    def test_layout_changes_the_hash(self):
        before = contract_source.contract_hash(self.data)
        entry(self.data["structs"], "RX_DESC")["fields"][1]["bits"] = [78, 64]
        self.assertNotEqual(contract_source.contract_hash(self.data), before)


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)

    def run_generator(self, *arguments):
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = generate.main(["--root", str(self.root), *arguments])
        return status, errors.getvalue()

    def test_check_passes_after_generation(self):
        self.assertEqual(self.run_generator()[0], 0)
        self.assertEqual(self.run_generator("--check"), (0, ""))

    def test_check_names_an_edited_file_and_the_remedy(self):
        self.run_generator()
        header = self.root / "contract" / "gen" / "pst_contract.h"
        header.write_text(header.read_text().replace("PST_MAGIC 0x4e545350u", "PST_MAGIC 0x1u"))
        status, errors = self.run_generator("--check")
        self.assertEqual(status, 1)
        self.assertIn("contract/gen/pst_contract.h: differs from contract/nic.yaml", errors)
        self.assertIn("make contract", errors)
        self.assertIn("PST_MAGIC 0x1u", header.read_text(), "--check must not write")

    def test_check_names_a_missing_file(self):
        self.run_generator()
        (self.root / "docs" / "contract.md").unlink()
        status, errors = self.run_generator("--check")
        self.assertEqual(status, 1)
        self.assertIn("docs/contract.md: missing", errors)

    def refuse_text(self, text):
        source = self.root / "bad.yaml"
        source.write_text(text)
        status, errors = self.run_generator("--source", str(source))
        self.assertEqual(status, 2)
        return errors

    def test_invalid_yaml_is_one_line(self):
        errors = self.refuse_text("limits: [\n")
        self.assertIn("bad.yaml: not valid YAML", errors)
        self.assertEqual(errors.count("\n"), 1)

    def test_key_given_twice_names_the_line(self):
        self.assertIn("line 2: key 'pci' appears twice", self.refuse_text("pci: 1\npci: 2\n"))

    def test_missing_source_file(self):
        status, errors = self.run_generator("--source", str(self.root / "absent.yaml"))
        self.assertEqual(status, 2)
        self.assertIn("absent.yaml: cannot be read", errors)


if __name__ == "__main__":
    unittest.main()
