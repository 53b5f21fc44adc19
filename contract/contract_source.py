"""Loads contract/nic.yaml and checks it: the only judge of whether a contract description is well formed.

A ContractError names the place in the file, what was expected and what was found. Nothing here knows an output format.
"""

import hashlib
import json
import re

import yaml

WORD_BITS = 64
ACCESS_POLICIES = ("ro", "rw", "wo", "doorbell")
NAME_PATTERN = re.compile(r"^[A-Z][A-Z0-9_]*$")
PCI_ID_BITS = {"vendor_id": 16, "device_id": 16, "subsystem_vendor_id": 16, "subsystem_id": 16, "revision_id": 8,
               "class_code": 24}
SECTIONS = ("contract", "pci", "limits", "constants", "bars", "register_blocks", "structs", "command_header",
            "commands", "enums", "rules")


class ContractError(Exception):
    """A defect of the description: one line that says where, what was expected and what came."""


class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML silently keeps the last of two equal keys; a contract must not."""


def _mapping_without_duplicates(loader, node, deep=False):
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise ContractError(f"line {key_node.start_mark.line + 1}: key '{key}' appears twice in one mapping; "
                                "remove one of them")
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def load(path):
    """Returns the checked description at path as plain dictionaries and lists."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = yaml.load(stream, Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error
    try:
        check(data)
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error
    return data


def contract_hash(data):
    """First 64 bits of the SHA-256 over the canonical form: JSON, keys sorted, documentation texts left out."""
    canonical = json.dumps(_without_docs(data), sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(canonical.encode("utf-8")).digest()[:8], "big")


def _without_docs(node):
    if isinstance(node, dict):
        return {key: _without_docs(value) for key, value in node.items() if key != "doc"}
    if isinstance(node, list):
        return [_without_docs(value) for value in node]
    return node


def version_word(data):
    version = data["contract"]["version"]
    return version["major"] << 16 | version["minor"]


def check(data):
    """Raises ContractError for the first defect found."""
    if not isinstance(data, dict):
        raise ContractError("expected a mapping with the sections " + ", ".join(SECTIONS))
    for section in SECTIONS:
        if section not in data:
            raise ContractError(f"section '{section}' is missing")
    for section in data:
        if section not in SECTIONS:
            raise ContractError(f"unknown section '{section}'; known are {', '.join(SECTIONS)}")
    version = data["contract"]["version"]
    for part in ("major", "minor"):
        _check_value(f"contract.version.{part}", version.get(part), 16)
    for key, bits in PCI_ID_BITS.items():
        _check_value(f"pci.{key}", data["pci"].get(key), bits)
    for section in ("limits", "constants"):
        _check_unique(section, data[section], "name")
        for entry in data[section]:
            _check_value(f"{section}.{entry['name']}", entry.get("value"), 32)
    _check_enums(data["enums"])
    _check_bars(data["bars"])
    _check_register_blocks(data)
    _check_layouts(data)
    _check_commands(data)
    _check_unique("rules", data["rules"], "id", pattern=re.compile(r"^R[0-9]+$"))


def _check_value(where, value, bits):
    if not isinstance(value, int) or isinstance(value, bool):
        raise ContractError(f"{where}: expected an integer, found {value!r}")
    if not 0 <= value < 1 << bits:
        raise ContractError(f"{where}: value {value:#x} does not fit in {bits} bits")


def _check_unique(where, entries, key, pattern=NAME_PATTERN):
    """Each entry has the key, the key matches the pattern, and no two entries share it."""
    if not isinstance(entries, list):
        raise ContractError(f"{where}: expected a list, found {type(entries).__name__}")
    seen = set()
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or key not in entry:
            raise ContractError(f"{where}[{number}]: expected a mapping with '{key}'")
        name = entry[key]
        if not isinstance(name, str) or not pattern.match(name):
            raise ContractError(f"{where}[{number}]: {key} {name!r} must match {pattern.pattern}")
        if name in seen:
            raise ContractError(f"{where}: duplicated {key} {name}")
        seen.add(name)


