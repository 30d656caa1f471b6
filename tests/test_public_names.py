"""The names of `import tfbp`, before anything else is imported."""

import subprocess
import sys

import pytest

import tfbp


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_dir_and_all_are_the_public_names():
    assert dir(tfbp) == sorted(tfbp.__all__)
    assert {"Model", "Network", "Dense", "InputError", "manual", "layers", "training"} <= set(dir(tfbp))
    assert all(getattr(tfbp, name) is not None for name in tfbp.__all__)
    with pytest.raises(AttributeError, match="module 'tfbp' has no attribute 'nothing'"):
        tfbp.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    heavy = "tensorflow", "keras", "scipy", "sklearn", "rich", "matplotlib", "tensorboard"
    assert run(f"import sys, tfbp; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_a_module_is_there_without_its_own_import_and_without_what_only_the_commands_need():
    code = "import sys; sys.modules.update(sklearn=None, matplotlib=None); import tfbp"
    named = "print(tfbp.manual.loss_and_gradients.__name__); import tfbp.agreement.matrix"
    found = run(f"{code}; {named}; print(all(getattr(tfbp, name) is not None for name in tfbp.__all__))")
    assert found.split() == ["loss_and_gradients", "True"]


def test_a_command_says_what_it_needs():
    code = "import sys; sys.modules['rich'] = None; from tfbp.__main__ import main; sys.exit(main(['train']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "packages: got no rich; accepted: an installation of 'tfbp[scripts]'.\n"
