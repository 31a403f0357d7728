"""Build the two parts of the wheel that are not Python: the Rust core and the web UI.

Each part is built when its tool is installed and skipped when it is not: without cargo
airis runs its slower reference kernels, without npm it serves no web UI. Set AIRIS_BUILD=full
(releases, CI) to turn a skipped part into an error, AIRIS_BUILD=python to build neither.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = {"darwin": "lib_core.dylib", "win32": "_core.dll"}.get(sys.platform, "lib_core.so")
MODULE = "_core.pyd" if sys.platform == "win32" else "_core.abi3.so"


class AirisBuildHook(BuildHookInterface[Any]):
    """Put what was built inside ``src/airis``, where an editable install finds it too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build both parts and tag the wheel for this platform if it holds the Rust core."""
        package = Path(self.root, "src", "airis")
        if not (package / "receivers").is_dir():
            sys.exit("airis: src/airis/receivers is not a folder; this copy lost its symbolic links, clone it with git")
        if self.build_core(package / MODULE):
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data.update(pure_python=False, tag=f"cp311-abi3-{platform}")
        self.build_web(package / "ui")

    def build_core(self, module: Path) -> bool:
        """Compile ``rust/`` to the module ``airis._core``."""
        module.unlink(missing_ok=True)
        if self.run("cargo", "build", "--release", "--locked", folder="rust", lost="the slower reference kernels"):
            shutil.copy2(Path(self.root, "rust/target/release", LIBRARY), module)
            return True
        return False

    def build_web(self, ui: Path) -> bool:
        """Bundle ``web/`` into ``airis/ui`` unless a bundle is already there."""
        lost = "no web UI"
        return (
            ui.is_dir()
            or not Path(self.root, "web").is_dir()
            or (
                self.run("npm", "ci", folder="web", lost=lost)
                and self.run("npm", "run", "build", folder="web", lost=lost)
            )
        )

    def run(self, tool: str, *args: str, folder: str, lost: str) -> bool:
        """Run a build tool and return whether it did its work."""
        mode = os.environ.get("AIRIS_BUILD", "auto")
        path = shutil.which(tool) if mode != "python" else None
        if path and subprocess.run([path, *args], cwd=Path(self.root, folder)).returncode == 0:
            return True
        notice = f"airis: {tool} {'failed' if path else 'not run'} in {folder}/; installing with {lost}"
        if mode == "full":
            sys.exit(notice)
        self.app.display_warning(notice)
        return False
