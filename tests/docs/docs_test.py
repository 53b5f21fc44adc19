"""What the documents say exists: files and functions of the packet walk, links, contract names, the README's latency table.

Run as `docs_test.py [--postern PROGRAM] [unittest arguments]`; without the program the latency table is not compared.
Each check also finds a planted mistake, so that it is known to be able to fail.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROJECT_ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTRACT_HEADER = "contract/gen/pst_contract.h"
# Documents whose paths start at the project's root.
ROOTED = ("README.md", "CONTRIBUTING.md", "docs/PACKET_WALK.md", "docs/decisions.md", "docs/faults.md", "docs/models/README.md")
WALK = "docs/PACKET_WALK.md"
FENCE = re.compile(r"^```.*?^```[^\n]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
REFERENCE = re.compile(r"([\w.-]+/[\w./-]*)(?::\s+([\w:~]+))?")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
CONTRACT_NAME = re.compile(r"\bPST_[A-Z0-9_*]+")
STAGE_TOLERANCE = 0.10


def documents(root):
    """The committed Markdown files; all of them where there is no git."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "*.md"], capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [name for name in listed.stdout.split("\n") if name and (root / name).is_file()]
    names = (path.relative_to(root).as_posix() for path in sorted(root.rglob("*.md")))
    return [name for name in names if not name.startswith("build")]


def prose(text):
    return FENCE.sub("", text)


def defines(source, function):
    """Whether a C++ text declares or defines the function: its name with a return type in front of it on the line."""
    *scopes, name = function.split("::")
    prefix = r"^(?![ \t]*(?:return|co_return|else)\b)[\w:<>,*&\[\]~ \t]*[\w>*&\]][ \t]+[*&]?"
    places = ["".join(scope + "::" for scope in scopes)]
    if not scopes:
        places = [r"(?:\w+::)*"]
    elif re.search(rf"\b(?:class|struct)\s+(?:\w+::)*{scopes[-1]}\b", source):
        places.append("")  # defined inside its class
    return any(re.search(prefix + place + re.escape(name) + r"\s*\(", source, re.MULTILINE) for place in places)


def references(text, folders):
    """(path, function or None) of each code span that names something in one of the project's folders."""
    for span in CODE.findall(prose(text)):
        found = REFERENCE.fullmatch(" ".join(span.split()))
        if found and found.group(1).split("/")[0] in folders:
            yield found.group(1), found.group(2)


def reference_errors(root, name, text):
    folders = {path.name for path in root.iterdir() if path.is_dir() and path.name != "build"}
    errors = []
    for path, function in references(text, folders):
        file = root / path
        if not file.exists():
            errors.append(f"{name}: {path} does not exist")
        elif function and not (file.is_file() and defines(file.read_text(encoding="utf-8"), function)):
            errors.append(f"{name}: {path} has no function {function}")
    return errors


