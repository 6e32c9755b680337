#!/usr/bin/env python3
"""How long functions, files and lines are: functions have at most 70 lines, files at most 500, lines at most 110 characters.

    scripts/lengths.py            print the ten longest functions and the ten longest files
    scripts/lengths.py --check    print what is longer than allowed and end with 1, or nothing and 0

A function is counted from the first line of its head (its template's, if it has one) to its closing brace, as scripts/format
leaves it; what is inside it, lambdas and local classes, is a part of it. The tests' functions are free: one test case says one
thing, however long. This is no compiler: it reads brackets and the words before them. A test runs it."""

import re
import sys

import sources

MAX_FUNCTION, MAX_FILE, MAX_LINE = 70, 500, 110
PLACES = ("engine/", "kernels/", "apps/", "profiling/", "tests/")
FREE_FUNCTIONS = ("tests/",)

# What holds brackets and words that are not the code's: each alternative begins where only it can.
NOT_CODE = re.compile(r'''
      (?P<number>\b[0-9](?:'?[\w.])*)                            # 1'000 begins no character
    | ^[ \t]*\#(?:\\\n|[^\n])*                                   # the preprocessor's lines
    | //[^\n]* | /\*.*?\*/
    | (?P<quoted>R"(?P<end>[^()\s\\"]*)\(.*?\)(?P=end)" | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])+')
    ''', re.M | re.S | re.X)

BRACKETS = re.compile(r"[()\[\]{},;]")
CLOSES = {")": "(", "]": "[", "}": "{"}

# What is before a head in its place.
BEFORE = re.compile(r"\s*(?:(?:public|private|protected)\s*:\s*)*")
OPERATOR = re.compile(r"\boperator\s*(?:\(\s*\)|\"\s*\"\s*\w+|[^\w\s(]+)")

# Of heads that plain() has been over: "`" is a pair of parentheses, "$" one of braces, "@" an arrow.
AFTER_PARAMETERS = (r"(?:\s|const\b|volatile\b|mutable\b|constexpr\b|override\b|final\b|try\b|noexcept\b(?:\s*`)?|&|\[\[[^\]]*\]\])*"
                    r"(?:@.*|requires\b.*)?")
FUNCTION = re.compile(rf"(?P<name>operator\b[^`]*?|[\w:~]+)\s*`{AFTER_PARAMETERS}(?P<members>(?<!:):(?!:).*)?", re.S)
LAMBDA = re.compile(rf"(?:^|[=(,?:&|!]|\breturn)\s*\[[^\[\]]*\]\s*`?{AFTER_PARAMETERS}$", re.S)
NAMESPACE = re.compile(r"(?:inline\s+)?namespace\b|extern\s*\"\s*\"$")
TYPE = re.compile(r"(?:(?:typedef|static|inline|constexpr|const|friend)\s+)*(?:class|struct|union|enum)\b(?P<rest>.*)", re.S)


def code_of(text):
    """The text with comments, preprocessor lines and the insides of literals blank; every character keeps its place."""
    def blank(found):
        if found["number"]:
            return found[0]
        spaces = re.sub(r"[^\n]", " ", found[0])
        return '"' + spaces[1:-1] + '"' if found["quoted"] else spaces
    return NOT_CODE.sub(blank, text)


def plain(head):
    """A head with a sign for each pair of parentheses or braces and each arrow, and without templates' arguments."""
    head = OPERATOR.sub("operator_", head).replace("->", "@")
    for inner, sign in (r"\([^(){}]*\)|\{[^(){}]*\}", lambda pair: "`" if pair[0][0] == "(" else "$"), (r"<[^<>]*>", ""):
        found = 1
        while found:
            head, found = re.subn(inner, sign, head)
    head = re.sub(r"\b(?:alignas|__align__|__attribute__|__declspec)\s*`", " ", head)
    return re.sub(r"^\s*(?:(?:template\b|\[\[[^\]]*\]\])\s*)+", "", head).strip()


