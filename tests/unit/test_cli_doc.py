"""docs/cli.md: the exit codes of the code, and the output of every command."""

import re

import pytest

from app.cli.exit_codes import MEANINGS, ExitCode
from app.cli.main import COMMANDS
from tools.cli_doc import DOCUMENT, format_codes, shorten_output, update_document

TEXT = DOCUMENT.read_text()


def test_document_has_the_exit_codes_of_the_code():
    assert set(MEANINGS) == set(ExitCode)
    assert format_codes() in TEXT


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"apply"}))
def test_document_shows_output_of_the_command(command):
    outputs = re.findall(rf"^\$ pluto {command}\b.*\n((?:(?!```).*\n)+)```", TEXT, re.MULTILINE)
    assert outputs


def test_block_gets_the_output_and_the_exit_code_of_its_command():
    updated = update_document("a\n```console\n$ pluto dance\nold\nlines\n```\nb\n```sh\n$ pluto\n```\n")
    assert updated.startswith("a\n```console\n$ pluto dance\nUsage: pluto ")
    assert updated.endswith("No such command 'dance'.\n(exit code 2)\n```\nb\n```sh\n$ pluto\n```\n")
    assert update_document(updated) == updated


def test_long_output_is_shortened():
    assert shorten_output("a  \n\nb\n\n") == "a\n\nb\n"
    assert shorten_output("x" * 200) == "x" * 160 + "…\n"
    assert shorten_output("x\n" * 40) == "x\n" * 30 + "...\n"