def _check_enums(enums):
    _check_unique("enums", enums, "name")
    for enum in enums:
        where = f"enums.{enum['name']}"
        _check_unique(where, enum.get("values"), "name")
        by_value = {}
        for value in enum["values"]:
            _check_value(f"{where}.{value['name']}", value.get("value"), 16)
            other = by_value.setdefault(value["value"], value["name"])
            if other != value["name"]:
                raise ContractError(f"{where}: duplicated value {value['value']} ({other} and {value['name']})")


def _check_bars(bars):
    _check_unique("bars", bars, "name")
    by_index = {}
    for bar in bars:
        where = f"bars.{bar['name']}"
        index, size = bar.get("index"), bar.get("size")
        if index not in range(6):
            raise ContractError(f"{where}: index {index!r} must be 0 to 5")
        _check_value(f"{where}.size", size, 32)
        if size < 16 or size & (size - 1):
            raise ContractError(f"{where}: size {size:#x} must be a power of two of at least 16 bytes")
        other = by_index.setdefault(index, bar["name"])
        if other != bar["name"]:
            raise ContractError(f"bars: duplicated index {index} ({other} and {bar['name']})")


def check_fields(where, fields, total_bits, enums):
    """Fields lie inside total_bits, inside one 64-bit word each, do not overlap, and their enums exist and fit."""
    _check_unique(where, fields, "name")
    taken = {}
    for field in fields:
        place = f"{where}.{field['name']}"
        bits = field.get("bits")
        if not (isinstance(bits, list) and len(bits) == 2 and all(isinstance(bit, int) for bit in bits)):
            raise ContractError(f"{place}: expected bits: [high, low], found {bits!r}")
        high, low = bits
        if low < 0 or high < low:
            raise ContractError(f"{place}: bits [{high}, {low}] must be [high, low] with high >= low >= 0")
        if high >= total_bits:
            raise ContractError(f"{place}: bit {high} lies outside of the {total_bits} bits of {where}")
        if high // WORD_BITS != low // WORD_BITS:
            raise ContractError(f"{place}: bits [{high}, {low}] straddle a 64-bit word; move or split the field")
        for bit in range(low, high + 1):
            if bit in taken:
                raise ContractError(f"{place}: bit {bit} overlaps field {taken[bit]}")
            taken[bit] = field["name"]
        _check_field_enum(place, field, high - low + 1, enums)
    return taken


def _check_field_enum(place, field, width, enums):
    if "enum" not in field:
        return
    enum = enums.get(field["enum"])
    if enum is None:
        raise ContractError(f"{place}: unknown enum '{field['enum']}'; known are {', '.join(sorted(enums))}")
    for value in enum["values"]:
        if value["value"] >= 1 << width:
            raise ContractError(f"{place}: value {value['name']} = {value['value']} of enum {field['enum']} "
                                f"does not fit in {width} bits")


def enums_by_name(data):
    return {enum["name"]: enum for enum in data["enums"]}


def _check_register_blocks(data):
    enums, bars = enums_by_name(data), {bar["index"]: bar for bar in data["bars"]}
    _check_unique("register_blocks", data["register_blocks"], "name")
    for block in data["register_blocks"]:
        where = f"register_blocks.{block['name']}"
        bar = bars.get(block.get("bar"))
        if bar is None:
            raise ContractError(f"{where}: BAR {block.get('bar')!r} is not defined under bars")
        _check_unique(where, block.get("registers"), "name")
        owner = {}
        for register in block["registers"]:
            _check_register(where, block, register, owner, enums)
        end = block.get("base", 0) + block.get("stride", 0) * (block.get("count", 1) - 1) + max(owner) + 1
        if end > bar["size"] or ("stride" in block and max(owner) >= block["stride"]):
            raise ContractError(f"{where}: ends at {end:#x}, beyond its stride or the {bar['size']:#x} bytes of BAR "
                                f"{bar['name']}")
    _check_version_register(data)


