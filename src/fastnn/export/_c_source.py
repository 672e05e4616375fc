"""C source taken apart, as far as fastnn's own headers go: conditions decided, definitions found by their names."""

from __future__ import annotations

import re


def chosen(text: str, bits: int) -> str:
    """The text with its conditions on FNN_BITS decided; those on NAME_... stay, others count as met."""
    lines: list[str] = []
    stack: list[bool | None] = [True]  # of each open condition: met, not met, or None: left in the text
    for line in re.sub(r"\\\n", " ", text).splitlines():
        word = re.match(r"#\s*(ifndef|ifdef|if|elif|else|endif)\b\s*(.*)", line)
        if not word:
            if False not in stack:
                lines.append(line)
            continue
        kind, condition = word[1], word[2].split("/*")[0].strip()
        asked = re.fullmatch(r"FNN_BITS == (\d+)", condition)
        if kind in ("if", "ifdef", "ifndef"):
            stack.append(None if "NAME_" in condition else int(asked[1]) == bits if asked else True)
        elif stack[-1] is not None and kind != "endif":
            stack[-1] = not stack[-1] and (int(asked[1]) == bits if asked else True)
        if stack[-1] is None and False not in stack:
            lines.append(line)
        if kind == "endif":
            stack.pop()
    return "\n".join(lines)


def definitions(text: str) -> dict[str, str]:
    """The definitions of a file by name, each with the comment that stands directly before it."""
    found: dict[str, str] = {}
    at, comment = 0, ""
    while (at := _skip_space(text, at)) < len(text):
        if text.startswith("/*", at):
            end = text.index("*/", at) + 2
            comment = text[at:end] + "\n" if text[end : end + 2] != "\n\n" else ""
        elif text[at] == "#":
            end = text.find("\n", at) if "\n" in text[at:] else len(text)
            macro = re.match(r"#define (\w+) (.+)", text[at:end])
            if macro:
                found[macro[1]] = re.sub(r" {2,}", " ", text[at:end])
            comment = ""
        else:
            end = _end_of(text, at)
            code = text[at:end]
            name = re.search(r"(\w+);$" if code.startswith("typedef") else r"(\w+)(?:\(|\[\])", code)
            if name:
                found[name[1]] = comment + code
            comment = ""
        at = end
    return found


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _end_of(text: str, at: int) -> int:
    """Past the function, declaration or use of a macro that begins here."""
    depth, i = 0, at
    while i < len(text):
        if text.startswith("/*", i):
            i = text.index("*/", i) + 2
            continue
        depth += (text[i] in "({[") - (text[i] in ")}]")
        if depth == 0 and text[i] == ";":
            return i + 1
        if depth == 0 and text[i] == "}" and text[i + 1 : i + 2] != ";" and not text.startswith("typedef", at):
            return i + 1
        if depth == 0 and text[i] == ")" and text[i + 1 : i + 2] == "\n" and text[i + 2 : i + 3] not in "{":
            return i + 1
        i += 1
    return len(text)


def closing(text: str, at: int) -> int:
    """The place of the parenthesis that closes the one at ``at``."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    raise ValueError(f"unbalanced parentheses in {text!r}")


def arguments(text: str) -> list[str]:
    """The arguments of a call, from what stands between its parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [" ".join(part.split()) for part in parts if part.strip()]


def split_comment(text: str) -> tuple[str, str]:
    """A definition's comment and its code."""
    if not text.startswith("/*"):
        return "", text
    end = text.index("*/") + 2
    return text[:end] + "\n", text[end:].lstrip("\n")


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
