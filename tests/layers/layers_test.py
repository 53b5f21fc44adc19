"""Include directives stay within the layers that cmake/layers.txt allows, and SystemC stays below the PCI function seam.

Run without arguments it also tests itself: a planted violation of each kind must be found.
"""

import pathlib
import re
import tempfile
import unittest

PROJECT_ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE_SUFFIXES = {".h", ".hpp", ".c", ".cc", ".cpp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
SYSTEMC = re.compile(r"^(systemc(\.h)?|tlm(\.h)?|tlm_utils/.*|verilated.*)$")
SYSTEMC_FREE = ("contract", "driver", "stack")


def read_rules(path):
    """Returns {folder: [allowed folder or file, ...]} of a layers.txt."""
    rules = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            folder, _, allowed = line.partition(":")
            rules[folder.strip()] = allowed.split()
    return rules


def within(path, prefix):
    return path == prefix or path.startswith(prefix + "/")


def rule_for(file, rules):
    folders = [folder for folder in rules if within(file, folder)]
    return max(folders, key=len, default=None)


def violations(root, rules):
    """One line per include directive that the rules do not allow."""
    layers = sorted({folder.split("/")[0] for folder in rules})
    found = []
    for layer in layers:
        for path in sorted((root / layer).rglob("*")):
            if path.suffix not in SOURCE_SUFFIXES or not path.is_file():
                continue
            file = path.relative_to(root).as_posix()
            folder = rule_for(file, rules)
            allowed = [*rules[folder], folder]
            for quoted, angled in INCLUDE.findall(path.read_text(encoding="utf-8")):
                included = quoted or angled
                if SYSTEMC.match(included) and layer in SYSTEMC_FREE:
                    found.append(f"{file}: includes {included}; {layer}/ is above the PCI function seam and knows no SystemC")
                elif included.startswith("../") or "/../" in included:
                    found.append(f'{file}: includes "{included}"; paths start at the project root')
                elif included.split("/")[0] in layers and not any(within(included, entry) for entry in allowed):
                    found.append(f"{file}: includes {included}; {folder}/ may use only {', '.join(allowed)}")
    return found


class LayersTest(unittest.TestCase):
    def test_the_project_keeps_to_its_layers(self):
        found = violations(PROJECT_ROOT, read_rules(PROJECT_ROOT / "cmake" / "layers.txt"))
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_every_folder_with_sources_has_a_rule(self):
        rules = read_rules(PROJECT_ROOT / "cmake" / "layers.txt")
        for folder in sorted(PROJECT_ROOT.iterdir()):
            if folder.is_dir() and not folder.name.startswith((".", "build")) and any(
                    path.suffix in SOURCE_SUFFIXES for path in folder.rglob("*")):
                self.assertIn(folder.name, rules, f"{folder.name}/ has sources but no line in cmake/layers.txt")


class SelfTest(unittest.TestCase):
    """The checks above can fail."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.rules = read_rules(PROJECT_ROOT / "cmake" / "layers.txt")

    def found_in(self, file, text):
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return violations(self.root, self.rules)

    def test_allowed_includes_pass(self):
        self.assertEqual(self.found_in("stack/tcp.cc", '#include "stack/tcp.h"\n#include "driver/vi.h"\n#include <vector>\n'), [])
        self.assertEqual(self.found_in("hw_model/nic.cc", '#include "sim/nic_device.h"\n#include <systemc>\n'), [])

    def test_simulator_included_from_the_stack_is_found(self):
        found = self.found_in("stack/tcp.cc", '#include "sim/network.h"\n')
        self.assertEqual(len(found), 1)
        self.assertIn("stack/tcp.cc: includes sim/network.h", found[0])

    def test_driver_internals_included_from_the_stack_are_found(self):
        self.assertEqual(len(self.found_in("stack/tcp.cc", '#include "driver/resource_manager.h"\n')), 1)

    def test_simulator_internals_included_from_the_model_are_found(self):
        self.assertEqual(len(self.found_in("hw_model/nic.cc", '# include "sim/network.h"\n')), 1)

    def test_systemc_above_the_seam_is_found(self):
        self.assertEqual(len(self.found_in("driver/vi.cc", "#include <systemc>\n")), 1)

    def test_relative_path_is_found(self):
        self.assertEqual(len(self.found_in("driver/vi.cc", '#include "../contract/gen/pst_contract.h"\n')), 1)


if __name__ == "__main__":
    unittest.main()