def opened_by(head):
    """What a brace after this head opens: ("scope" | "function" | "value", the function's name or None)."""
    operator = OPERATOR.search(head)
    head = plain(head)
    if NAMESPACE.match(head):
        return "scope", None
    kind = TYPE.match(head)
    if kind and "`" not in re.split(r"(?<!:):(?!:)", kind["rest"])[0]:  # before its bases
        return "scope", None
    if LAMBDA.search(head):
        named = re.search(r"(\w+)\s*=", head)
        return "function", named[1] if named else "a lambda"
    if "=" in head:
        return "value", None
    for start in re.finditer(r"operator\b|[\w:~]+(?=\s*`)", head):
        found = FUNCTION.fullmatch(head, start.start())
        if not found:
            continue
        # After the colon of a constructor a brace that follows a name is that member's, not the body's.
        if found["members"] and not found["members"].rstrip().endswith(("`", "$", "...")):
            return "value", None
        return "function", " ".join(found["name"].split()).replace("operator_", operator[0] if operator else "")
    return "value", None


def functions(text):
    """[(name, first line, number of lines)] of the functions that are in no other. ValueError: brackets do not pair."""
    code = code_of(text)

    def line_of(at):
        return code.count("\n", 0, at) + 1

    found, inside = [], None  # inside: (name, first line, depth) of the function that is being read
    stack = [["scope", 0, ""]]  # of brackets: what it holds, where the head that is being read in it begins, the sign
    for bracket in BRACKETS.finditer(code):
        sign, at = bracket[0], bracket.start()
        holds, begin, _ = stack[-1]
        if sign in "([":
            stack.append(["value", at + 1, sign])
        elif sign == "{":
            opens, name = "value", None
            if inside is None:
                begin = BEFORE.match(code, begin).end()
                opens, name = opened_by(code[begin:at])
                if opens == "function":
                    inside = name, line_of(begin), len(stack)
            stack.append([opens, at + 1, sign])
        elif sign in CLOSES:
            if stack.pop()[2] != CLOSES[sign]:
                raise ValueError(f"line {line_of(at)}: no bracket that '{sign}' closes")
            if inside and inside[2] == len(stack):
                found.append((inside[0], inside[1], line_of(at) + 1 - inside[1]))
                inside = None
            if holds != "value" and stack[-1][0] == "scope":
                stack[-1][1] = at + 1
        elif sign == ";" or holds == "value":
            stack[-1][1] = at + 1
    if len(stack) != 1:
        raise ValueError("a bracket is not closed")
    return found


def measure(texts):
    """({file: number of lines}, [(file, line, function, number of lines)], [faults]) of {file: text}."""
    files, measured, faults = {}, [], []
    for file, text in sorted(texts.items()):
        files[file] = len(text.splitlines())
        if file.startswith(FREE_FUNCTIONS):
            continue
        try:
            measured += [(file, line, name, count) for name, line, count in functions(text)]
        except ValueError as error:
            faults.append(f"{file}: {error}")
    return files, measured, faults


def too_long(texts):
    """What is longer than allowed or cannot be read, one line each."""
    files, measured, faults = measure(texts)
    faults += [f"{file}:{line}: {name} has {count} lines, more than {MAX_FUNCTION}"
               for file, line, name, count in measured if count > MAX_FUNCTION]
    faults += [f"{file}: {count} lines, more than {MAX_FILE}" for file, count in files.items() if count > MAX_FILE]
    faults += [f"{file}:{number}: {len(line)} characters, more than {MAX_LINE}"
               for file, text in texts.items() for number, line in enumerate(text.splitlines(), 1) if len(line) > MAX_LINE]
    return sorted(faults)


def main(arguments):
    checked = {file: text for file, text in sources.tracked().items() if file.startswith(PLACES)}
    if arguments == ["--check"]:
        lines = too_long(checked)
        print("\n".join(lines), end="\n" if lines else "")
        return 1 if lines else 0
    files, measured, _ = measure(checked)
    for file, line, name, count in sorted(measured, key=lambda row: -row[3])[:10]:
        print(f"{count:4}  {name}  {file}:{line}")
    print()
    for file, count in sorted(files.items(), key=lambda row: -row[1])[:10]:
        print(f"{count:4}  {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