def anchor_of(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def link_errors(root, name, text):
    errors = []
    for target in LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (root / name).parent / path if path else root / name
        if not file.exists():
            errors.append(f"{name}: link to {target}: no such file")
        elif anchor and anchor not in map(anchor_of, HEADING.findall(prose(file.read_text(encoding="utf-8")))):
            errors.append(f"{name}: link to {target}: no such heading")
    return errors


def contract_errors(name, text, header):
    known = set(re.findall(r"\bPST_[A-Z0-9_]+", header))
    errors = []
    for word in sorted(set(CONTRACT_NAME.findall(text))):
        pattern = re.compile(re.escape(word).replace(r"\*", "[A-Z0-9_]+"))
        # A name that ends in an underscore stands for all that begin with it.
        matches = any(known_name.startswith(word) for known_name in known) if word.endswith("_") else \
            any(pattern.fullmatch(known_name) for known_name in known)
        if not matches:
            errors.append(f"{name}: {word} is not in {CONTRACT_HEADER}")
    return errors


def stage_medians(report):
    """{stage: median in ns} from the report of `postern sim`."""
    table = re.search(r"^stage, ns .*?\n(.*?)\n\n", report + "\n\n", re.MULTILINE | re.DOTALL)
    return {row.split()[0]: float(row.split()[3]) for row in table.group(1).splitlines()} if table else {}


def readme_medians(text):
    """{stage: median in ns} from the lines `name | bar | number | …` of the README's latency table."""
    return {name: float(number) for name, number in re.findall(r"^(\w+) +\|[ #.]*\| +([\d.]+)", text, re.MULTILINE)}


def stage_errors(text, report):
    shown, measured = readme_medians(text), stage_medians(report)
    if not measured or list(shown) != list(measured)[:len(shown)] or "total" not in shown:
        return [f"README.md: the latency table has the stages {', '.join(shown)}; `postern sim` reports {', '.join(measured)}"]
    return [f"README.md: {stage} is {shown[stage]} ns in the latency table; `postern sim pingpong` says {measured[stage]}"
            for stage in shown if abs(shown[stage] - measured[stage]) > STAGE_TOLERANCE * measured[stage] + 1]


class DocumentsTest(unittest.TestCase):
    postern = None
    maxDiff = None

    def read(self, name):
        return (PROJECT_ROOT / name).read_text(encoding="utf-8")

    def test_files_and_functions_that_documents_name_exist(self):
        errors = [error for name in ROOTED for error in reference_errors(PROJECT_ROOT, name, self.read(name))]
        self.assertEqual(errors, [])

    def test_the_walk_names_a_function_at_most_steps(self):
        folders = {path.name for path in PROJECT_ROOT.iterdir() if path.is_dir()}
        named = [function for _, function in references(self.read(WALK), folders) if function]
        self.assertGreater(len(named), 80)

    def test_relative_links_resolve(self):
        errors = [error for name in documents(PROJECT_ROOT) for error in link_errors(PROJECT_ROOT, name, self.read(name))]
        self.assertEqual(errors, [])

    def test_contract_names_are_in_the_generated_header(self):
        header = self.read(CONTRACT_HEADER)
        errors = [error for name in documents(PROJECT_ROOT) for error in contract_errors(name, self.read(name), header)]
        self.assertEqual(errors, [])

    def test_the_latency_table_is_what_the_simulator_reports(self):
        if self.postern is None:
            self.skipTest("no --postern PROGRAM")
        run = subprocess.run([self.postern, "sim", "pingpong"], capture_output=True, text=True, check=True, timeout=50)
        self.assertEqual(stage_errors(self.read("README.md"), run.stdout), [])


class ChecksCanFailTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        (self.root / "stack").mkdir()
        (self.root / "stack/udp.cc").write_text("int64_t udp_send(Core& core) {\n  return ipv4_send(core);\n}\n"
                                                "void Udp::input() {\n  deliver(1);\n}\nclass Wire {\n  void arrive() {}\n};\n")
        (self.root / "stack/README.md").write_text("# Stack\n\n## How it runs\n")

    def errors(self, text):
        return reference_errors(self.root, "walk.md", text)

    def test_a_missing_file_is_found(self):
        self.assertEqual(self.errors("`stack/gone.cc: udp_send`"), ["walk.md: stack/gone.cc does not exist"])

    def test_a_missing_or_only_called_function_is_found(self):
        for function in ("udp_recv", "ipv4_send", "deliver", "Tcp::input", "Udp::arrive", "send"):
            with self.subTest(function=function):
                self.assertEqual(self.errors(f"`stack/udp.cc: {function}`"), [f"walk.md: stack/udp.cc has no function {function}"])

    def test_what_exists_passes(self):
        self.assertEqual(self.errors("`stack/udp.cc: udp_send` `stack/udp.cc: Udp::input` `stack/udp.cc: Wire::arrive`\n"
                                     "`stack/udp.cc:\narrive` `stack/` `stack/<file>.cc` `elsewhere/x.cc`\n```\n`stack/no.cc`\n```\n"), [])

    def test_a_broken_link_is_found(self):
        text = "[a](stack/README.md) [b](stack/README.md#how-it-runs) [c](https://x.org/y) [d](stack/none.md) [e](stack/README.md#no)"
        self.assertEqual(link_errors(self.root, "walk.md", text), ["walk.md: link to stack/none.md: no such file",
                                                                  "walk.md: link to stack/README.md#no: no such heading"])

    def test_a_wrong_contract_name_is_found(self):
        header = "#define PST_MAGIC 1\n#define PST_VI_TIMER_OFFSET 2\n"
        self.assertEqual(contract_errors("walk.md", "PST_MAGIC PST_VI_*_OFFSET PST_VI_ PST_MAGICK PST_TX_*", header),
                         ["walk.md: PST_MAGICK is not in contract/gen/pst_contract.h",
                          "walk.md: PST_TX_* is not in contract/gen/pst_contract.h"])

    def test_an_old_latency_table_is_found(self):
        report = "stage, ns  count  min  p50  p90\nwire   4  590.0  594.4  610.3\ntotal   4  2650.0  2703.4  2703.4\n\nno drops\n"
        self.assertEqual(stage_errors("wire  | ####  | 594 | w\ntotal |   | 2703 | t\n", report), [])
        self.assertEqual(len(stage_errors("wire  | ####  | 700 | w\ntotal |   | 2703 | t\n", report)), 1)
        self.assertEqual(len(stage_errors("cable | ####  | 594 | w\ntotal |   | 2703 | t\n", report)), 1)
        self.assertEqual(len(stage_errors("wire  | ####  | 594 | w\ntotal |   | 2703 | t\n", "nothing")), 1)


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--postern":
        DocumentsTest.postern = sys.argv[2]
        del sys.argv[1:3]
    unittest.main()
