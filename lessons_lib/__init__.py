"""The library behind the lessons "Compare DPO, IPO, KTO, ORPO and SimPO".

Start with `losses` (five pure functions) and `methods` (their facts in one table). Importing this
package imports nothing else: each module pays for itself.
"""

import os

__version__ = "0.1.0"
COMMAND = "lessons-lib"  # how this library's command is called in what it prints

# Threads that spin while they wait slow each other down on a busy machine. PyTorch reads this once, when it loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
