"""Run every command, whatever becomes of the others; at the end the time of each and all that failed.

python .ci/every.py COMMAND…    each in one argument, for the shell; the status is 1 where one of them failed
"""

import re
import subprocess
import sys
import time

# of pytest's summary
FAILED = re.compile(r"^(?:FAILED|ERROR) .*", re.MULTILINE)


def main(commands: list[str]) -> int:
    failures, start = [], time.monotonic()
    for command in commands:
        print(f"\n$ {command}", flush=True)
        began, said = time.monotonic(), []
        with subprocess.Popen(
            command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as running:
            for line in running.stdout:
                print(line, end="", flush=True)
                said.append(line)
        print(f"{time.monotonic() - began:.0f} s", flush=True)
        if running.returncode:
            failures.append((command, FAILED.findall("".join(said))))
    print(f"\n{len(commands) - len(failures)} of {len(commands)} parts passed, in {time.monotonic() - start:.0f} s.")
    for command, tests in failures:
        print("\n".join([f"Failed: {command}", *(f"  {test}" for test in tests)]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
