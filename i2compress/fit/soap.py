"""SOAP (Vyas et al. 2024), of pytorch-optimizer, with its small decompositions on the CPU."""

from typing import Any, cast

from pytorch_optimizer import SOAP
from torch import Tensor


class Soap(SOAP):
    """SOAP whose eigenvectors and QR of matrices of a few dozen rows are found on copies on the CPU.

    MPS has neither, and elsewhere they cost more than the copies.
    """

    largest = 256  # rows; eigenvectors and QR of larger matrices are left to a GPU, which is faster there

    @classmethod
    def get_orthogonal_matrix(cls, mat: Any) -> list[Tensor]:
        """See SOAP: the first bases."""
        return _moved(SOAP.get_orthogonal_matrix(cast(Any, _copies(mat, cls.largest))), mat)

    def get_orthogonal_matrix_qr(self, state: dict[str, Any], *args: Any, **kwargs: Any) -> list[Tensor]:
        """See SOAP: the next bases, and `exp_avg_sq` in their order."""
        there, matrices = state["exp_avg_sq"], _copies(state["GG"], self.largest)
        device = next((matrix.device for matrix in matrices if len(matrix)), there.device)
        copies = {**state, "exp_avg_sq": there.to(device), "GG": matrices, "Q": _moved(state["Q"], matrices)}
        bases = super().get_orthogonal_matrix_qr(copies, *args, **kwargs)
        state["exp_avg_sq"] = copies["exp_avg_sq"].to(there.device)
        return _moved(bases, state["GG"])


def _copies(matrices: list[Tensor], largest: int) -> list[Tensor]:
    """On the CPU, all of them or none; an empty list stands for the identity."""
    present = [matrix for matrix in matrices if len(matrix)]
    if any(matrix.device.type != "mps" and len(matrix) > largest for matrix in present):
        return matrices
    return [matrix.cpu() if len(matrix) else matrix for matrix in matrices]


def _moved(matrices: list[Tensor], like: list[Tensor]) -> list[Tensor]:
    return [matrix.to(other.device) if len(matrix) else matrix for matrix, other in zip(matrices, like, strict=True)]
