"""How long functions and files are: the code keeps to it, and each shape of a function is found and counted."""

import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import lengths  # noqa: E402

BODY = "  f();\n" * 69


class Lengths(unittest.TestCase):
    def test_the_code_keeps_to_them(self):
        if not (ROOT / ".git").exists():
            self.skipTest("not a checkout: the files are not listed")
        found = subprocess.run([sys.executable, ROOT / "scripts/lengths.py", "--check"], capture_output=True, text=True)
        self.assertEqual((found.returncode, found.stdout, found.stderr), (0, "", ""))

    def test_without_check_the_longest_are_printed(self):
        if not (ROOT / ".git").exists():
            self.skipTest("not a checkout: the files are not listed")
        found = subprocess.run([sys.executable, ROOT / "scripts/lengths.py"], capture_output=True, text=True)
        self.assertEqual((found.returncode, found.stderr), (0, ""))
        self.assertRegex(found.stdout, r"^( *\d+  \S.*\n){10}\n( *\d+  \S+\n){10}$")

    def test_a_function_of_71_lines_is_a_fault_and_one_of_70_is_none(self):
        long = "void g() {\n" + BODY + "}\n"
        just = long.replace("  f();\n", "", 1)
        self.assertEqual(lengths.too_long({"engine/a.cpp": just, "apps/b.cpp": "\n// g\n" + long}),
                         ["apps/b.cpp:3: g has 71 lines, more than 70"])

    def test_a_file_of_501_lines_is_a_fault_and_one_of_500_is_none(self):
        self.assertEqual(lengths.too_long({"engine/a.h": "\n" * 500, "tests/b.h": "\n" * 501}),
                         ["tests/b.h: 501 lines, more than 500"])

    def test_a_line_of_111_characters_is_a_fault_and_one_of_110_is_none(self):
        self.assertEqual(lengths.too_long({"engine/a.h": "// " + 107 * "ä" + "\n", "tests/b.h": "\n// " + 108 * "b"}),
                         ["tests/b.h:2: 111 characters, more than 110"])

    def test_the_tests_functions_are_free(self):
        self.assertEqual(lengths.too_long({"tests/test_a.cpp": 'TEST_CASE("a") {\n' + BODY + "}\n"}), [])

    def finds(self, head, name, before="", after=""):
        """A function of this head, with a body of 69 lines, is the only one found, with all lines of its head counted."""
        source = before + head + " {\n" + BODY + "}\n" + after
        self.assertEqual(lengths.functions(source), [(name, before.count("\n") + 1, head.count("\n") + 71)])

    def test_functions_of_every_head(self):
        for head, name in [
                ("int g()", "g"),
                ("static inline const std::vector<int>& g(int a, std::map<int, int> b = {{1, 2}}) noexcept(true)", "g"),
                ("auto Place::g(int a) const\n    -> decltype(a)", "Place::g"),
                ("template <class T, int N = (1 < 2)>\n  requires std::integral<T>\nT g(T (&to)[N])", "g"),
                ("template <class... T>\nvoid g(T&&... all) requires (sizeof...(T) > 1)", "g"),
                ('extern "C" int g(void)', "g"),
                ("[[nodiscard]] __attribute__((noinline)) int g()", "g"),
                ("template <int N>\n__global__ void __launch_bounds__(kThreads, 2)\n    g(float* __restrict__ a)", "g"),
                ("__device__ __forceinline__ double g(const double (&values)[4])", "g"),
                ("struct Place* g(struct Place* p)", "g"),
                ("enum Kind Place::g() const&", "Place::g"),
                ("Place::Place()", "Place::Place"),
                ("Place::Place(int a)\n    : Base<int>{a}, b_(a), c_{{1, 2}, f({3})}, d_(a)", "Place::Place"),
                ("template <class... B>\nPlace<B...>::Place(B... b) : B(b)...", "Place::Place"),
                ("Place::~Place()", "Place::~Place"),
                ("Place& Place::operator=(const Place& other)", "Place::operator="),
                ("bool operator==(const Place& a, const Place& b)", "operator=="),
                ("bool operator<(const Place& a, const Place& b)", "operator<"),
                ("int Place::operator()(int a) const", "Place::operator()"),
                ("double operator\"\"_m(long double a)", 'operator""_m'),
                ("Place::operator std::vector<int>() const", "operator std::vector"),
                ('TEST_CASE("a { b")', "TEST_CASE"),
                ("int main(int argc, char** argv) try", "main")]:
            with self.subTest(head):
                self.finds(head, name)

    def test_functions_in_every_place(self):
        for before, after in [
                ("namespace a::b {\nnamespace {\n", "}\n}\n"),
                ("inline namespace v1 {\n", "}\n"),
                ('extern "C" {\n', "}\n"),
                ("class A final : public B<int (*)(int)> {\n public:\n", "};\n"),
                ("template <class T>\nstruct A<T, decltype(f())> {\n  int b[2] = {1, 2}, c{3};\n", "} a = {1};\n"),
                ("struct alignas(16) A {\n  struct B {\n    enum { kC };\n", "  };\n};\n"),
                ("class A {\n  int n_ = 0;\n\n private:\n  // of a\n", "};\n"),
                ("#define OPEN {\nusing A = int;\nint a;\n", "int b = f({1});\n"),
                ("constexpr int kA = 1'000, kB = '{' + '\\'';\n", ""),
                ('const char* a = "{\\"{", *b = R"x({)")x";  // {\n/* {\n*/\n', "")]:
            with self.subTest(before):
                self.finds("void g()", "g", before, after)

    def test_a_lambda_in_a_variable_or_a_table_is_a_function(self):
        self.finds("const auto g = [](int a) mutable -> int", "g", after=";\n")
        self.finds("const auto g = [&a, b = c{1}]", "g", after=";\n")
        self.finds('    {"b", f(1, [](A& a) -> auto&', "a lambda", 'const Row kRows[] = {{"a", {}},\n', ")}};\n")

    def test_what_is_inside_a_function_is_a_part_of_it(self):
        source = "void g() {\n  struct A {\n    void h() {}\n  };\n  const auto l = [] {\n  };\n}\nint h() { return 1; }\n"
        self.assertEqual(lengths.functions(source), [("g", 1, 7), ("h", 8, 1)])

    def test_what_is_no_function_is_not_counted(self):
        for source in [
                "namespace a {\n" + "int b();\n" * 80 + "}\n",
                "class A : public B<int (*)(int)> {\n" + "  int b(int a = f({1}));\n" * 80 + "};\n",
                "struct A {\n" + "  int b{1};\n" * 80 + "};\n",
                "union A {\n" + "  int b;\n" * 80 + "};\n",
                "enum class A : int {\n" + "  kB,\n" * 80 + "};\n",
                "constexpr Row kRows[] = {\n" + '    {"a", f(1), {2}},\n' * 80 + "};\n",
                "const std::map<int, std::function<int(int)>> rows{\n" + "    {1, f},\n" * 80 + "};\n",
                "std::array<int, f(2)> rows{\n" + "    1,\n" * 80 + "};\n",
                "int rows[]{\n" + "    1,\n" * 80 + "};\n",
                "auto a = f(A{\n" + "    1,\n" * 80 + "});\n",
                "#define A(x) \\\n  void g() { \\\n" + "    x; \\\n" * 80 + "  }\n",
                "// void g() {\n" + "// f();\n" * 80 + "// }\n"]:
            with self.subTest(source[:40]):
                self.assertEqual(lengths.functions(source), [])

    def test_brackets_that_do_not_pair_are_a_fault(self):
        self.assertEqual(lengths.too_long({"engine/a.h": "void f() {\n", "engine/b.h": "void f() {\n  (}\n"}),
                         ["engine/a.h: a bracket is not closed", "engine/b.h: line 2: no bracket that '}' closes"])


if __name__ == "__main__":
    unittest.main()
