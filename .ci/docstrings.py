"""For mkdocs.yml: a docstring's line on an argument or field, `name: what it is`, becomes an item of a list."""

from __future__ import annotations

import re
from typing import Any

import griffe

FIELD = re.compile(r"^(\w+(?:, \w+)*): ", re.M)
AFTER = re.compile(r"^(?=Raises |Returns )", re.M)


class Fields(griffe.Extension):
    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        self._list(pkg)

    def _list(self, node: griffe.Module | griffe.Class | griffe.Function) -> None:
        members = [member for member in node.members.values() if not member.is_alias]
        if node.docstring:
            names = {member.name for member in members}
            if (function := node.members.get("__init__") if node.is_class else node) and function.is_function:
                names |= {parameter.name for parameter in function.parameters}

            def item(match: re.Match[str]) -> str:
                return f"\n- `{match[1]}`: " if set(match[1].split(", ")) <= names else match[0]

            # Markdown wants an empty line above a list, and below it.
            node.docstring.value = AFTER.sub("\n", FIELD.sub(item, node.docstring.value))
        for member in members:
            if member.is_module or member.is_class or member.is_function:
                self._list(member)
