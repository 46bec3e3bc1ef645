"Each `##` section of a notebook is one pytest item; its code cells run in order in one shell per notebook."
import os

# before torch is imported; no test needs a network
os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import pytest
from execnb.shell import CaptureShell
from fastcore.xtras import working_directory
from nbdev.config import get_config
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor


def pytest_addoption(parser):
    parser.addoption("--flags", default="", help="nbdev test flags to force on: --flags 'slow cuda'")

def pytest_collection_modifyitems(items):
    # five minutes in one file: started last, it would be waited for alone
    items.sort(key=lambda item: item.path.name != "experiments.ipynb")

def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".ipynb" and not file_path.name.startswith("_"):
        return Notebook.from_parent(parent, path=file_path)

class Notebook(pytest.File):
    def collect(self):
        nb = NBProcessor(self.path, procs=FrontmatterProc, process=True).nb
        if str(getattr(nb, "frontmatter_", {}).get("skip_exec", "")).lower() == "true": return
        forced = set(self.config.getoption("--flags").split())
        skip = set(get_config(path=self.path.parent).tst_flags.split()) - forced
        self.shell, self.broken, title, cells = None, None, "setup", []
        for c in nb.cells:
            if c.cell_type == "markdown" and c.source.startswith("## "):
                if cells: yield Section.from_parent(self, name=title, cells=cells)
                title, cells = c.source.splitlines()[0][3:].strip(), []
            d = getattr(c, "directives_", {}) or {}
            off = skip & d.keys() or d.get("eval:", [""])[0].lower() == "false" or "nbdev_export(" in c.source
            if c.cell_type == "code" and not off: cells.append(c)
        if cells: yield Section.from_parent(self, name=title, cells=cells)

class Section(pytest.Item):
    def __init__(self, cells, **kw):
        super().__init__(**kw)
        self.cells = cells
    def runtest(self):
        nb = self.parent
        if nb.broken: pytest.skip(f"'{nb.broken}' failed first")
        if nb.shell is None:
            os.environ["IN_TEST"] = "1"
            nb.shell = CaptureShell(self.path)
        with working_directory(self.path.parent):
            for c in self.cells:
                nb.shell.cell(c)
                if nb.shell.exc:
                    nb.broken = self.name
                    raise CellFailed(nb.shell.prettytb(self.path))
    def repr_failure(self, e):
        return str(e.value) if isinstance(e.value, CellFailed) else super().repr_failure(e)
    def reportinfo(self): return self.path, 0, self.name

class CellFailed(Exception): "A cell raised."
