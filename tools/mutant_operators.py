"""The mutants of a module: cosmic-ray's operators, two of our own, and where none is wanted."""

import difflib
import fnmatch
import re

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.operators.operator import Example, Operator

NAMES = ("__all__", "__version__")


class DropOperand(Operator):
    """a + b → b, a + b → a: a term, a factor or a condition that goes missing."""

    def mutation_positions(self, node):
        if node.type in ("arith_expr", "term", "and_test", "or_test"):
            for operand in node.children[::2]:
                yield operand.start_pos, operand.end_pos

    def mutate(self, node, index):
        prefix = node.get_first_leaf().prefix
        del node.children[max(0, 2 * index - 1) : 2 * index + 1 + (not index)]
        node.get_first_leaf().prefix = prefix
        return node

    @classmethod
    def examples(cls):
        return [Example("a + b - c", code, i) for i, code in enumerate(("b - c", "a - c", "a + b"))]


class DropKeyword(Operator):
    """f(a, b=c) → f(a): an argument that is not handed on."""

    def mutation_positions(self, node):
        for argument in self._keywords(node):
            yield argument.start_pos, argument.end_pos

    def mutate(self, node, index):
        place = node.children.index(self._keywords(node)[index])
        alone = node.type == "trailer"
        first = place - (not alone and place == len(node.children) - 1)  # else the comma after it
        prefix = node.children[place].get_first_leaf().prefix
        del node.children[first : first + 2 - alone]
        if place < len(node.children):  # its line is left as it was
            node.children[place].get_first_leaf().prefix = "" if alone else prefix
        return node

    @staticmethod
    def _keywords(node):
        if node.type not in ("arglist", "trailer"):
            return []
        arguments = (c for c in node.children if c.type == "argument")
        return [c for c in arguments if getattr(c.children[1], "value", "") == "="]  # or *args

    @classmethod
    def examples(cls):
        cases = (("f(a, b=c)", "f(a)"), ("f(a=1, b=2)", "f(b=2)"), ("f(a=1)", "f()"))
        return [Example(*case) for case in cases]


OWN = {f"own/{operator.__name__}": operator for operator in (DropOperand, DropKeyword)}


def unwanted(node):
    """In an annotation, an error's message or `__all__`; a star that is no product; `abstract`."""
    if node.type == "decorator" and "abstractmethod" in node.get_code():
        return True
    inner = node
    while (outer := inner.parent) is not None:
        if (
            outer.type in ("raise_stmt", "assert_stmt")
            or (outer.type in ("parameters", "dictorsetmaker") and inner.type == "operator")
            or (outer.type == "tfpdef" and inner is outer.children[2])
            or (outer.type == "annassign" and inner is outer.children[1])
            or (outer.type == "funcdef" and inner is outer.annotation)
            or (outer.type == "expr_stmt" and outer.get_first_leaf().value in NAMES)
        ):
            return True
        inner = outer
    return False


def mutants_of(module, source, patterns):
    """Every place where one of the operators applies."""
    found = {name: plugins.get_operator(name) for name in plugins.operator_names()} | OWN
    wanted = re.compile("|".join(map(fnmatch.translate, patterns)))
    nodes = list(ast_nodes(get_ast(source)))
    for name in sorted(n for n in found if wanted.match(n) and not found[n].arguments()):
        operator = found[name]()
        places = ((n, start) for n in nodes for start, _ in operator.mutation_positions(n))
        for occurrence, (node, (line, _)) in enumerate(places):
            statement = node.search_ancestor("simple_stmt") or node
            lines = min(line, statement.start_pos[0]), max(line, statement.end_pos[0])
            if not unwanted(node):
                yield module, name, occurrence, operator, line, lines


def difference(before, after):
    """The lines that differ, with + and −."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    changed = [line for line in list(lines)[2:] if line[0] in "+-" and line[1:].strip()]
    return [f"{line[0]} {line[1:].strip()}" for line in changed]


def equivalents(path):
    """{(module, operator, *diff)} of a file of paragraphs: "module operator", diff, reason."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    paragraphs = [p.splitlines() for p in text.split("\n\n") if p and p[0] != "#"]
    return {(*p[0].split(), *(s for s in p[1:] if s[:2] in ("+ ", "- "))) for p in paragraphs}
