"""What the header of a plane says of its field, in words and as data, without numpy."""

from ..header import FIELDS, PYRAMIDS, Header
from ..kinds import Kind
from ..records import Json


def describe_field(header: Header) -> str:
    """The field; the start of one that begins at one; of a coordinate field its sizes, and whether its fixed point is reached."""
    if header.field in PYRAMIDS:
        start = "" if not header.prior or header.kind != Kind.IMAGE else f" from start {_named(header.prior)}"
        return FIELDS[header.field] + start
    from ..field.coordinate_file import CoordinateFile, describe

    return f"{FIELDS[header.field]} ({describe(CoordinateFile.from_header(header))})"


def _named(start: int) -> str:
    """A start's number: as it is of one that ships, else as decoders ask for it (field.priors)."""
    return str(start) if start < 1 << 31 else f"{start:08x}"


def field_settings(header: Header) -> dict[str, Json]:
    """The fields of EncodeSettings that a fit in the same field has."""
    lam: dict[str, Json] = {} if header.lam is None else {"lam": header.lam}
    if header.field in PYRAMIDS:
        return {**lam, "explicit": FIELDS[header.field].startswith("explicit"), "width": header.params[0]}
    from ..field.coordinate_file import CoordinateFile

    spec = CoordinateFile.from_header(header)
    network = spec.network
    sizes: dict[str, Json] = {"field": network.kind, "explicit": network.explicit, "width": network.width, "layers": network.layers}
    return {**lam, **sizes, "input_scale": round(network.input_scale), "contract": network.normalised or network.explicit}


def field_facts(header: Header) -> dict[str, Json]:
    """The same as data."""
    facts: dict[str, Json] = {"field": FIELDS[header.field], "params": list(header.params), "prior": header.prior}
    if header.field in PYRAMIDS:
        return facts
    from ..field.coordinate_file import CoordinateFile

    spec = CoordinateFile.from_header(header)
    network: dict[str, Json] = {"width": spec.network.width, "layers": spec.network.layers, "input_scale": spec.network.input_scale}
    solution: dict[str, Json] = {"iterations": spec.iterations, "contracts": spec.network.normalised, "converged": spec.converged}
    values: dict[str, Json] = {"occupancy": spec.occupancy} if header.kind == Kind.SHAPE else {}
    return {**facts, "network": network, **solution, "residual": spec.residual, **values}
