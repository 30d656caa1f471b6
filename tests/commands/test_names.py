"""The commands by name; the names of before run the same commands and print the new name."""

import subprocess
import sys

import pytest

from tfbp.__main__ import COMMANDS, EARLIER_NAMES, main


def test_every_earlier_name_leads_to_a_command():
    assert set(EARLIER_NAMES.values()) <= set(COMMANDS)


def test_check_is_agree_and_says_so(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["check", "--help"])
    printed = capsys.readouterr()
    assert exit.value.code == 0
    assert "tfbp agree" in printed.out
    assert printed.err == "tfbp check is tfbp agree now.\n"


def test_python_m_tfbp_check_is_gradients_and_says_so():
    done = subprocess.run([sys.executable, "-m", "tfbp.check", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "tfbp gradients" in done.stdout
    assert done.stderr == "python -m tfbp.check is tfbp gradients now.\n"


def test_a_closed_pipe_ends_a_command_without_a_traceback():
    command = [
        sys.executable,
        "-c",
        "import tfbp.__main__ as m, sys, time; time.sleep(0.3); sys.exit(m.main(['--help']))",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (1, "")
