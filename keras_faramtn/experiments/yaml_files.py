"""Reads YAML files strictly: rejects what is ambiguous or would take too much memory."""

import re
from pathlib import Path
from typing import Any

import yaml

from keras_faramtn.errors import InputError, reason

_MAX_BYTES = 256 * 1024
_MAX_DEPTH = 20
_MAX_INTEGER = 2**63 - 1  # the limit of NumPy, TensorFlow and other YAML readers


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file.

    YAML 1.1, with the floats of YAML 1.2: 1e-3 is a number, as 1.0e-3 is. There are no anchors and
    aliases, which could expand a short file to gigabytes.

    Args:
        path: a file in UTF-8.

    Raises:
        InputError: the file can't be read or is not YAML; a key is repeated; a number has more than
            64 bits; the nesting is too deep; or it is larger than 256 KiB. The message names the
            line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "recipe.yaml"
        ...     _ = path.write_text("training: {epochs: 3, learning_rate: 1e-3}")
        ...     read_yaml(path)
        {'training': {'epochs': 3, 'learning_rate': 0.001}}
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise InputError(f"{path}: the file has more than {_MAX_BYTES:,} bytes; shorten it.")
        return yaml.load(content.decode("utf-8-sig"), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = error.problem or error.context or "the syntax is wrong"
        raise InputError(f"{path}{line}: cannot read this file as YAML: {problem}.") from error
    except InputError:
        raise
    except Exception as error:  # damaged files raise almost any exception
        raise InputError(f"{path}: cannot read this file as YAML: {reason(error)}.") from error


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _error("anchors and aliases are not supported; write the value out", event)
        if self.depth == _MAX_DEPTH:
            raise _error(f"more than {_MAX_DEPTH} levels are nested", event)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _error(f"the key {key.value} is repeated; keep one of them", key)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        # So many digits are always a mistake, and Python refuses to print them.
        value = super().construct_yaml_int(node) if len(node.value) <= 100 else _MAX_INTEGER + 1
        if abs(value) > _MAX_INTEGER:
            raise _error(f"a number must be between -{_MAX_INTEGER} and {_MAX_INTEGER}", node)
        return value


def _error(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
