"""Functions that break the process they run in: the right element fails, with the right cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.support import FlowFile, counts, failed

Flows = Callable[..., FlowFile]

MISCHIEF = """
    import subprocess
    import threading

    wf = Workflow("mischief")

    class Odd:
        pass

    DEEDS = [
        "nothing", "kill", "exit", "raise", "leave", "shout", "wander", "unstorable", "memory",
        "deep", "close", "shut", "children", "threads", "handlers", "stdout", "fork", "group",
        "odd_error", "nothing_again",
    ]

    def deep(n: int) -> int:
        return deep(n + 1)

    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    @wf.job()
    def deeds() -> list[str]:
        return DEEDS

    @wf.job(array=True)
    def do(deed: Annotated[str, Result(step="deeds")]) -> object:
        did(deed)
        print("before", deed, flush=True)
        if Path("{here}/behave").exists():
            return deed
        if deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif deed == "exit":
            os._exit(3)
        elif deed == "raise":
            raise ValueError("as it must be")
        elif deed == "leave":
            sys.exit("leaving")
        elif deed == "shout":
            for _ in range(100):
                sys.stdout.write("x" * 1_000_000)
        elif deed == "wander":
            os.chdir("/")
        elif deed == "unstorable":
            return {"odd": Odd()}
        elif deed == "memory":
            raise MemoryError("all gone")
        elif deed == "deep":
            return deep(0)
        elif deed == "close":
            for descriptor in range(3):
                os.close(descriptor)
        elif deed == "shut":
            sys.stdout.close()
            sys.stderr.close()
        elif deed == "children":
            subprocess.Popen(["sleep", "1000"])
        elif deed == "threads":
            threading.Thread(target=time.sleep, args=(1000,)).start()
        elif deed == "handlers":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        elif deed == "stdout":
            sys.stdout = sys.stderr = None
        elif deed == "fork":
            if os.fork() == 0:
                return "the child comes back as well"
        elif deed == "group":
            os.killpg(0, signal.SIGKILL)
        elif deed == "odd_error":
            raise OddError
        elif deed.startswith("nothing"):
            assert os.getcwd() == "{here}"
            print("seen")
        return deed

    @wf.job()
    def gathered(deeds: Annotated[list[object], Result(step="do")]) -> int:
        return len(deeds)
"""

FAILURES = {
    "kill": ("SIGNAL", "SIGKILL"),
    "exit": ("EXIT_CODE", "3"),
    "raise": ("ERROR", "ValueError: as it must be"),
    "leave": ("ERROR", "SystemExit: leaving"),
    "unstorable": ("ERROR", "Odd"),
    "memory": ("MEMORY", "all gone"),
    "deep": ("ERROR", "RecursionError"),
    "group": ("SIGNAL", "SIGKILL"),
    "odd_error": ("ERROR", "OddError"),
}


@pytest.mark.parametrize("way", ["pool", "background"])
def test_each_mischief_costs_its_own_element_and_no_other(
    flow_file: Flows, tmp_path: Path, way: str
) -> None:
    flow = flow_file(MISCHIEF)
    run = flow.run(way)
    deeds = run.result("deeds")
    assert run.state == "FAILED"
    found = {deeds[index]: why for (_, index), why in failed(run).items()}
    assert {deed: cause for deed, (cause, _) in found.items()} == {
        deed: cause for deed, (cause, _) in FAILURES.items()
    }
    for deed, (_, said) in FAILURES.items():
        assert said in found[deed][1], found[deed]
    assert counts(run, "do") == {"FAILED": len(FAILURES), "SUCCESS": len(deeds) - len(FAILURES)}
    assert counts(run, "gathered") == {"SKIPPED": 1}
    logs = {deed: run.log_path("do", index) for index, deed in enumerate(deeds)}
    for deed, path in logs.items():
        assert path.read_text().startswith(f"before {deed}\n"), deed
    assert logs["nothing_again"].read_text() == "before nothing_again\nseen\n"
    assert "as it must be" in logs["raise"].read_text()
    assert logs["shout"].stat().st_size == len("before shout\n") + 100_000_000
    # Mended, the run completes, and what had succeeded is left alone.
    logs["shout"].unlink()
    flow.forget()
    (tmp_path / "behave").touch()
    assert run.retry() == len(FAILURES) + 1
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("do") == [
        deed if deed != "fork" else run.result("do")[index] for index, deed in enumerate(deeds)
    ]
    assert flow.deeds == dict.fromkeys(FAILURES, 1)
