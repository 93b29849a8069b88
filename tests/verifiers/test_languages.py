"""Programs in C++, C, JavaScript, Java, Go and Rust, where this machine has what runs them; else the tests skip."""

import pytest

from verifiers import CodeTests, parse_reference
from verifiers.sandbox.languages import OTHERS, build, java_classes, toolchain

REFERENCE = {
    "kind": "tests",
    "mode": "stdin",
    "tests": [{"input": "2 3\n", "output": "5\n"}, {"input": "10 -4\n", "output": "6\n"}],
    "time_limit": 3,
    "memory_limit_mb": 256,
}
# what a program does with a and b, by language; {} is where it stands
FRAMES = {
    "cpp": (
        "#include <fstream>\n#include <iostream>\n#include <string>\n#include <vector>\n"
        "#include <sys/socket.h>\n#include <unistd.h>\nusing namespace std;\n"
        "int main() {{ long long a, b; cin >> a >> b; {} }}"
    ),
    "c": (
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/socket.h>\n#include <unistd.h>\n"
        'int main(void) {{ long long a, b; scanf("%lld %lld", &a, &b); {} }}'
    ),
    "javascript": "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number);\n{}",
    "java": (
        "import java.util.*;\npublic class Sum {{\n"
        "  public static void main(String[] args) throws Exception {{\n"
        "    Scanner in = new Scanner(System.in); long a = in.nextLong(), b = in.nextLong(); {}\n  }}\n}}"
    ),
    "go": 'package main\nimport ("fmt"; "net"; "os")\nvar _ = net.Dial\nvar _ = os.Getpid\n'
    "func main() {{ var a, b int64; fmt.Scan(&a, &b); {} }}",
    "rust": (
        "#![allow(unused)]\nuse std::io::*;\nuse std::net::*;\nfn main() {{ let mut s = String::new(); "
        "stdin().read_to_string(&mut s).unwrap(); "
        "let v: Vec<i64> = s.split_whitespace().map(|w| w.parse().unwrap()).collect(); let (a, b) = (v[0], v[1]); {} }}"
    ),
}
PRINTS = {
    "cpp": "cout << {} << endl;",
    "c": 'printf("%lld\\n", {});',
    "javascript": "console.log({});",
    "java": "System.out.println({});",
    "go": "fmt.Println({})",
    "rust": 'println!("{{}}", {});',
}
LOOPS = dict.fromkeys(("cpp", "c", "javascript", "java"), "while (true) {}") | {"go": "for {}", "rust": "loop {}"}
LOOPS["c"] = "volatile int x = 1; while (x) {}"
LOOPS["cpp"] = "volatile int x = 1; while (x) {}"
LOOPS["java"] = "while (a != b - a * 7) {}"
HOGS = {
    "cpp": "vector<string> v; while (true) v.push_back(string(1 << 20, 'x'));",
    "c": "while (1) { char *p = malloc(1 << 20); if (!p) return 3; memset(p, 1, 1 << 20); }",
    "javascript": "const v = []; while (true) v.push(Buffer.alloc(1 << 20, 1));",
    "java": "List<byte[]> v = new ArrayList<>(); while (true) v.add(new byte[1 << 20]);",
    "go": "v := [][]byte{}; for { p := make([]byte, 1<<20); for i := range p { p[i] = 1 }; v = append(v, p) }",
    "rust": "let mut v = vec![]; loop { v.push(vec![1u8; 1 << 20]); }",
}
CONNECTED = {
    "cpp": "if (socket(AF_INET, SOCK_STREAM, 0) < 0) return 7;",
    "c": "if (socket(AF_INET, SOCK_STREAM, 0) < 0) return 7;",
    "javascript": "require('net').connect(9, '127.0.0.1').on('error', () => process.exit(7));",
    "java": "try { new java.net.ServerSocket(0); } catch (Exception e) { System.exit(7); }",
    "go": 'if _, e := net.Listen("tcp", "127.0.0.1:0"); e != nil { os.Exit(7) };',
    "rust": 'if TcpListener::bind("127.0.0.1:0").is_err() { std::process::exit(7); }',
}
READ = {
    "cpp": 'if (ifstream("/etc/passwd").good()) return 8;',
    "c": 'if (fopen("/etc/passwd", "r")) return 8;',
    "javascript": "if (require('fs').existsSync('/etc/passwd')) process.exit(8);",
    "java": 'if (new java.io.File("/etc/passwd").exists()) System.exit(8);',
    "go": 'if _, e := os.Stat("/etc/passwd"); e == nil { os.Exit(8) };',
    "rust": 'if std::fs::read("/etc/passwd").is_ok() { std::process::exit(8); }',
}
BROKEN = dict.fromkeys(("cpp", "c", "java"), "int x = ;") | {"go": "x := ", "rust": "let x = ;"}
EACH = pytest.mark.parametrize("language", OTHERS)
LIMITED = pytest.mark.parametrize(
    "language", [pytest.param(name, marks=pytest.mark.slow) if name in ("cpp", "rust") else name for name in OTHERS]
)
"""Of those that become programs of the machine's own, C stands for all: it compiles fastest."""


def program(language, body):
    return FRAMES[language].format(body)


def printing(language, value):
    return PRINTS[language].format(value)