def _check_register(where, block, register, owner, enums):
    place = f"{where}.{register['name']}"
    offset, width = register.get("offset"), register.get("width")
    _check_value(f"{place}.offset", offset, 32)
    if width not in (32, 64):
        raise ContractError(f"{place}: width {width!r} must be 32 or 64")
    if offset % (width // 8):
        raise ContractError(f"{place}: offset {offset:#x} is unaligned; a {width}-bit register needs a multiple of "
                            f"{width // 8}")
    for byte in range(offset, offset + width // 8):
        if byte in owner:
            raise ContractError(f"{place}: offset {offset:#x} is duplicated: byte {byte:#x} belongs to {owner[byte]}")
        owner[byte] = register["name"]
    if register.get("access") not in ACCESS_POLICIES:
        raise ContractError(f"{place}: access {register.get('access')!r} must be one of {', '.join(ACCESS_POLICIES)}")
    reset = register.get("reset")
    if reset not in ("device", "contract_hash"):
        _check_value(f"{place}.reset", reset, width)
    if reset == "contract_hash" and width != 64:
        raise ContractError(f"{place}: reset contract_hash needs 64 bits, the register has {width}")
    check_fields(place, register.get("fields", []), width, enums)


def _check_version_register(data):
    for block in data["register_blocks"]:
        for register in block["registers"]:
            if (block["name"], register["name"]) == ("FUNCTION", "VERSION") and register["reset"] != version_word(data):
                raise ContractError(f"register_blocks.FUNCTION.VERSION: reset {register['reset']:#x} differs from "
                                    f"contract.version, which is {version_word(data):#x}")


def _check_size(where, size):
    if not isinstance(size, int) or size <= 0 or size % 8:
        raise ContractError(f"{where}: bytes {size!r} must be a positive multiple of 8")


def _check_layouts(data):
    enums = enums_by_name(data)
    _check_unique("structs", data["structs"], "name")
    for struct in data["structs"]:
        where = f"structs.{struct['name']}"
        _check_size(where, struct.get("bytes"))
        taken = check_fields(where, struct.get("fields"), struct["bytes"] * 8, enums)
        for array in struct.get("arrays", []):
            _check_array(f"{where}.{array.get('name')}", array, struct["bytes"] * 8, taken, enums)


def _check_array(where, array, total_bits, taken, enums):
    if array.get("element_bits") != WORD_BITS or array.get("first_bit", 1) % WORD_BITS:
        raise ContractError(f"{where}: an array holds 64-bit elements and starts at a multiple of 64 bits")
    index = enums.get(array.get("index"))
    if index is None:
        raise ContractError(f"{where}: unknown enum '{array.get('index')}'")
    end = array["first_bit"] + WORD_BITS * (1 + max(value["value"] for value in index["values"]))
    if end > total_bits:
        raise ContractError(f"{where}: ends at bit {end}, outside of the {total_bits} bits of its structure")
    for bit in range(array["first_bit"], end):
        if bit in taken:
            raise ContractError(f"{where}: bit {bit} overlaps field {taken[bit]}")
        taken[bit] = array["name"]


def _check_commands(data):
    enums, header = enums_by_name(data), data["command_header"]
    _check_size("command_header", header.get("bytes"))
    header_bits = check_fields("command_header", header.get("fields"), header["bytes"] * 8, enums)
    _check_unique("commands", data["commands"], "name")
    by_opcode = {}
    opcode_bits = next((f["bits"] for f in header["fields"] if f["name"] == "OPCODE"), [7, 0])
    for command in data["commands"]:
        where = f"commands.{command['name']}"
        _check_value(f"{where}.opcode", command.get("opcode"), opcode_bits[0] - opcode_bits[1] + 1)
        other = by_opcode.setdefault(command["opcode"], command["name"])
        if other != command["name"]:
            raise ContractError(f"commands: duplicated opcode {command['opcode']:#04x} ({other} and "
                                f"{command['name']})")
        taken = check_fields(where, command.get("fields"), header["bytes"] * 8, enums)
        for bit, name in taken.items():
            if bit in header_bits:
                raise ContractError(f"{where}.{name}: bit {bit} overlaps command_header.{header_bits[bit]}")
