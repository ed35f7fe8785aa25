"""Previews of several stacks by a real engine from one process: python previews.py PROJECT STACK...

The engine calls the project's own entry file here instead of starting a Python for each stack, since importing the
provider's package takes longer than the rest of the program. Prints a JSON object a line: the stack, and how many
resources the engine would do what with, or what it said.
"""

import json
import runpy
import sys
from pathlib import Path

from pulumi import automation

project = Path(sys.argv[1])
sys.path.insert(0, str(project))
for name in sys.argv[2:]:
    stack = automation.create_or_select_stack(
        stack_name=name,
        project_name="breakeven",
        program=lambda: runpy.run_path(str(project / "__main__.py")),
        opts=automation.LocalWorkspaceOptions(work_dir=str(project)),
    )
    try:
        found: object = stack.preview().change_summary
    except automation.CommandError as error:
        found = str(error)
    print(json.dumps({"stack": name, "found": found}), flush=True)
