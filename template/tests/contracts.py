"""The rule between slices, as a contract of import-linter: it holds for a slice that nobody has written yet."""

from collections.abc import Sequence
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.application import contract_utils
from importlinter.domain.imports import ImportExpression


class SlicesContract(Contract):
    """A slice imports of another slice only what its `__init__` names, and the kernel imports no slice.

    A slice is a package directly below `package`; the modules beside the slices are the kernel.
    """

    type_name = "slices"

    package = fields.StringField()
    ignore_imports = fields.SetField(subfield=fields.ImportExpressionField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        ignored = cast("Sequence[ImportExpression] | None", self.ignore_imports)
        contract_utils.remove_ignored_imports_and_report(graph, ignored, contract_utils.AlertLevel.ERROR)
        slices = {child for child in graph.find_children(str(self.package)) if graph.find_children(child)}
        owner = {module: name for name in slices for module in (name, *graph.find_descendants(name))}
        broken = [
            f"{importer} imports {module}"
            for module, name in sorted(owner.items())
            for importer in sorted(graph.find_modules_that_directly_import(module))
            if owner.get(importer) != name and (module != name or importer not in owner)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["broken"]:
            output.print_error(f"- {line}")
