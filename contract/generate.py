#!/usr/bin/python3
"""Writes everything that is derived from contract/nic.yaml: C header, tables, SystemVerilog package, register bank, reference.

  generate.py            writes the files
  generate.py --check    writes nothing; exits 1 and names each file that differs from what would be written
"""

import argparse
import difflib
import pathlib
import sys

import jinja2

import contract_source
from contract_source import ContractError

CONTRACT_DIR = pathlib.Path(__file__).resolve().parent
OUTPUTS = {
    "contract/gen/pst_contract.h": "pst_contract.h.j2",
    "contract/gen/pst_contract_pkg.sv": "pst_contract_pkg.sv.j2",
    "contract/gen/pst_contract_tables.h": "pst_contract_tables.h.j2",
    "contract/gen/register_bank.h": "register_bank.h.j2",
    "docs/contract.md": "contract.md.j2",
}
# Keywords of IEEE 1800 that a field could plausibly be called, and `vector`, which Verilator keeps for C++; the lint test
# finds any other.
SV_RESERVED = frozenset("""
    alias always and assert assign before begin bind bit break buf byte case cell chandle checker class clocking config
    const constraint context continue cover deassign default design disable do edge else end enum event expect export extends
    final first_match for force forever fork function generate global if iff implements implies import include initial
    inout input instance int integer interface join large let library local logic longint macromodule matches medium
    modport module negedge new nor not null or output package packed parameter posedge primitive priority program property
    protected pull0 pull1 pure rand real ref reg reject release repeat restrict return scalared sequence shortint signed small
    soft solve static string strong struct super supply0 supply1 table tagged task then this throughout time timeprecision
    timeunit type typedef union unique unsigned until use var vector vectored virtual void wait weak while wildcard wire with
    within xnor xor""".split())


def c_number(value):
    """An unsigned C literal; 64-bit only where 32 bits do not do."""
    if value < 1 << 16:
        return f"{value}u"
    return f"{value:#010x}u" if value < 1 << 32 else f"{value:#018x}ull"


def c_hex(value):
    return f"{value:#06x}u" if value < 1 << 32 else f"{value:#018x}ull"


def c_mask(width):
    return f"{(1 << width) - 1:#x}ull"


def sv_number(value, width):
    digits = (width + 3) // 4
    return f"{width}'h{value:0{digits}x}"


def sv_member(field):
    """Member name of a packed structure; a reserved word gets a trailing underscore, a gap a name of its own."""
    if field["name"] is None:
        return f"unused_{field['low']}"
    name = field["name"].lower()
    return name + "_" if name in SV_RESERVED else name


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def layout(fields):
    """Fields with word, shift within the word, width and their bit range, in order of position."""
    result = []
    for field in sorted(fields, key=lambda entry: entry["bits"][1]):
        high, low = field["bits"]
        result.append({**field, "high": high, "low": low, "width": high - low + 1,
                       "word": low // contract_source.WORD_BITS, "shift": low % contract_source.WORD_BITS})
    return result


def with_gaps(fields, total_bits):
    """Fields from the most significant down, with an unnamed entry for each gap: what a packed structure needs."""
    result, next_bit = [], total_bits - 1
    for field in sorted(layout(fields), key=lambda entry: -entry["low"]):
        if field["high"] < next_bit:
            result.append({"name": None, "low": field["high"] + 1, "width": next_bit - field["high"]})
        result.append(field)
        next_bit = field["low"] - 1
    if next_bit >= 0:
        result.append({"name": None, "low": 0, "width": next_bit + 1})
    return result


def enum_width(data, enum):
    """Width of an enumeration: that of the widest field that holds it, else what its values need."""
    fields = [f for holder in data["structs"] + data["commands"] for f in layout(holder["fields"])]
    widths = [f["width"] for f in fields if f.get("enum") == enum["name"]]
    needed = max(1, max(value["value"] for value in enum["values"]).bit_length())
    return max(widths + [needed])


def reset_number(data, register):
    """The reset value as an integer, or None where the device decides."""
    if register["reset"] == "device":
        return None
    if register["reset"] == "contract_hash":
        return contract_source.contract_hash(data)
    return register["reset"]


def environment(template_dir):
    env = jinja2.Environment(loader=jinja2.FileSystemLoader(template_dir), undefined=jinja2.StrictUndefined,
                             trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    env.filters.update(c_number=c_number, c_hex=c_hex, c_mask=c_mask, camel=camel, layout=layout)
    env.globals.update(sv_number=sv_number, with_gaps=with_gaps, enum_width=enum_width, reset_number=reset_number, sv_member=sv_member)
    return env


def check_c_names(text):
    """Two entries of the description must not lead to one macro or function."""
    seen = set()
    for line in text.splitlines():
        words = line.split()
        if line.startswith("#define ") and len(words) > 1:
            name = words[1]
        elif line.startswith("static inline "):
            name = line.split("(")[0].split()[-1].lstrip("*")
        else:
            continue
        if name in seen:
            raise ContractError(f"two entries of the description both lead to the C name {name}; rename one")
        seen.add(name)


def render(data, template_dir=CONTRACT_DIR / "templates"):
    """Returns {path relative to the project root: text}."""
    env = environment(template_dir)
    values = {"data": data, "hash": contract_source.contract_hash(data), "version": contract_source.version_word(data),
              "enums": contract_source.enums_by_name(data)}
    texts = {path: env.get_template(template).render(**values) for path, template in OUTPUTS.items()}
    check_c_names(texts["contract/gen/pst_contract.h"])
    return texts


def differences(texts, root):
    """One message per generated file that is missing or not what the description gives."""
    messages = []
    for path, text in texts.items():
        file = root / path
        if not file.exists():
            messages.append(f"{path}: missing")
            continue
        old = file.read_text(encoding="utf-8").splitlines()
        diff = list(difflib.unified_diff(old, text.splitlines(), "committed", "generated", lineterm="", n=0))
        if diff:
            shown = "\n    ".join(diff[2:8])
            messages.append(f"{path}: differs from contract/nic.yaml\n    {shown}")
    return messages


def main(argv=None):
    parser = argparse.ArgumentParser(description="Generates the contract's derived files from contract/nic.yaml.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a generated file differs")
    parser.add_argument("--source", type=pathlib.Path, default=CONTRACT_DIR / "nic.yaml", help="description to read")
    parser.add_argument("--root", type=pathlib.Path, default=CONTRACT_DIR.parent, help="project root to write under")
    arguments = parser.parse_args(argv)
    try:
        texts = render(contract_source.load(arguments.source))
    except ContractError as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 2
    changed = differences(texts, arguments.root)
    if arguments.check:
        for message in changed:
            print(f"generate.py: {message}", file=sys.stderr)
        if changed:
            print("generate.py: run 'make contract' and commit the result", file=sys.stderr)
        return 1 if changed else 0
    if not changed:
        print("all generated files are up to date")
    for path, text in texts.items():
        file = arguments.root / path
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