def judged(language, source, **more):
    if toolchain(language) is None:
        pytest.skip(f"nothing here runs {language}")
    reference = parse_reference(REFERENCE | {"language": language} | more)
    return CodeTests().judge(f"<think>a</think>\n```{language}\n{source}\n```", reference)


@EACH
def test_a_right_program_passes(language):
    verdict = judged(language, program(language, printing(language, "a + b")))
    assert verdict.outcome == "pass", verdict.reason
    assert "passed 2 tests" in verdict.reason


@EACH
def test_a_wrong_program_fails(language):
    verdict = judged(language, program(language, printing(language, "a * b - 1")))
    assert verdict.outcome == "fail"
    assert "test 2 of 2: word 1 is '-41', not '6'" in verdict.reason


@LIMITED
def test_an_endless_loop_fails(language):
    verdict = judged(language, program(language, LOOPS[language]), time_limit=0.5)
    assert verdict.outcome == "fail"
    assert "more than 0.5 s of CPU time" in verdict.reason


@LIMITED
def test_too_much_memory_fails(language):
    verdict = judged(language, program(language, HOGS[language]), memory_limit_mb=64)
    assert verdict.outcome == "fail"
    assert "CPU" not in verdict.reason, verdict.reason


@LIMITED
def test_there_is_no_network_and_no_file_of_this_machine(language):
    verdict = judged(language, program(language, READ[language] + CONNECTED[language]))
    assert "ended with status 7" in verdict.reason, verdict.reason


@pytest.mark.parametrize("language", BROKEN)
def test_what_does_not_compile_fails_with_what_the_compiler_says(language):
    verdict = judged(language, program(language, BROKEN[language]))
    assert verdict.outcome == "fail"
    assert verdict.reason.startswith("it does not compile: "), verdict.reason
    assert "error" in verdict.reason or "main.go" in verdict.reason, verdict.reason


def test_a_script_that_cannot_be_read_fails():
    verdict = judged("javascript", "const x = ;")
    assert verdict.outcome == "fail"
    assert "ended with status 1" in verdict.reason


def test_a_compiler_cannot_be_led_out():
    for include in ("/etc/passwd", "/proc/1/environ", "/root/.bashrc"):
        verdict = judged("cpp", f'#include "{include}"\nint main() {{}}')
        assert verdict.reason.startswith("it does not compile: ended with status 1: main.cpp:1:10: fatal error"), (
            verdict
        )
        assert "No such file" in verdict.reason or "Permission" in verdict.reason


def test_a_program_that_includes_itself_does_not_compile():
    assert judged("cpp", '#include "main.cpp"\nint main() {}').reason.startswith("it does not compile: ")


def test_the_modes_that_call_python_are_refused():
    for mode in ("function", "asserts", "script"):
        row = {"args": [1], "expected": 1} if mode == "function" else "assert f(1) == 1"
        reference = {"kind": "tests", "language": "rust", "mode": mode, "tests": [row], "test": "x", "entry_point": "f"}
        verdict = CodeTests().judge("```rust\nfn main() {}\n```", parse_reference(reference))
        assert (verdict.outcome, verdict.cause) == ("unknown", "permanent")
        assert f"mode {mode} is for Python" in verdict.reason


JAVA = [
    ("public class Sum { public static void main(String[] a) {} }", "Sum", "Sum"),
    ("class Sum { public static void main(String[] a) {} }", None, "Sum"),
    ("import java.util.*;\n\npublic final class A { static void main(String[] a) {} }", "A", "A"),
    ("class Other {}\nclass Main { public static void main(String[] a) {} }", None, "Main"),
    ("class Main { public static void main(String[] a) {} }\nclass Other {}", None, "Main"),
    ("public class A { public static void main(String[] a) {} }\nclass B { int x; }", "A", "A"),
    ("public class A {}\nclass B { public static void main(String[] a) {} }", "A", "B"),
    ("public class A {\n    static class In { int x; }\n    public static void main(String[] a) {} }", "A", "A"),
    ("", None, "Main"),
    ("interface I {}", None, "Main"),
]


@pytest.mark.parametrize(("source", "public", "main"), JAVA)
def test_java_classes(source, public, main):
    assert java_classes(source) == (public, main)


PRINTER = "System.out.println(new java.util.Scanner(System.in).nextInt() + 3);"
JAVA_RUNS = [
    f"class A {{ public static void main(String[] a) {{ {PRINTER} }} }}",
    f"public class A {{\n    static class In {{ int x; }}\n    public static void main(String[] a) {{ {PRINTER} }} }}",
    f"interface I {{}}\npublic class A implements I {{ public static void main(String... a) {{ {PRINTER} }} }}",
]


@pytest.mark.parametrize("source", JAVA_RUNS)
def test_java_programs_may_name_their_classes_as_they_like(source):
    verdict = judged("java", source, tests=[{"input": "2", "output": "5"}])
    assert verdict.outcome == "pass", verdict.reason


def test_every_language_has_a_build():
    assert toolchain("python").language == "python"
    for language in OTHERS:
        if (tools := toolchain(language)) is not None:
            made = build(tools, "", 256)
            assert made.run
            assert tools.version
            assert bool(made.compile) == bool(made.made) == (language != "javascript")
